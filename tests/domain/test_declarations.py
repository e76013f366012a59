"""Words people agree to: versions that never change, and nothing that nobody could agree to."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import IntegrityError

from dispatcher.db.tables import declaration, privacy_notice, renewal
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations, wording
from dispatcher.domain.declarations import Draft
from dispatcher.domain.versions import why_not_under
from dispatcher.errors import InputRefused, LedgerBroken, NotFound
from dispatcher.sending import declarations as shipped
from tests.guards import unguarded

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DE, EN = Language.DE, Language.EN
NEWS, GOLD, OFFERS = Topic
TEXTS = {DE: "Ich möchte Briefe.", EN: "I would like letters."}
FIRST = Draft("2026-01", TEXTS, (NEWS, GOLD, OFFERS))
SECOND = Draft("2027-01", {DE: "Neu.", EN: "New."}, (NEWS, GOLD), renews=frozenset({GOLD}))
TITLES = {
    DE: {NEWS: "Produktnachrichten", GOLD: "Finanznews", OFFERS: "Angebote"},
    EN: {NEWS: "Product news", GOLD: "Finance news", OFFERS: "Special offers"},
}


def test_words_that_were_entered_never_change_whatever_is_handed_in_later(engine: Engine) -> None:
    with engine.begin() as conn:
        assert declarations.enter(conn, FIRST, NOW)
        before = conn.execute(select(declaration)).all()
        assert not declarations.enter(conn, FIRST, NOW + timedelta(days=1))
    others = [
        replace(FIRST, texts={**TEXTS, EN: "I want everything."}),
        replace(FIRST, topics=(NEWS, GOLD)),
        replace(FIRST, renews=frozenset({GOLD})),
        replace(FIRST, valid_from=NOW + timedelta(days=9)),
    ]
    for other in others:
        with pytest.raises(InputRefused, match="stands already, and not so") as caught, engine.begin() as conn:
            declarations.enter(conn, other, NOW + timedelta(days=1))
        assert "another version" in caught.value.cure
    with engine.begin() as conn:
        assert conn.execute(select(declaration)).all() == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE declaration SET text = 'other'",
        "UPDATE declaration SET valid_from = valid_from",
        "DELETE FROM declaration",
        "UPDATE renewal SET covers_unknown = true",
        "DELETE FROM renewal",
        "UPDATE privacy_notice SET text = 'other'",
        "DELETE FROM privacy_notice",
    ],
)
def test_the_database_itself_refuses_to_change_what_people_agreed_to(engine: Engine, change: str) -> None:
    with engine.begin() as conn:
        declarations.enter(conn, FIRST, NOW)
        declarations.enter(conn, SECOND, NOW)
        declarations.keep_notice(conn, DE, "Notice", NOW)
    with pytest.raises(IntegrityError, match="is never changed"), engine.begin() as conn:
        conn.execute(text(change))


def test_words_that_were_changed_past_the_database_are_found_when_they_are_read(engine: Engine) -> None:
    with engine.begin() as conn:
        declarations.enter(conn, FIRST, NOW)
        with unguarded(conn):
            conn.execute(text("UPDATE declaration SET text = 'Ich will alles.' WHERE language = 'de'"))
        for look in (lambda: declarations.current(conn, DE, NOW), lambda: declarations.texts(conn, 1)):
            with pytest.raises(LedgerBroken, match=r"the words of newsletter-2026-01 \(de\) are not those") as caught:
                look()
            assert "backup" in caught.value.cure
        assert declarations.current(conn, EN, NOW) is not None


def test_the_newest_words_that_are_valid_are_shown_and_later_ones_wait_for_their_time(engine: Engine) -> None:
    with engine.begin() as conn:
        assert declarations.current(conn, DE, NOW) is None
        declarations.enter(conn, FIRST, NOW)
        declarations.enter(conn, replace(SECOND, valid_from=NOW + timedelta(days=2)), NOW + timedelta(days=1))
        seen = [declarations.current(conn, DE, NOW + timedelta(days=day)) for day in (0, 1, 2, 3)]
        assert declarations.current(conn, DE, NOW - timedelta(seconds=1)) is None
    assert [found.version for found in seen if found] == ["2026-01", "2026-01", "2027-01", "2027-01"]
    assert [found.text for found in seen if found][-1] == "Neu."


def test_a_version_is_listed_with_all_it_says(engine: Engine) -> None:
    with engine.begin() as conn:
        declarations.enter(conn, FIRST, NOW)
        declarations.enter(conn, replace(SECOND, covers_unknown=True), NOW)
        first, second = declarations.versions(conn)
        assert declarations.named(conn, "newsletter-2027-01") == declarations.named(conn, "2027-01") == second
        with pytest.raises(NotFound, match="no version '2028'") as caught:
            declarations.named(conn, "2028")
        kept = declarations.texts(conn, 2)
        ids = {entry.name: entry.id for entry in kept if entry.language is DE}
        assert declarations.ids_by_name(conn, DE, ["newsletter-2027-01", "form 3"]) == ids
        assert declarations.numbers(conn, [entry.id for entry in kept]) == dict.fromkeys([e.id for e in kept], 2)
    assert caught.value.cure == "there are: 2026-01, 2027-01"
    assert (first.number, first.languages, first.topics, first.renews) == (1, (DE, EN), (NEWS, GOLD, OFFERS), set())
    assert (second.number, second.topics, second.renews, second.covers_unknown) == (2, (NEWS, GOLD), {GOLD}, True)
    assert [entry.sha256 for entry in kept] == [declarations.sha256("Neu."), declarations.sha256("New.")]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (replace(FIRST, topics=()), "without topics"),
        (replace(FIRST, texts={DE: "Nur Deutsch."}), "missing in: en"),
        (replace(FIRST, version=""), "cannot be the name"),
        (replace(FIRST, version="a b"), "cannot be the name"),
        (replace(FIRST, version="x" * 41), "cannot be the name"),
        (replace(FIRST, version="unknown"), "means consent that names no version"),
        (replace(FIRST, topics=(NEWS,), renews=frozenset({GOLD})), "cannot renew consent for what it does not cover"),
        (replace(FIRST, renews=frozenset({GOLD})), "no older version"),
        (replace(FIRST, valid_from=NOW - timedelta(seconds=1)), "is past"),
    ],
)
def test_a_version_that_nobody_could_agree_to_is_refused_with_the_cure(engine: Engine, wrong: Draft, what: str) -> None:
    with pytest.raises(InputRefused, match=what) as caught, engine.begin() as conn:
        declarations.enter(conn, wrong, NOW)
    assert caught.value.cure
    with engine.begin() as conn:
        assert declarations.versions(conn) == []


def test_a_newer_version_does_not_become_valid_before_an_older_one(engine: Engine) -> None:
    with engine.begin() as conn:
        declarations.enter(conn, FIRST, NOW)
        declarations.enter(conn, replace(SECOND, valid_from=NOW + timedelta(days=9)), NOW)
        with pytest.raises(InputRefused, match="becomes valid later"):
            declarations.enter(conn, replace(SECOND, version="2027-02"), NOW + timedelta(days=1))


def test_of_two_who_enter_a_version_at_once_one_wins_and_nothing_is_half_there(engine: Engine) -> None:
    with engine.begin() as conn:
        declarations.enter(conn, FIRST, NOW)
    start, ends = threading.Barrier(2), []

    def work(name: str) -> None:
        start.wait(10)
        try:
            with engine.begin() as conn:
                declarations.enter(conn, replace(SECOND, version=name), NOW)
            ends.append("entered")
        except InputRefused:
            ends.append("refused")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("2027-01", "2027-02")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with engine.begin() as conn:
        numbers = [version.number for version in declarations.versions(conn)]
        assert conn.execute(select(func.count()).select_from(declaration)).scalar_one() == 2 * len(numbers)
        assert conn.execute(select(func.count()).select_from(renewal)).scalar_one() == len(numbers) - 1
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == 1 + ends.count("entered")
    assert "entered" in ends


def test_a_privacy_notice_is_kept_once_under_its_hash(engine: Engine) -> None:
    with engine.begin() as conn:
        hashes = {declarations.keep_notice(conn, DE, text, NOW) for text in ("Wir ...", "Wir ...", "Wir, neu ...")}
        assert {bytes(row) for row in conn.execute(select(privacy_notice.c.sha256)).scalars()} == hashes
        kept = declarations.notices(conn)
    assert [declarations.sha256(notice.text) for notice in kept] == [notice.sha256 for notice in kept]
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b" \r\n\t\n", "is empty"),
        (b"a" * 1_000_000, "more than 80,000 bytes"),
        ("ä".encode() * 20_001, "20,001 characters"),
        ("Zeile 1\nJa, gern, für Jörg".encode("latin-1"), "line 2: not UTF-8"),
        (b"Ja.\n<b>Gern</b>", r"line 2: HTML \(<b>\)"),
        (b"Ja <script", "HTML"),
        (b"Ja &nbsp; gern", "HTML"),
        (b"Ja.\0", "control character"),
        ("Ja\u202egern".encode(), "control character"),
    ],
)
def test_a_file_that_holds_no_words_to_agree_to_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(InputRefused, match=what) as caught:
        wording.checked(wording.decoded(data, "new.de.md"), "new.de.md")
    assert caught.value.what.startswith("new.de.md")
    assert caught.value.cure


def test_words_come_with_their_line_ends_made_one_and_the_senders_name_filled_in() -> None:
    text = wording.decoded("\ufeffIch willige ein, dass $sender\r\nschreibt.\r\n".encode(), "new.de.md")
    assert wording.checked(text, "new.de.md") == text
    assert wording.filled(text, "x", {"sender": "Muster"}) == "Ich willige ein, dass Muster\nschreibt."
    for wrong, what in (("$house", r"there is no \$house"), ("5 $", "Invalid placeholder")):
        with pytest.raises(InputRefused, match=what):
            wording.filled(wrong, "x", {"sender": "Muster"})


def test_words_that_speak_of_a_topic_they_do_not_cover_are_refused() -> None:
    texts = {DE: "Ja zu Finanznews und Sonderangeboten.", EN: "Yes to finance news and SPECIAL OFFERS."}
    wording.check_topics(texts, [GOLD, OFFERS], TITLES)
    with pytest.raises(InputRefused, match=r"\(de\) speak of “Angebote”") as caught:
        wording.check_topics(texts, [GOLD], TITLES)
    assert "--topics 'finance-news special-offers'" in caught.value.cure
    wording.check_topics({DE: "Kein Finanznewsletter, nur neue Produkte.", EN: "Product news."}, [NEWS], TITLES)


@pytest.mark.parametrize("sign", ["\u00a0", "\u00ad", "\u202f", "\u200b", "\t"])
def test_a_sign_that_sets_type_is_part_of_the_words(sign: str) -> None:
    assert wording.checked(f"§{sign}7 UWG", "new.de.md") == f"§{sign}7 UWG"


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\x85", "\u202e", "\u2066", "\ue000", "\U0010ffff"])
def test_a_sign_that_hides_or_turns_words_round_is_refused(sign: str) -> None:
    with pytest.raises(InputRefused, match=r"new\.de\.md, line 2: a control character"):
        wording.checked(f"Ja\nund{sign}nein", "new.de.md")


def test_words_that_do_not_name_a_topic_they_are_to_cover_are_refused() -> None:
    texts = {DE: "Ja zu Finanznews.", EN: "Yes to finance news and offers."}
    with pytest.raises(InputRefused, match=r"\(de\) do not name special-offers") as caught:
        wording.check_topics(texts, [GOLD, OFFERS], TITLES)
    assert "Angebote" in caught.value.cure


def test_the_words_that_lie_in_the_house_name_what_they_cover() -> None:
    texts = {language: shipped.first_words(language) for language in Language}
    wording.check_topics(texts, tuple(Topic), shipped.titles())


@pytest.mark.parametrize(
    ("version", "topics", "given_at", "why"),
    [
        (1, (NEWS, GOLD), NOW - timedelta(days=900), None),  # on paper, before the first start
        (2, (NEWS, GOLD), NOW, None),
        (2, (NEWS, GOLD), NOW + timedelta(days=1), None),
        (2, (NEWS,), NOW - timedelta(seconds=1), "newsletter-2027-01 was not valid before 2026-11-23 09:00:00 UTC"),
        (2, (NEWS, OFFERS), NOW, "newsletter-2027-01 does not cover special-offers"),
        (3, (NEWS,), NOW + timedelta(days=2), "newsletter-2099-01 was not valid before 2099-01-01 00:00:00 UTC"),
    ],
)
def test_consent_is_in_words_only_if_they_cover_its_topics_and_were_valid_by_then(
    engine: Engine, version: int, topics: tuple[Topic, ...], given_at: datetime, why: str | None
) -> None:
    with engine.begin() as conn:
        declarations.enter(conn, FIRST, NOW)
        declarations.enter(conn, replace(SECOND, valid_from=NOW + timedelta(milliseconds=400)), NOW)
        far = datetime(2099, 1, 1, tzinfo=UTC)
        declarations.enter(conn, replace(SECOND, version="2099-01", valid_from=far), NOW)
        found = declarations.versions(conn)[version - 1]
    reason = why_not_under(found, topics, given_at)
    assert (reason or "").startswith(why or "")
    assert (reason is None) == (why is None)

"""`dispatcher declarations`: new words in, never changed; on which of them consent rests; and asking again."""

import csv
import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, func, select

from dispatcher.cli.context import Context
from dispatcher.cli.declarations import declarations
from dispatcher.db.tables import campaign, declaration, delivery
from dispatcher.sending import sweep
from tests.cli.conftest import Run
from tests.relay import ScriptedRelay
from tests.stage import Stage

HEADER = "email,topics,consent_at,consent_source,declaration\n"
PROOF = "2026-01-31T14:05:00+01:00,form 3"
TOPICS = ("--topics", "product-news finance-news")


@pytest.fixture
def files(outside: Path) -> tuple[str, ...]:
    """Give the options that name new words in both languages."""
    (outside / "new.de.md").write_text("Ja, $sender: Produktnachrichten und Finanznews.\n", encoding="utf-8")
    (outside / "new.en.md").write_text("Yes, $sender: product news and finance news.\n", encoding="utf-8")
    return ("--file", "de=new.de.md", "--file", "en=new.en.md")


@pytest.fixture
def people(dispatcher: Run, outside: Path) -> None:
    """Take in Maria and Josef under the first words, and Anna under words that nobody here knows."""
    rows = [
        f"maria@example.de,finance-news product-news,{PROOF},newsletter-2026-01",
        f"josef@example.de,finance-news,{PROOF},newsletter-2026-01",
        f"anna@example.de,finance-news,{PROOF},an older form",
    ]
    (outside / "people.csv").write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    assert dispatcher("subscribers", "import", "people.csv", "--origin", "CRM").code == 0


@pytest.mark.usefixtures("people")
def test_new_words_say_what_they_mean_for_older_consent_and_the_list_shows_it(
    dispatcher: Run, files: tuple[str, ...]
) -> None:
    ran = dispatcher("declarations", "add", "2027-01", *files, *TOPICS, "--renews", "finance-news")
    assert ran.code == 0
    assert "finance-news: 3 people get no letters on it from then on, without renewing the consent" in ran.out
    assert "can be asked now already" not in ran.out
    listed = dispatcher("declarations", "list", "--json").json
    first, second = listed["versions"]
    assert (listed["shown"], first["version"], second["version"]) == ("2027-01", "2026-01", "2027-01")
    assert second["renews"] == ["finance-news"]
    assert {(p["topic"], p["people"], p["is_covered"]) for p in first["people"]} == {
        ("product-news", 1, True),
        ("finance-news", 2, False),
    }
    assert [(p["topic"], p["people"], p["is_covered"]) for p in listed["unknown"]] == [("finance-news", 1, False)]
    told = dispatcher("declarations", "list").out
    assert "2027-01 *" in told
    assert "renew" in told
    shown = dispatcher("subscribers", "show", "maria@example.de")
    assert "under older words: to be renewed" in shown.out
    as_json = dispatcher("subscribers", "show", "maria@example.de", "--json").json["topics"]
    assert {topic: entry["is_current"] for topic, entry in as_json.items()} == {
        "finance-news": False,
        "product-news": True,
    }


@pytest.mark.usefixtures("people")
def test_what_is_covered_says_the_option(dispatcher: Run, files: tuple[str, ...]) -> None:
    dispatcher("declarations", "add", "2027-01", *files, *TOPICS, "--covers-older")
    dispatcher("declarations", "add", "2027-02", *files, *TOPICS, "--renews", "finance-news", "--covers-unknown")
    listed = dispatcher("declarations", "list", "--json").json
    assert [p["is_covered"] for p in listed["unknown"]] == [True]
    assert [version["covers_unknown"] for version in listed["versions"]] == [False, False, True]


def test_words_are_shown_with_the_senders_name_and_their_hash(dispatcher: Run, files: tuple[str, ...]) -> None:
    dispatcher("declarations", "add", "2027-01", *files, *TOPICS, "--covers-older")
    shown = dispatcher("declarations", "show", "2027-01", "--language", "en")
    assert "Yes, Beispiel Edelmetalle: product news and finance news." in shown.out
    assert "Ja, " not in shown.out
    (words,) = dispatcher("declarations", "show", "newsletter-2027-01", "--language", "de", "--json").json["words"]
    assert words["sha256"] in dispatcher("declarations", "show", "2027-01").out
    assert dispatcher("declarations", "show", "2028").error == (
        "there is no version '2028' of the declaration",
        "there are: 2026-01, 2027-01",
    )


def test_to_enter_the_same_words_again_is_harmless_and_to_enter_others_is_refused(
    dispatcher: Run, files: tuple[str, ...], outside: Path, engine: Engine
) -> None:
    order = ("declarations", "add", "2027-01", *files, *TOPICS, "--covers-older")
    assert dispatcher(*order).code == 0
    assert "nothing was changed" in dispatcher(*order).out
    with engine.begin() as conn:
        before = conn.execute(select(declaration)).all()
    (outside / "new.de.md").write_text("Andere Worte: Produktnachrichten, Finanznews.", encoding="utf-8")
    what, cure = dispatcher(*order).error
    assert what == "newsletter-2027-01 stands already, and not so: other words in de"
    assert "another version" in cure
    with engine.begin() as conn:
        assert conn.execute(select(declaration)).all() == before


@pytest.mark.usefixtures("people")
def test_words_for_later_say_whom_they_stop_and_can_be_asked_for_ahead(
    dispatcher: Run, files: tuple[str, ...], stage: Stage, engine: Engine
) -> None:
    later = ("--valid-from", "2099-01-01T00:00", "--zone", "UTC")
    ran = dispatcher("declarations", "add", "2099-01", *files, *TOPICS, "--renews", "finance-news", *later)
    assert "is shown from 2099-01-01 00:00 UTC on" in ran.out
    assert "finance-news: 3 people get no letters on it from then on" in ran.out
    assert "they can be asked now already: whoever agrees in time misses no letter" in ran.out
    order = ("declarations", "ask", "2099-01", "--topic", "finance-news")
    assert dispatcher(*order, "--dry-run", "--json").json["asked"] == 3
    assert dispatcher(*order).out.startswith("3 to be asked\ncampaign 1 asks")
    assert sweep.begin(engine, 1, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert len(relay.accepted) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_dry_run_holds_up_no_writer(dispatcher: Run, files: tuple[str, ...], engine: Engine) -> None:
    dispatcher("declarations", "add", "2027-01", *files, *TOPICS, "--renews", "finance-news")
    context = Context()
    assert context.engine  # to open it takes the lock for a moment, to note the keys
    with engine.begin():  # somebody writes
        order = ["ask", "2027-01", "--topic", "finance-news", "--dry-run"]
        ran = CliRunner().invoke(declarations, order, obj=context)
    assert (ran.exit_code, ran.output) == (0, "nobody is to be asked\n")


def test_words_for_later_are_not_shown_before_their_time(dispatcher: Run, files: tuple[str, ...]) -> None:
    later = ("--valid-from", "2099-01-01T00:00", "--zone", "Europe/Berlin")
    ran = dispatcher("declarations", "add", "2099-01", *files, *TOPICS, "--renews", "finance-news", *later)
    assert "is shown from 2098-12-31 23:00 UTC on" in ran.out
    assert dispatcher("declarations", "list", "--json").json["shown"] == "2026-01"
    assert "not valid before" in dispatcher("declarations", "ask", "2099-01", "--topic", "product-news").error[0]
    past = dispatcher("declarations", "add", "x", *files, *TOPICS, "--covers-older", "--valid-from", "2020-01-01T00:00")
    assert "is in the past" in past.error[0]


WRONG = {
    "no topics": ({}, ("--topics", "", "--covers-older"), "without topics"),
    "a topic that there is not": ({}, ("--topics", "product-news gold", "--covers-older"), "there is no topic 'gold'"),
    "a topic that is named and not covered": ({}, ("--topics", "product-news", "--covers-older"), "speak of “Finanz"),
    "nothing said about older consent": ({}, TOPICS, "whether consent to older words"),
    "both said": ({}, (*TOPICS, "--covers-older", "--renews", "finance-news"), "whether consent to older words"),
    "a renewal of what is not covered": ({}, (*TOPICS, "--renews", "special-offers"), "cannot renew"),
    "unknown without renewal": ({}, (*TOPICS, "--covers-older", "--covers-unknown"), "says nothing without --renews"),
    "an empty file": ({"new.de.md": b""}, (*TOPICS, "--covers-older"), "new.de.md is empty"),
    "a megabyte": ({"new.de.md": b"ja " * 350_000}, (*TOPICS, "--covers-older"), "more than 80,000 bytes"),
    "Latin-1": ({"new.de.md": "Jörg".encode("latin-1")}, (*TOPICS, "--covers-older"), "not UTF-8"),
    "HTML": ({"new.en.md": b"Yes <b>please</b>"}, (*TOPICS, "--covers-older"), "line 1: HTML"),
    "a placeholder that there is not": (
        {"new.en.md": b"Yes $house"},
        (*TOPICS, "--covers-older"),
        "there is no $house",
    ),
    "a language that there is not": ({}, (*TOPICS, "--covers-older", "--file", "fr=x"), "names no language"),
    "a language twice": ({}, (*TOPICS, "--covers-older", "--file", "de=new.de.md"), "given twice"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_words_that_cannot_stand_are_refused_in_two_lines_and_nothing_is_entered(
    dispatcher: Run, files: tuple[str, ...], outside: Path, engine: Engine, case: str
) -> None:
    written, options, what = WRONG[case]
    for name, data in written.items():
        (outside / name).write_bytes(data)
    said, cure = dispatcher("declarations", "add", "2027-01", *files, *options).error
    assert what in said
    assert cure
    with engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(declaration)).scalar_one() == 0


def test_a_language_that_is_missing_is_named(dispatcher: Run, files: tuple[str, ...]) -> None:
    assert dispatcher("declarations", "add", "2027-01", *files[:2], *TOPICS, "--covers-older").error == (
        "the words are missing in: en",
        "add --file en=FILE; each form needs its own",
    )
    lost = dispatcher("declarations", "add", "2027-01", "--file", "de=gone.md", *TOPICS, "--covers-older")
    assert lost.error[0] == "gone.md cannot be read: No such file or directory"


@pytest.mark.both_databases
@pytest.mark.usefixtures("people")
def test_people_are_counted_and_named_by_version(dispatcher: Run) -> None:
    counted = dispatcher("declarations", "people", "2026-01", "--json").json["people"]
    assert [(p["topic"], p["state"], p["people"]) for p in counted] == [
        ("product-news", "confirmed", 1),
        ("finance-news", "confirmed", 2),
    ]
    assert "finance-news  confirmed       2  yes" in dispatcher("declarations", "people", "2026-01").out
    rows = list(csv.DictReader(io.StringIO(dispatcher("declarations", "people", "unknown", "--list").out)))
    assert rows == [{"address": "anna@example.de", "topic": "finance-news", "state": "confirmed"}]


@pytest.mark.usefixtures("people")
def test_asking_is_tried_first_then_done_and_never_done_twice(
    dispatcher: Run, files: tuple[str, ...], stage: Stage, engine: Engine
) -> None:
    order = ("declarations", "ask", "2027-01", "--topic", "finance-news")
    dispatcher("declarations", "add", "2027-01", *files, *TOPICS, "--renews", "finance-news")
    dry = dispatcher(*order, "--dry-run", "--json").json
    assert dry == {"dry_run": True, "campaign": None, "asked": 3, "not_asked": {}}
    with engine.begin() as conn:
        assert conn.execute(select(campaign.c.id)).all() == []
    asked = dispatcher(*order, "--rate", "6000")
    assert asked.out.startswith("3 to be asked\ncampaign 1 asks")
    assert dispatcher(*order).error[0] == "campaign 1 is asking for this already"
    assert "renewal of consent: newsletter-2027-01" in dispatcher("campaigns", "list").out
    assert "/c/" in dispatcher("campaigns", "preview", "1", "--for", "maria@example.de").out
    assert sweep.begin(engine, 1, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        again = dispatcher(*order)
        assert again.out == "3 not asked: was asked before, under the same words\nnobody is to be asked\n"
    assert sorted(a.recipient for a in relay.accepted) == ["anna@example.de", "josef@example.de", "maria@example.de"]
    with engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(delivery)).scalar_one() == 3


def test_asking_for_what_cannot_be_asked_is_refused_with_the_cure(dispatcher: Run, files: tuple[str, ...]) -> None:
    dispatcher("declarations", "add", "2027-01", *files, *TOPICS, "--covers-older")
    for words, what in (
        (("2026-01", "--topic", "finance-news"), "newsletter-2026-01 is not the version that is shown now"),
        (("2027-01", "--topic", "special-offers"), "does not cover special-offers"),
        (("2027-01", "--topic", "gold"), "there is no topic 'gold'"),
        (("2028-01", "--topic", "finance-news"), "there is no version '2028-01'"),
    ):
        said, cure = dispatcher("declarations", "ask", *words).error
        assert what in said
        assert cure
    assert dispatcher("declarations", "ask", "2027-01", "--topic", "finance-news").out == "nobody is to be asked\n"


def test_the_privacy_notice_can_be_read_as_it_was_shown(dispatcher: Run, files: tuple[str, ...]) -> None:
    dispatcher("declarations", "add", "2027-01", *files, *TOPICS, "--covers-older")
    first = dispatcher("declarations", "notices").out.splitlines()[1].split()
    assert first[2] == "de"
    assert "Daten" in dispatcher("declarations", "notices", first[3][:12]).out
    assert "0 privacy notices" in dispatcher("declarations", "notices", "zz").error[0]
    assert "2 privacy notices" in dispatcher("declarations", "notices", "").error[0]

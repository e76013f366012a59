"""Dossier and export as documents: nothing is left out, nothing gets out of its place, nothing is fetched."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import html
from sqlalchemy import Connection, Engine, func, select, update

from dispatcher.compose.edition import Kind
from dispatcher.compose.freezing import freeze_service
from dispatcher.compose.house import House as MailHouse
from dispatcher.db.tables import (
    batch,
    consent_event,
    edition,
    former_address,
    metadata,
    opt_in_request,
    renewal,
    subscriber,
)
from dispatcher.db.terms import ConsentKind, Language, Outcome, RightKind, SuppressionReason, Topic
from dispatcher.domain import consent, declarations, ledger, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.ledger import Deferral, Final
from dispatcher.domain.people import erasure, rights, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import NotFound
from dispatcher.rights import dossier, exhibits, holdings, paper, wording
from dispatcher.rights.dossier import House
from dispatcher.sending import address_change, opt_in
from tests import builders

NOW = datetime(2026, 11, 24, 16, 3, 12, 417, tzinfo=UTC)
HOSTILE = "</script><script>alert(1)</script><!-- \" ' & {{ 7*7 }} ${x} -->"
HOUSE = House("Beispiel Edelmetalle", "news@news.example.de", "Beispiel GmbH\n[Kontakt](mailto:a@example.de)", "anna")
MARIA = "maria@example.de"
FORM = Evidence(source="form", ip="192.0.2.7")


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    """Give somebody to whom everything has happened that can."""
    with engine.begin() as conn:
        (who,) = builders.add_people(conn, keyring, [MARIA], NOW, name=HOSTILE[:100]).values()
        declared = builders.declare(conn, NOW)
        form = Evidence(
            source="https://news.example.de/ form 1", ip="192.0.2.7", user_agent=HOSTILE, declaration_id=declared
        )
        wanted = opt_in.Request(parse_address(MARIA), "", Language.DE, [Topic.FINANCE_NEWS], form)
        assert opt_in.request(conn, keyring, wanted, NOW)
        for number, kind in enumerate(ConsentKind):
            at = NOW + timedelta(seconds=number)
            evidence = Evidence(source="a test", given_at=NOW)
            consent.append(conn, [consent.Event(who, topic, kind, evidence) for topic in Topic], at)
        return who


def _facts(engine: Engine, keyring: Keyring) -> dict[str, Any]:
    with engine.begin() as conn:
        return holdings.gather(conn, keyring, MARIA, HOUSE, NOW)


def _text(page: bytes) -> str:
    document = html.document_fromstring(page.decode())
    for block in document.xpath("//style | //script"):
        block.drop_tree()
    return re.sub(r"\s+", " ", document.text_content())


def _pages(facts: dict[str, Any]) -> list[bytes]:
    return [
        page
        for language in Language
        for page in (
            paper.dossier(facts, language, "0123456789abcdef"),
            paper.access(holdings.explained(facts, language), language),
        )
    ]


@pytest.mark.usefixtures("maria")
def test_what_strangers_wrote_stays_text_in_every_page(engine: Engine, keyring: Keyring) -> None:
    for page in _pages(_facts(engine, keyring)):
        document = html.document_fromstring(page.decode())
        (data,) = document.xpath("//script")
        assert data.get("type") == "application/json"
        assert HOSTILE in json.loads(data.text)["events"][0]["user_agent"]
        assert HOSTILE in _text(page)
        assert b"alert(1)</script>" not in page
        assert b"<!--" not in page


@pytest.mark.usefixtures("maria")
def test_the_pages_fetch_nothing_and_run_nothing(engine: Engine, keyring: Keyring) -> None:
    for page in _pages(_facts(engine, keyring)):
        document = html.document_fromstring(page.decode())
        assert document.xpath("//@src | //@href | //link | //img | //iframe | //@onclick") == []
        assert b"url(" not in page
        assert b"@import" not in page


@pytest.mark.usefixtures("maria")
def test_every_event_is_in_an_exhibit_and_every_act_in_the_summary(engine: Engine, keyring: Keyring) -> None:
    facts = _facts(engine, keyring)
    numbers = [event["id"] for event in facts["events"]]
    acts = exhibits.acts(facts)
    assert [event["id"] for act in acts for event in act.events] == numbers
    assert len(acts) == 1 + len(ConsentKind)
    for language in Language:
        told = exhibits.summary(facts, language)
        assert len(told) >= len(acts)
        assert not any("$" in sentence for sentence in told if HOSTILE not in sentence)


@pytest.mark.usefixtures("maria")
def test_moments_are_told_to_the_second_in_berlin_and_in_utc(engine: Engine, keyring: Keyring) -> None:
    german, _, english, _ = (_text(page) for page in _pages(_facts(engine, keyring)))
    assert "24. November 2026, 17:03:12 Uhr MEZ" in german
    assert "24 November 2026, 17:03:12 CET" in english
    assert "2026-11-24 16:03:12 UTC" in german
    assert wording.berlin("2026-07-24T22:03:12.000000Z", Language.DE) == "25. Juli 2026, 00:03:12 Uhr MESZ"


@pytest.mark.usefixtures("maria")
def test_words_that_were_altered_in_the_database_do_not_pass_for_those_agreed_to(
    engine: Engine, keyring: Keyring
) -> None:
    facts = _facts(engine, keyring)
    page = _text(paper.dossier(facts, Language.DE, "0"))
    assert "Achtung" not in page
    facts["declarations"][0]["text"] += " Und auch per Telefon."
    assert "stimmt der gespeicherte Wortlaut nicht" in _text(paper.dossier(facts, Language.DE, "0"))


def test_both_languages_have_words_for_the_same_things() -> None:
    german, english = wording.words(Language.DE), wording.words(Language.EN)
    assert {name: set(table) for name, table in german.items()} == {name: set(t) for name, t in english.items()}


@pytest.mark.usefixtures("maria")
@pytest.mark.parametrize("language", list(Language))
def test_every_field_of_an_export_is_explained(engine: Engine, keyring: Keyring, language: Language) -> None:
    told = wording.words(language)["fields"]
    personal = ("subscriber", "subscription", "consent_event", "declaration", "suppression", "rights_request")
    named = {column.name for table in personal for column in metadata.tables[table].c}
    assert named - set(told) == set()
    facts = holdings.explained(_facts(engine, keyring), language)
    for section in facts["explanation"].values():
        assert [name for name, text in section["fields"].items() if name == text and name not in told] == []


# What no row of an export shows: what links are made of, and what a page of an audience says of others.
_KEPT_BACK = {
    ("opt_in_request", "nonce"), ("opt_in_request", "token_sha256"), ("opt_in_request", "subscriber_id"),
    ("batch", "subscriber_ids"), ("batch", "owner"), ("batch", "token"), ("batch", "lease_until"),
    ("batch", "attempts"), ("batch", "left_last"), ("batch", "not_before"), ("batch", "last_error"),
    ("batch", "in_flight"), ("deferral", "subscriber_id"), ("deferral", "batch_no"), ("delivery", "subscriber_id"),
    ("suppression", "address_hash"), ("former_address", "subscriber_id"),
}  # fmt: skip
_SECTIONS = {
    "subscriber": "person", "subscription": "standing", "consent_event": "events", "opt_in_request": "requests",
    "suppression": "suppressions", "rights_request": "rights", "delivery": "letters", "deferral": "waiting",
    "batch": "audiences", "former_address": "former_addresses",
}  # fmt: skip


def test_every_column_of_every_table_that_knows_a_person_is_in_the_export(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    """A new one has to be added to rights/holdings.py, and to domain/people/erasure.py if it can hold an address."""
    hashed = address_hash(keyring, parse_address(MARIA))
    with engine.begin() as conn:
        of, later = (builders.create_campaign(conn, NOW) for _ in range(2))
        rights.enter(conn, RightKind.ACCESS, hashed, NOW)
        suppression.suppress(conn, [hashed], None, SuppressionReason.COMPLAINT, "a test", NOW)
        ledger.record(conn, [Final(of, maria, Outcome.FAILED, None, 550, "no", "relay")], NOW)
        ledger.record(conn, [Deferral(later, maria, 1, 1, NOW, 450, "later", "relay")], NOW)
        was = {"subscriber_id": maria, "event_id": 1, "address_hash": b"f" * 32, "until": NOW}
        conn.execute(former_address.insert(), was)
        page = {"campaign_id": of, "no": 1, "subscriber_ids": [maria, maria + 1], "provider": "other"}
        conn.execute(batch.insert(), [{**page, "state": "done"}, {**page, "no": 2, "state": "ready"}])
    facts = _facts(engine, keyring)
    knowing = {
        table.name
        for table in metadata.sorted_tables
        if {"subscriber_id", "subscriber_ids", "address_hash", "address"} & set(table.c.keys())
    }
    assert knowing == set(_SECTIONS)
    for table, section in _SECTIONS.items():
        shown = facts[section] if section == "person" else facts[section][-1]
        missing = {column.name for column in metadata.tables[table].c} - set(shown)
        assert {(table, column) for column in missing} <= _KEPT_BACK
    assert [each["state"] for each in facts["audiences"]] == ["done", "ready"]


@pytest.mark.usefixtures("maria")
def test_who_else_named_the_address_is_not_told_but_that_somebody_did_is(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        (tom,) = builders.add_people(conn, keyring, ["tom@example.de"], NOW).values()
        person = subscribers.by_id(conn, tom)
        assert person is not None
        address_change.ask(conn, keyring, person, parse_address(MARIA), Evidence(source="Tom's browser"), NOW)
        other = address_change.ask(conn, keyring, _person(conn, keyring), parse_address("z@example.de"), FORM, NOW)
        facts = holdings.gather(conn, keyring, MARIA, HOUSE, NOW)
        handed_over = dossier.gather(conn, keyring, MARIA, HOUSE, NOW)
    assert other is not None
    (wanted,) = facts["wanted_by_others"]
    assert (wanted["errand"], wanted["other_address"]) == ("leave-address", MARIA)
    assert "Tom" not in json.dumps(facts)
    assert facts["requests"][-1]["other_address"] == "z@example.de"
    # What goes to the other side names no address but the one in dispute.
    assert "z@example.de" not in json.dumps(handed_over)
    assert handed_over["requests"][-1]["other_hash"] is not None


def _person(conn: Connection, keyring: Keyring) -> Subscriber:
    person = subscribers.by_hash(conn, address_hash(keyring, parse_address(MARIA)))
    assert person is not None
    return person


@pytest.mark.usefixtures("maria")
@pytest.mark.parametrize("asked", ["former", "present"])
def test_after_a_move_each_act_says_under_which_address_it_happened_and_both_find_the_person(
    engine: Engine, keyring: Keyring, asked: str
) -> None:
    new = "m.muster@example.com"
    with engine.begin() as conn:
        address_change.ask(conn, keyring, _person(conn, keyring), parse_address(new), FORM, NOW)
        for _ in range(2):
            newest = conn.execute(select(func.max(opt_in_request.c.id))).scalar_one()
            link = opt_in.asked(conn, newest, keyring, "https://news.example.de").confirm_url
            address_change.press(conn, keyring, link.rpartition("/")[2], FORM, NOW + timedelta(days=1))
        facts = dossier.gather(conn, keyring, MARIA if asked == "former" else new, HOUSE, NOW)
        with pytest.raises(NotFound, match="somebody had it who moved to another on 2026-11-25"):
            holdings.gather(conn, keyring, MARIA, HOUSE, NOW)
    was = address_hash(keyring, parse_address(MARIA)).hex()
    now = address_hash(keyring, parse_address(new)).hex()
    german, english = (_text(paper.dossier(facts, language, "0")) for language in Language)
    if asked == "present":
        assert f"with the former address (check value {was[:16]}…)" in english
        assert f"mit der früheren Adresse (Prüfwert {was[:16]}…)" in german
    else:
        assert "sign-up was asked for with this address" in english
        assert f"umgezogen (Prüfwert {now[:16]}…)" in german
        assert new not in json.dumps(facts)


@pytest.mark.usefixtures("maria")
def test_a_consent_that_allows_nothing_is_not_said_to_be_current(engine: Engine, keyring: Keyring) -> None:
    hashed = address_hash(keyring, parse_address(MARIA))
    with engine.begin() as conn:
        consent.append(conn, [consent.Event(1, Topic.FINANCE_NEWS, ConsentKind.CONFIRMED, FORM)], NOW)
        consent.append(conn, [consent.Event(1, Topic.PRODUCT_NEWS, ConsentKind.CONFIRMED, FORM)], NOW)
        renewed = {
            "topic": "product-news",
            "number": 9,
            "valid_from": NOW - timedelta(days=400),
            "covers_unknown": False,
        }
        conn.execute(renewal.insert(), renewed)
    told = [exhibits.summary(_facts(engine, keyring), language) for language in Language]
    assert any("Die Einwilligung gilt" in sentence for sentence in told[0])
    assert any("suffice no more" in sentence for sentence in told[1])
    with engine.begin() as conn:
        suppression.suppress(conn, [hashed], None, SuppressionReason.COMPLAINT, "a provider", NOW)
    told = [exhibits.summary(_facts(engine, keyring), language) for language in Language]
    assert not any("Die Einwilligung gilt" in sentence for sentence in told[0])
    assert any("stands on the never-mail list (complaint)" in sentence for sentence in told[1])


def test_the_confirmation_mail_and_the_privacy_notice_are_exhibits_word_for_word(
    engine: Engine, keyring: Keyring, house: MailHouse
) -> None:
    with engine.begin() as conn:
        notice = declarations.keep_notice(conn, Language.DE, "Wir speichern Ihre Adresse.", NOW)
        form = FORM._replace(privacy_sha256=notice, declaration_id=builders.declare(conn, NOW))
        wanted = opt_in.Request(parse_address(MARIA), "", Language.DE, [Topic.FINANCE_NEWS], form)
        mail = opt_in.request(conn, keyring, wanted, NOW)
        assert mail is not None
        frozen = freeze_service(Kind.CONFIRM, language="de", house=house)
        row = {
            "campaign_id": mail,
            "no": 1,
            "language": "de",
            "frozen": frozen.to_json(),
            "sha256": bytes.fromhex(frozen.sha256),
        }
        conn.execute(edition.insert(), row)
    facts = _facts(engine, keyring)
    (sent,) = facts["confirmation_mails"]
    assert (sent["subject"], sent["text"], sent["sha256"]) == (frozen.subject, frozen.text, frozen.sha256)
    text = _text(paper.dossier(facts, Language.DE, "0"))
    assert "Wir speichern Ihre Adresse." in text
    assert "Bitte bestätigen Sie Ihre Anmeldung" in text
    assert "{die Adresse} für unsere Nachrichten angemeldet" in text
    assert frozen.sha256 in text
    spoken = _text(paper.access(holdings.explained(facts, Language.EN), Language.EN))
    assert "{the address} für unsere Nachrichten angemeldet" in spoken
    assert "{%" not in text + spoken
    assert "Achtung" not in text
    with engine.begin() as conn:
        conn.execute(
            update(edition).values(frozen=frozen.to_json().replace("bestätigen", "bezahlen").replace("Sie", "sie"))
        )
    assert "Achtung" in _text(paper.dossier(_facts(engine, keyring), Language.DE, "0"))
    facts["privacy_notices"][0]["text"] += " Und Ihre Telefonnummer."
    assert "Achtung" in _text(paper.dossier(facts, Language.DE, "0"))


@pytest.mark.usefixtures("maria")
def test_nobody_can_press_a_button_by_what_stands_in_an_export(engine: Engine, keyring: Keyring) -> None:
    facts = json.dumps(_facts(engine, keyring))
    with engine.begin() as conn:
        row = conn.execute(opt_in_request.select()).one()
    assert bytes(row.nonce).hex() not in facts
    assert bytes(row.token_sha256).hex() not in facts


def test_the_dossier_of_somebody_who_was_erased_says_so_and_is_as_complete(
    engine: Engine, keyring: Keyring, maria: int
) -> None:
    with engine.begin() as conn:
        erasure.erase(conn, maria, Evidence(source="on request"), NOW)
        facts = dossier.gather(conn, keyring, MARIA.upper(), HOUSE, NOW)
    text = _text(paper.dossier(facts, Language.DE, "0"))
    assert "wurde am 24. November 2026, 17:03:12 Uhr MEZ auf Verlangen gelöscht (Art. 17 DSGVO)" in text
    assert "von der IP-Adresse 192.0.2.7" in text
    assert facts["person"]["address"] is None


def test_what_retention_has_taken_away_is_said_to_be_gone(engine: Engine, keyring: Keyring, maria: int) -> None:
    with engine.begin() as conn:
        conn.execute(update(consent_event).values(ip=None, user_agent=None, relay_reply=None, message_id=None))
        conn.execute(update(subscriber).values(address=None, name=""))
        facts = dossier.gather(conn, keyring, MARIA, HOUSE, NOW)
    text = _text(paper.dossier(facts, Language.DE, "0"))
    assert "Die Adresse ist nicht mehr gespeichert" in text
    assert "(nicht gespeichert)" in text
    assert "„(nicht mehr gespeichert)“" in text


@pytest.mark.parametrize("language", list(Language))
def test_there_are_words_for_everything_that_the_schema_knows(language: Language) -> None:
    told = wording.words(language)
    for table, known in (
        ("kinds", ConsentKind), ("summary", ConsentKind), ("outcomes", Outcome), ("reasons", SuppressionReason),
        ("rights", RightKind),
    ):  # fmt: skip
        assert {word.value for word in known} - set(told[table]) == set()

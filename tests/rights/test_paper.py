"""Dossier and export as documents: nothing is left out, nothing gets out of its place, nothing is fetched."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import html
from sqlalchemy import Engine, update

from dispatcher.db.tables import consent_event, metadata, opt_in_request, subscriber
from dispatcher.db.terms import ConsentKind, Language, Outcome, RightKind, SuppressionReason, Topic
from dispatcher.domain import consent, erasure
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.tokens import Keyring
from dispatcher.rights import dossier, exhibits, holdings, paper, wording
from dispatcher.rights.dossier import House
from dispatcher.sending import opt_in
from tests import builders

NOW = datetime(2026, 11, 24, 16, 3, 12, 417, tzinfo=UTC)
HOSTILE = "</script><script>alert(1)</script><!-- \" ' & {{ 7*7 }} ${x} -->"
HOUSE = House("Beispiel Edelmetalle", "news@news.example.de", "Beispiel GmbH\n[Kontakt](mailto:a@example.de)", "anna")
MARIA = "maria@example.de"


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


def test_every_table_that_knows_a_person_is_in_the_export() -> None:
    """A new one has to be added to rights/holdings.py, and to domain/erasure.py if an address can stand in it."""
    knowing = {
        table.name
        for table in metadata.sorted_tables
        if {"subscriber_id", "subscriber_ids", "address_hash", "address"} & set(table.c.keys())
    }
    assert knowing == {
        "subscriber", "subscription", "consent_event", "opt_in_request", "suppression", "rights_request", "delivery",
        "deferral", "batch",
    }  # fmt: skip


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

"""People: added once, found again, and their story told in order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from dispatcher.db.tables import subscriber
from dispatcher.db.terms import ConsentKind, Language, Outcome, Topic
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Newcomer
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.typed import clean_name, topics_of
from dispatcher.errors import InputRefused
from tests import builders
from tests.domain.dispatch import TOPIC, Dispatch, events_of, final

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def _newcomer(keyring: Keyring, mail: str, name: str = "Maria Muster") -> Newcomer:
    address = parse_address(mail)
    return Newcomer(address, address_hash(keyring, address), name, Language.DE)


def test_a_person_is_added_once_and_keeps_the_first_name(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        first = subscribers.ensure(conn, _newcomer(keyring, "maria@example.de"), NOW)
        again = subscribers.ensure(conn, _newcomer(keyring, "MARIA@example.de", "Somebody Else"), NOW)
        assert conn.execute(select(func.count()).select_from(subscriber)).scalar_one() == 1
    assert first == again
    assert (first.name, first.address, first.created_at) == ("Maria Muster", "maria@example.de", NOW)


def test_whoever_was_entered_meanwhile_is_not_entered_again_with_those_nobody_knew(
    engine: Engine, keyring: Keyring
) -> None:
    jonas, maria = _newcomer(keyring, "jonas@example.de"), _newcomer(keyring, "maria@example.de")
    with engine.begin() as conn:
        is_sqlite = conn.dialect.name == "sqlite"
        known = subscribers.copy_unknown(conn, [maria], NOW)
        assert known == (None if is_sqlite else subscribers.by_hashes(conn, [maria.address_hash]))
    with engine.begin() as conn:
        assert subscribers.copy_unknown(conn, [jonas, maria], NOW) is None
        assert list(subscribers.by_hashes(conn, [jonas.address_hash, maria.address_hash]).values()) == list(
            (known or {}).values()
        )


def test_a_person_is_found_by_number_by_public_id_and_by_address(engine: Engine, keyring: Keyring) -> None:
    new = _newcomer(keyring, "maria@example.de")
    with engine.begin() as conn:
        person = subscribers.ensure(conn, new, NOW)
        assert subscribers.by_id(conn, person.id) == person
        assert subscribers.by_public_id(conn, person.public_id) == person
        assert subscribers.by_hash(conn, new.address_hash) == person
        assert subscribers.by_id(conn, 4711) is None
        assert subscribers.by_public_id(conn, bytes(8)) is None


def test_a_person_can_be_written_to_in_another_language(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        person = subscribers.ensure(conn, _newcomer(keyring, "maria@example.de"), NOW)
        subscribers.set_language(conn, person.id, Language.EN)
        found = subscribers.by_id(conn, person.id)
    assert found is not None
    assert found.language is Language.EN


@pytest.mark.parametrize(
    "control", ["\r\n", "\n", "\r", "\0", "\t", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"]
)
def test_a_name_that_would_break_a_header_line_is_refused(control: str) -> None:
    with pytest.raises(InputRefused, match="control character"):
        clean_name(f"Maria{control}Bcc: josef@example.de")


def test_a_name_of_more_than_200_characters_is_refused() -> None:
    assert clean_name("ö" * 200) == "ö" * 200
    with pytest.raises(InputRefused, match="longer than 200"):
        clean_name("ö" * 201)


@given(st.text(max_size=80))
def test_a_name_that_is_taken_is_one_line_and_is_taken_again_unchanged(text: str) -> None:
    try:
        name = clean_name(text)
    except InputRefused:
        return
    assert clean_name(name) == name
    assert len(name.splitlines()) <= 1


def test_topics_are_read_once_each_in_the_order_given() -> None:
    assert topics_of(" finance-news product-news  finance-news ") == [Topic.FINANCE_NEWS, Topic.PRODUCT_NEWS]
    assert topics_of("") == []


def test_an_unknown_topic_is_named_with_those_there_are() -> None:
    with pytest.raises(InputRefused, match="no topic 'gold'") as caught:
        topics_of("finance-news gold")
    assert "product-news finance-news special-offers" in caught.value.cure


def test_a_story_tells_consent_and_letters_oldest_first_and_each_letters_consent(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    (event,) = events_of(dispatch.ask(dispatch.must_claim(), of, [maria]))
    dispatch.now += timedelta(minutes=1)
    dispatch.record(final(of, maria, Outcome.SENT, event, 250))
    dispatch.now += timedelta(minutes=1)
    dispatch.withdraw(maria)
    with dispatch.engine.begin() as conn:
        told = subscribers.story(conn, maria)
    assert [(h.what, h.topic) for h in told] == [
        (ConsentKind.IMPORTED, TOPIC),
        ("letter sent", TOPIC),
        (ConsentKind.WITHDRAWN, TOPIC),
    ]
    assert told[1].detail == f"Edelmetalle der Woche, under consent event {event}"


def test_a_long_story_is_told_from_its_end(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    with dispatch.engine.begin() as conn:
        for n in range(5):
            builders.agree(conn, [maria], TOPIC, dispatch.now + timedelta(days=n + 1), ConsentKind.REQUESTED)
        told = subscribers.story(conn, maria, limit=2)
    assert [h.at for h in told] == [dispatch.now + timedelta(days=4), dispatch.now + timedelta(days=5)]

"""`dispatcher consent object`: Art. 21 GDPR, and no way around it."""

import pytest
from sqlalchemy import Engine, select

from dispatcher.db import clock
from dispatcher.db.tables import campaign, consent_event
from dispatcher.db.terms import ConsentKind, RightKind, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import rights
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.cli.conftest import Run

MARIA = "maria@example.de"
GOLD, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS


@pytest.fixture
def maria(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        now = clock.now(conn)
        who = builders.add_people(conn, keyring, [MARIA], now)[MARIA]
        for topic in (GOLD, OFFERS):
            builders.agree(conn, [who], topic, now, ConsentKind.CONFIRMED)
    return who


def _barred(engine: Engine, keyring: Keyring) -> list[tuple[str, SuppressionReason]]:
    with engine.begin() as conn:
        entries = suppression.entries(conn, address_hash(keyring, parse_address(MARIA)))
    return [(entry.scope, entry.reason) for entry in entries]


def _current(engine: Engine, topic: Topic) -> int:
    with engine.begin() as conn:
        return len(conn.execute(consent.permits_newsletter(topic)).all())


@pytest.mark.usefixtures("maria")
def test_an_objection_ends_everything_and_no_sign_up_lifts_it(
    dispatcher: Run, engine: Engine, keyring: Keyring
) -> None:
    assert dispatcher("consent", "object", MARIA, "--by", "Petra").out.startswith(
        "objected: product-news, finance-news"
    )
    assert _barred(engine, keyring) == [("all", SuppressionReason.OBJECTED)]
    assert _current(engine, GOLD) == _current(engine, OFFERS) == 0
    dispatcher("subscribers", "add", MARIA, "--topic", "finance-news", "--source", "by phone")
    with engine.begin() as conn:
        assert conn.execute(select(campaign)).all() == []  # they are not even asked
        kinds = conn.execute(select(consent_event.c.kind)).scalars().all()
    assert kinds.count("objected") == len(Topic)
    assert "noted before" in dispatcher("consent", "object", MARIA).out
    with engine.begin() as conn:
        (asked,) = rights.listed(conn)
    assert (asked.kind, asked.operator) == (RightKind.OBJECTION, "Petra")
    assert asked.outcome == "noted, for good: product-news, finance-news, special-offers"


def test_an_objection_to_one_topic_leaves_the_others_and_outlives_a_new_confirmation(
    dispatcher: Run, engine: Engine, keyring: Keyring, maria: int
) -> None:
    dispatcher("consent", "object", MARIA, "--topic", "finance-news")
    assert (_current(engine, GOLD), _current(engine, OFFERS)) == (0, 1)
    with engine.begin() as conn:
        consent.confirm(conn, maria, [GOLD], consent.Evidence(source="button"), clock.now(conn))
    assert _barred(engine, keyring) == [("finance-news", SuppressionReason.OBJECTED)]
    assert _current(engine, GOLD) == 0
    for topic, mails in (("finance-news", 0), ("product-news", 1)):  # of the others they may be asked
        dispatcher("subscribers", "add", MARIA, "--topic", topic, "--source", "by phone")
        with engine.begin() as conn:
            assert len(conn.execute(select(campaign)).all()) == mails


@pytest.mark.usefixtures("maria")
def test_an_objection_takes_the_place_of_a_withdrawal(dispatcher: Run, engine: Engine, keyring: Keyring) -> None:
    dispatcher("consent", "withdraw", MARIA)
    dispatcher("consent", "object", MARIA)
    assert ("all", SuppressionReason.OBJECTED) in _barred(engine, keyring)

"""A mail to the unsubscribe address ends the consent that its token names, and nothing else does."""

import subprocess
import sys

import pytest
from sqlalchemy import Engine

from dispatcher.bounces import intake
from dispatcher.db import clock
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain import consent, tokens
from dispatcher.domain.people import subscribers
from dispatcher.domain.tokens import Keyring, Link, Purpose
from tests import builders

ANNA = "anna@example.de"


@pytest.fixture
def anna(engine: Engine, keyring: Keyring) -> int:
    with engine.begin() as conn:
        now = clock.now(conn)
        ids = builders.add_people(conn, keyring, [ANNA], now)
        for topic in (Topic.FINANCE_NEWS, Topic.PRODUCT_NEWS):
            builders.agree(conn, [ids[ANNA]], topic, now)
    return ids[ANNA]


def address_of(engine: Engine, keyring: Keyring, anna: int) -> str:
    return f"{tokens.for_letter(keyring, link_of(engine, anna)).unsubscribe_local_part}@bounce.example.de"


def link_of(engine: Engine, anna: int) -> Link:
    with engine.begin() as conn:
        person = subscribers.by_id(conn, anna)
    assert person is not None
    return Link(person.public_id, Topic.FINANCE_NEWS, 1)


def take(engine: Engine, keyring: Keyring, message: str, *recipients: str) -> int:
    with engine.begin() as conn:
        return intake.take(conn, keyring, message.encode(), recipients, clock.now(conn))


def states(engine: Engine, anna: int) -> dict[str, str]:
    with engine.begin() as conn:
        return {topic: state for topic, (state, _) in consent.standing(conn, anna).items()}


@pytest.mark.parametrize("header", ["To", "Delivered-To", "X-Original-To"])
def test_a_mail_to_the_address_in_the_header_ends_that_consent_alone(engine, keyring, anna, header) -> None:
    mail = f"From: <somebody@example.com>\n{header}: <{address_of(engine, keyring, anna)}>\n\nhi\n"
    assert take(engine, keyring, mail) == 1
    withdrawn, confirmed = SubscriptionState.WITHDRAWN, SubscriptionState.CONFIRMED
    assert states(engine, anna) == {Topic.FINANCE_NEWS: withdrawn, Topic.PRODUCT_NEWS: confirmed}
    assert take(engine, keyring, mail) == 0


def test_the_envelopes_recipient_is_enough_even_in_capitals(engine, keyring, anna) -> None:
    assert take(engine, keyring, "Subject: x\n\n", address_of(engine, keyring, anna).upper()) == 1


def test_a_token_for_something_else_or_an_altered_one_has_no_effect(engine, keyring, anna) -> None:
    good = address_of(engine, keyring, anna)
    altered = good.replace("@", "a@")
    bounce = (
        tokens.for_letter(keyring, link_of(engine, anna)).bounce_local_part.replace("b+", "u+") + "@bounce.example.de"
    )
    page = tokens.sign(keyring, Purpose.UNSUBSCRIBE, link_of(engine, anna))
    for address in (bounce, altered, f"u+{page}@bounce.example.de", f"u+{'a' * 30}@bounce.example.de"):
        assert take(engine, keyring, f"To: {address}\n\n") == 0
    assert set(states(engine, anna).values()) == {SubscriptionState.CONFIRMED}


def test_a_message_of_rubbish_has_no_effect(engine, keyring, anna) -> None:
    with engine.begin() as conn:
        assert intake.take(conn, keyring, bytes(range(256)) * 2000, [], clock.now(conn)) == 0


def test_with_the_database_away_the_mail_server_is_told_to_come_back(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dispatcher", "intake"],
        env={"DISPATCHER_VAR": str(tmp_path), "DISPATCHER_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"},
        input=b"To: x\n\n",
        check=False,
        capture_output=True,
    )
    assert done.returncode == 75

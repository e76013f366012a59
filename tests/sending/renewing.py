"""Words that are good no more, people who agreed to them, and a campaign that asks them to renew."""

import email
import email.policy
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage

from dispatcher.db import clock
from dispatcher.db.terms import ConsentKind, Language, Topic
from dispatcher.domain import (
    consent,
    coverage,
    declarations,
)
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.declarations import Draft
from dispatcher.sending import renewal, sweep
from tests.relay import ScriptedRelay
from tests.stage import Stage

NEWS, GOLD, OFFERS = Topic


def enter(
    stage: Stage,
    version: str,
    *renews: Topic,
    covers: tuple[Topic, ...] = tuple(Topic),
    ahead: timedelta = timedelta(),
) -> None:
    texts = {language: f"Words {version} in {language}" for language in Language}
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        draft = Draft(version, texts, covers, frozenset(renews), valid_from=now + ahead)
        declarations.enter(conn, draft, now)


def agree(stage: Stage, addresses: list[str], version: str, *topics: Topic) -> None:
    with stage.engine.begin() as conn:
        words = declarations.texts(conn, declarations.named(conn, version).number)[0]
        proof = Evidence(source="a test", declaration_id=words.id)
        events = [
            Event(stage.ids[address], topic, ConsentKind.CONFIRMED, proof) for address in addresses for topic in topics
        ]
        consent.append(conn, events, clock.now(conn))


def ask(stage: Stage, topic: Topic = GOLD, version: str = "2") -> int:
    with stage.engine.begin() as conn:
        found = declarations.named(conn, version)
        return renewal.ask(conn, found, topic, stage.house, clock.now(conn))


def ask_and_launch(stage: Stage, topic: Topic = GOLD, version: str = "2") -> int:
    campaign_id = ask(stage, topic, version)
    assert sweep.begin(stage.engine, campaign_id, stage.house)
    return campaign_id


def mails(relay: ScriptedRelay) -> Iterator[tuple[str, EmailMessage]]:
    for accepted in relay.accepted:
        message = email.message_from_bytes(accepted.raw, policy=email.policy.SMTP)
        assert isinstance(message, EmailMessage)
        yield accepted.recipient, message


def token_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    (token,) = [line.rpartition("/c/")[2] for line in body.get_content().splitlines() if "/c/" in line]
    return token.strip()


def current(stage: Stage, address: str) -> set[Topic]:
    with stage.engine.begin() as conn:
        return coverage.current_topics(conn, stage.ids[address])

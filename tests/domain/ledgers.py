"""A consent ledger to be tampered with, and what verification says of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, select

from dispatcher.db.engine import snapshot
from dispatcher.db.tables import consent_event
from dispatcher.db.terms import ConsentKind, Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.proof import verification
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.domain.proof.verification import Known, Verdict
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.guards import unguarded

NOW = datetime(2026, 11, 23, 9, 0, 1, 234567, tzinfo=UTC)
PEOPLE = ["maria@example.de", "tom@example.com"]


def fill(engine: Engine, keyring: Keyring, count: int = 6, now: datetime = NOW) -> list[int]:
    """Append so many events of two people, every field of them filled; give the people's numbers."""
    with engine.begin() as conn:
        ids = list(builders.add_people(conn, keyring, PEOPLE, now).values())
        append(conn, ids, count, builders.declare(conn, now), now)
    return ids


def append(
    conn: Connection, ids: Sequence[int], count: int, declared: int | None = None, now: datetime = NOW
) -> list[int]:
    """Append events, to these people in turn."""
    events = [_event(ids[n % len(ids)], n, declared) for n in range(count)]
    return consent.append(conn, events, now)


def known(elsewhere: Sequence[Checkpoint] = (), pems: Sequence[str] = (), now: datetime = NOW) -> Known:
    """Give what a verification goes by."""
    return Known(tuple(elsewhere), tuple(pems), now, now - timedelta(days=3 * 365))


def verified(
    engine: Engine, elsewhere: Sequence[Checkpoint] = (), pems: Sequence[str] = (), now: datetime = NOW
) -> Verdict:
    """Verify the ledger."""
    with snapshot(engine).connect() as conn:
        return verification.verify(conn, known(elsewhere, pems, now), lambda _: None)


def by_hand(engine: Engine, *statements: Any) -> None:
    """Do what somebody does who has the rights of the database's owner: no key and no trigger stands in the way."""
    with engine.connect() as conn:
        if engine.dialect.name == "sqlite":
            conn.exec_driver_sql("ROLLBACK")
            conn.exec_driver_sql("PRAGMA foreign_keys=OFF")
        with unguarded(conn):
            for statement in statements:
                conn.execute(statement)
        if engine.dialect.name == "postgresql":
            conn.commit()
    engine.dispose()


def values(engine: Engine, event_id: int) -> dict[str, Any]:
    """Give an event's fields as they are stored."""
    with engine.connect() as conn:
        return dict(conn.execute(select(consent_event).where(consent_event.c.id == event_id)).one()._mapping)


def _event(subscriber_id: int, n: int, declared: int | None) -> Event:
    evidence = Evidence(
        source=f"form {n}",
        ip="192.0.2.7",
        user_agent="Browser, ü",
        language=Language.DE,
        declaration_id=declared,
        declaration_named="newsletter-2026-01",
        privacy_sha256=b"p" * 32,
        given_at=NOW - timedelta(days=n, microseconds=1),
        mail_template="t",
        mail_sha256=b"m" * 32,
        message_id=f"<{n}@example.de>",
        relay_reply="250 2.0.0 Ok",
    )
    return Event(subscriber_id, list(Topic)[n % 3], ConsentKind.CONFIRMED, evidence)

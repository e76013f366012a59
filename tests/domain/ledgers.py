"""A consent ledger to be tampered with, and what verification says of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine

from dispatcher.db.engine import reading
from dispatcher.db.terms import ConsentKind, Language, Topic
from dispatcher.domain import consent, verification
from dispatcher.domain.checkpoints import Checkpoint
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.verification import Verdict
from tests import builders

NOW = datetime(2026, 11, 23, 9, 0, 1, 234567, tzinfo=UTC)
PEOPLE = ["maria@example.de", "tom@example.com"]


def fill(engine: Engine, keyring: Keyring, count: int = 6) -> list[int]:
    """Append so many events of two people, every field of them filled; give the people's numbers."""
    with engine.begin() as conn:
        ids = list(builders.add_people(conn, keyring, PEOPLE, NOW).values())
        append(conn, ids, count, builders.declare(conn, NOW))
    return ids


def append(conn: Connection, ids: Sequence[int], count: int, declared: int | None = None) -> list[int]:
    """Append events, to these people in turn."""
    events = [_event(ids[n % len(ids)], n, declared) for n in range(count)]
    return consent.append(conn, events, NOW)


def verified(engine: Engine, elsewhere: Sequence[Checkpoint] = (), pems: Sequence[str] = ()) -> Verdict:
    """Verify the ledger."""
    with reading(engine).connect() as conn:
        return verification.verify(conn, elsewhere, list(pems), lambda _: None)


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

"""People who leave while a campaign runs, from a process of their own: they withdraw, complain, or are erased."""

import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, update

from dispatcher.db import clock
from dispatcher.db.engine import make_engine
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import ConsentKind, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.tokens import Keyring

WAYS = ("withdrawal", "complaint", "erasure")
_TOLD = Evidence(source="a test")


def leave(url: str, people: Sequence[tuple[str, int]], ring: Keyring, topic: Topic, seed: int, record: Path) -> None:
    """Have these people (address, id) leave, one after the other, at random moments; note when each was committed."""
    engine, drawn = make_engine(url), random.Random(seed)
    file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for address, who in people:
        time.sleep(drawn.uniform(0.0, 0.01))
        way = drawn.choice(WAYS)
        at = _commit(engine, ring, topic, address, who, way)
        os.write(file, (json.dumps({"address": address, "at": at, "way": way}) + "\n").encode())
    engine.dispose()


def _commit(engine: Engine, ring: Keyring, topic: Topic, address: str, who: int, way: str) -> float:
    with engine.begin() as conn:
        _take_leave(conn, ring, topic, address, who, way)
    return time.monotonic()


def _take_leave(conn: Connection, ring: Keyring, topic: Topic, address: str, who: int, way: str) -> None:
    now = clock.now(conn)
    hashed = suppression.address_hash(ring, parse_address(address))
    match way:
        case "withdrawal":
            consent.withdraw(conn, who, [topic], _TOLD, now)
        case "complaint":
            suppression.suppress(conn, [hashed], None, SuppressionReason.COMPLAINT, _TOLD.source, now)
        case _:
            consent.append(conn, [Event(who, topic, ConsentKind.ERASED, _TOLD)], now)
            suppression.suppress(conn, [hashed], None, SuppressionReason.ERASED, _TOLD.source, now)
            conn.execute(update(subscriber).where(subscriber.c.id == who).values(address=None, name="", erased_at=now))

"""People who leave while a campaign runs, from a process of their own: they withdraw, complain, or are erased."""

import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, update

from dispatcher.db import clock
from dispatcher.db.engine import make_engine
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import ConsentKind, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.tokens import Key, Keyring

WAYS = ("withdrawal", "complaint", "erasure")
_TOLD = Evidence(source="a test")


@dataclass(frozen=True, slots=True)
class Leaving:
    """Who may leave: `people` by address in the order of their turn; `share` of them do. Half of those are people whose
    turn is at hand, as the witness's record shows it, so that they leave about when their letters wait at the gate.
    """

    url: str
    people: Sequence[tuple[str, int]]
    keys: Sequence[tuple[str, bytes]]  # of the keyring: a compiled one does not come through pickle
    topic: Topic
    seed: int
    share: float
    accepted: Path
    record: Path


def leave(order: Leaving) -> None:
    """Have people leave, one after the other, at random moments; note when each was committed."""
    engine, drawn = make_engine(order.url), random.Random(order.seed)
    file = os.open(order.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    left: set[int] = set()
    places = {address: place for place, (address, _) in enumerate(order.people)}
    while len(left) < len(order.people) * order.share:
        time.sleep(drawn.uniform(0.0, 0.004))
        place = drawn.randrange(len(order.people))
        if drawn.random() < 0.5:
            place = min(_reached(order.accepted, places) + drawn.randint(-2, 30), len(order.people) - 1)
        if place in left:
            continue
        left.add(place)
        address, who = order.people[place]
        way = drawn.choice(WAYS)
        at = _commit(engine, order, address, who, way)
        os.write(file, (json.dumps({"address": address, "at": at}) + "\n").encode())
    engine.dispose()


def _reached(accepted: Path, places: dict[str, int]) -> int:
    """Give the place of whose letter was accepted last."""
    if not accepted.exists():
        return 0
    with accepted.open("rb") as record:
        record.seek(max(0, record.seek(0, os.SEEK_END) - 2000))
        lines = record.read().split(b"\n")
    return places.get(json.loads(lines[-2])["recipient"], 0) if len(lines) > 2 else 0


def _commit(engine: Engine, order: Leaving, address: str, who: int, way: str) -> float:
    with engine.begin() as conn:
        _take_leave(conn, order, address, who, way)
    return time.monotonic()


def _take_leave(conn: Connection, order: Leaving, address: str, who: int, way: str) -> None:
    now, topic = clock.now(conn), order.topic
    hashed = address_hash(Keyring(tuple(Key(*key) for key in order.keys)), parse_address(address))
    match way:
        case "withdrawal":
            consent.withdraw(conn, who, [topic], _TOLD, now)
        case "complaint":
            suppression.suppress(conn, [hashed], None, SuppressionReason.COMPLAINT, _TOLD.source, now)
        case _:
            consent.append(conn, [Event(who, topic, ConsentKind.ERASED, _TOLD)], now)
            suppression.suppress(conn, [hashed], None, SuppressionReason.ERASED, _TOLD.source, now)
            conn.execute(update(subscriber).where(subscriber.c.id == who).values(address=None, name="", erased_at=now))

"""Made-up people for a measurement: addresses, hashes and consents as an import would write them, only faster.

A tenth of them have withdrawn since, and the daily run has taken their address and name away; a fiftieth of the others
are on the never-mail list; so the gate has something to refuse. Everyone asked for the one topic that is measured.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from dispatcher.bench.letter import TOPIC
from dispatcher.db.terms import EVERY_TOPIC, ConsentKind, SubscriptionState, SuppressionReason
from dispatcher.domain.proof import chain, chain_head
from dispatcher.domain.tokens import Keyring

_CHUNK = 10_000
_SUBSCRIBER = ("id", "public_id", "address", "address_hash", "name", "language", "created_at")
_SUBSCRIPTION = ("topic", "subscriber_id", "state", "event_id", "since")
_SUPPRESSION = ("address_hash", "scope", "reason", "source", "at")
_NAMES = (
    "Maria Muster", "Jörg Weiß", "Anna Berg", "Lukas Fließ", "Tom Hill", "Eva-Maria Lang", "", "Peter Schmidt",
    "Sabine Schneider", "Ben Fischer",
)  # fmt: skip


def fill(conn: Connection, ring: Keyring, count: int, now: datetime) -> None:
    """Put `count` people into an empty database. Their events are chained, as those of real people are."""
    chained = _Events(chain_head.take(conn, now).head, now)
    for start in range(1, count + 1, _CHUNK):
        ids = range(start, min(start + _CHUNK, count + 1))
        people = list(_people(ids, ring, now))
        _write(conn, "subscriber", _SUBSCRIBER, people)
        _write(conn, "consent_event", chain.COLUMNS, [chained.next(i) for i in ids])
        _write(conn, "subscription", _SUBSCRIPTION, [_subscription(i, now) for i in ids])
        hashes = [person[3] for i, person in zip(ids, people, strict=True) if i % 50 == 1]
        _write(
            conn,
            "suppression",
            _SUPPRESSION,
            [(h, EVERY_TOPIC, SuppressionReason.COMPLAINT, "bench", now) for h in hashes],
        )
    chain_head.move(conn, count, count, chained.head)
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT setval(pg_get_serial_sequence('subscriber', 'id'), :n)"), {"n": count})


def public_id(i: int) -> bytes:
    """Give what stands for a person in links."""
    return hashlib.blake2b(b"%d" % i, digest_size=8).digest()


def nth_subscribed(n: int) -> int:
    """Give the number of the n-th person, from 0, whose consent stands."""
    return n // 9 * 10 + n % 9 + 1


def _people(ids: Sequence[int], ring: Keyring, now: datetime) -> Iterator[tuple[object, ...]]:
    for i in ids:
        address = f"person{i}@example.de"
        hashed = hmac.digest(ring.oldest.secret, b"address\0" + address.encode(), "sha256")
        told = (None, "") if _has_left(i) else (address, _NAMES[i % len(_NAMES)])
        yield i, public_id(i), told[0], hashed, told[1], "de", now


class _Events:
    """Event upon event. All have the same salt and personal fields, so their hash is made once."""

    def __init__(self, head: bytes, now: datetime) -> None:
        self.head = head
        self._now = now
        self._personal: tuple[chain.Value, ...] = ("newsletter form 3 (import: bench)", None, None, None, None)
        self._salt = bytes(16)
        self._hashed = chain.personal_sha256(self._salt, self._personal)

    def next(self, i: int) -> tuple[object, ...]:
        kind = ConsentKind.WITHDRAWN if _has_left(i) else ConsentKind.IMPORTED
        sealed = (i, i, TOPIC, kind, self._now, None, "de", None, None, None, None, None, None)
        self.head = chain.chain_hash(self.head, self._hashed, sealed)
        return *sealed, *self._personal, self._salt, self._hashed, self.head


def _has_left(i: int) -> bool:
    return i % 10 == 0


def _subscription(i: int, now: datetime) -> tuple[object, ...]:
    state = SubscriptionState.WITHDRAWN if _has_left(i) else SubscriptionState.CONFIRMED
    return TOPIC, i, state, i, now


def _write(conn: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    names = ", ".join(columns)
    if conn.dialect.name == "postgresql":
        with conn.connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:  # type: ignore[attr-defined]
            for row in rows:
                copy.write_row(row)
        return
    places = ", ".join("?" * len(columns))
    conn.exec_driver_sql(
        f"INSERT INTO {table} ({names}) VALUES ({places})",  # noqa: S608  (our own words)
        [tuple(_stored(value) for value in row) for row in rows],
    )


def _stored(value: object) -> object:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value

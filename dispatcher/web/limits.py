"""Limits of the sign-up form, so that it cannot be used to flood somebody with confirmation mails.

Counted in `signup_attempt`, in keyed hashes; only what was let through counts, so that the table cannot grow faster
than the limits allow. Those who come at one moment are asked about together, and counted one after the other.

What is counted bears a running number within its bucket. So whether a bucket is full is a look at one row, the one that
lies as far back as the limit allows, and not a walk through all that are younger. Where two processes count at the same
instant without `in_turn`, a number may be there twice, and one passes too many: a limit is a dam, no account book.
"""

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Text,
    bindparam,
    insert,
    literal_column,
    select,
    text,
    true,
)

from dispatcher.db.columns import Rows, Utc
from dispatcher.db.tables import signup_attempt
from dispatcher.domain.addresses import Address
from dispatcher.domain.tokens import Keyring
from dispatcher.web.security import IpAddress, network_of


class Bucket(StrEnum):
    """What attempts are counted by."""

    IP = "ip"  # an IPv4 address or an IPv6 /64
    TOTAL = "total"  # all of them
    ADDRESS = "address"
    DOMAIN = "domain"  # of the address


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` attempts `within` a sliding time."""

    most: int
    within: timedelta


# Sign-ups of a whole office or school come from one address; large providers have many customers.
LIMITS: Mapping[Bucket, Limit] = {
    Bucket.IP: Limit(20, timedelta(hours=1)),
    Bucket.TOTAL: Limit(2000, timedelta(hours=1)),
    Bucket.ADDRESS: Limit(4, timedelta(days=1)),
    Bucket.DOMAIN: Limit(500, timedelta(hours=1)),
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """The attempt may go on."""


@dataclass(frozen=True, slots=True)
class Silenced:
    """Too many for this address or its domain. Whoever asks must not learn it: it would tell about somebody else."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Too many from this place, or in total."""

    retry_after: timedelta


class Attempt(NamedTuple):
    """Somebody at this place wants letters for this address. `ip` is None where it is not known."""

    ip: IpAddress | None
    address: Address


def in_turn(conn: Connection) -> None:
    """Let one process count after the other, until the end of the transaction: for those who wait for nobody's row
    meanwhile. SQLite writes one after the other anyway.

    Whoever signs up looks up rows by their keys. So in this transaction no table is walked through: PostgreSQL would
    keep a plan that it made while the tables were nearly empty, and go by it when they are not.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(_IN_TURN)


def admit_each(
    conn: Connection, keyring: Keyring, attempts: Sequence[Attempt], now: datetime
) -> list[Admitted | Silenced | Refused]:
    """Count attempts to sign up, and say whether they may go on; those that come first are counted first."""
    if not attempts:
        return []
    hashes = [_hashes(keyring, attempt) for attempt in attempts]
    filling = _Filling(conn, hashes, now)
    admissions, counted = list[Admitted | Silenced | Refused](), list[_Counted]()
    for of in hashes:
        waits = {bucket: filling.wait(bucket, hashed) for bucket, hashed in of.items()}
        loud = max(waits[Bucket.IP], waits[Bucket.TOTAL])
        if loud:
            admissions.append(Refused(loud))
            continue
        is_silenced = bool(waits[Bucket.ADDRESS] or waits[Bucket.DOMAIN])
        admissions.append(Silenced() if is_silenced else Admitted())
        for bucket in (Bucket.IP, Bucket.TOTAL) if is_silenced else tuple(Bucket):
            counted.append(_Counted(bucket, of[bucket], filling.add(of[bucket])))
    _count(conn, counted, now)
    return admissions


class _Counted(NamedTuple):
    """An attempt that was let through, in one of its buckets."""

    bucket: Bucket
    hash: bytes
    number: int


class _Filling:
    """How full the buckets are: as they stand in the database, and by what was let through since."""

    def __init__(self, conn: Connection, hashes: Sequence[Mapping[Bucket, bytes]], now: datetime) -> None:
        self._now = now
        asked = Counter(pair for of in hashes for pair in of.items())
        # Of each bucket, those attempts that would fill it for the one or the other of so many who ask.
        spans = [_Span(hashed, LIMITS[bucket].most - 1, count) for (bucket, hashed), count in asked.items()]
        self._stood, self._at = _look_up(conn, spans)
        self._last = {span.hash: self._stood.get(span.hash, 0) for span in spans}

    def wait(self, bucket: Bucket, hashed: bytes) -> timedelta:
        """Give how long until there is room in a bucket; nothing if there is."""
        number = self._last[hashed] - LIMITS[bucket].most + 1
        at = self._now if number > self._stood.get(hashed, 0) else self._at.get((hashed, number))
        return timedelta() if at is None else max(at + LIMITS[bucket].within - self._now, timedelta())

    def add(self, hashed: bytes) -> int:
        """Take note of one that was let through; give its number."""
        self._last[hashed] += 1
        return self._last[hashed]


class _Span(NamedTuple):
    """Attempts of one bucket: `most` of them, the first of them `back` before its last."""

    hash: bytes
    back: int
    most: int


def _look_up(conn: Connection, spans: Sequence[_Span]) -> tuple[dict[bytes, int], dict[tuple[bytes, int], datetime]]:
    """Give the last number of each bucket that has any, and when the attempts of these spans were."""
    last, at = dict[bytes, int](), dict[tuple[bytes, int], datetime]()
    dialect = conn.dialect.name
    given = [_SPANS.values(dialect, spans)] if dialect == "postgresql" else [span._asdict() for span in spans]
    for one in given:
        for row in conn.execute(_standing(dialect), one):
            hashed = bytes(row.hash)
            last[hashed] = row.last
            if row.at is not None:
                at[hashed, row.number] = row.at
    return last, at


_IN_TURN = text("SELECT pg_advisory_xact_lock(7233012), set_config('enable_seqscan', 'off', true)")
_SPANS = Rows("spans", {"hash": LargeBinary(), "back": BigInteger(), "most": BigInteger()})


@lru_cache(maxsize=2)
def _standing(dialect: str) -> Select[Any]:
    """Give the SELECT of the spans' attempts, each beside the last number of its bucket."""
    spans = _SPANS.table(dialect) if dialect == "postgresql" else _one_span()
    last, one = signup_attempt.alias("last"), signup_attempt.alias("one")
    newest = select(last.c.number).where(last.c.bucket_hash == spans.c.hash).order_by(last.c.number.desc()).limit(1)
    buckets = select(*spans.c, newest.correlate(spans).scalar_subquery().label("last")).select_from(spans)
    of = (
        buckets.offset(literal_column("0", Integer)).subquery("of")
        if dialect == "postgresql"
        else buckets.subquery("of")
    )
    first = of.c.last - of.c.back
    is_within = (one.c.bucket_hash == of.c.hash) & one.c.number.between(first, first + of.c.most - 1)
    return (
        select(of.c.hash, of.c.last, one.c.number, one.c.at)
        .select_from(of.outerjoin(one, is_within))
        .where(of.c.last.is_not(None))
    )


def _one_span() -> FromClause:
    names = (("hash", LargeBinary()), ("back", Integer()), ("most", Integer()))
    return select(*(bindparam(name, type_=type_).label(name) for name, type_ in names)).subquery("spans")


def _count(conn: Connection, counted: Sequence[_Counted], now: datetime) -> None:
    """Write down what was let through."""
    if not counted:
        return
    if conn.dialect.name == "postgresql":
        conn.execute(_counting(), {**_COUNTED.values("postgresql", counted), "now": now})
        return
    rows = [{"at": now, "bucket": one.bucket, "bucket_hash": one.hash, "number": one.number} for one in counted]
    conn.execute(insert(signup_attempt), rows)


_COUNTED = Rows("counted", {"bucket": Text(), "bucket_hash": LargeBinary(), "number": BigInteger()})


@lru_cache(maxsize=1)
def _counting() -> Insert:
    rows, at = _COUNTED.table("postgresql"), bindparam("now", type_=Utc())
    return insert(signup_attempt).from_select([*rows.c.keys(), "at"], select(*rows.c, at).where(true()))


def _hashes(keyring: Keyring, attempt: Attempt) -> dict[Bucket, bytes]:
    return {
        bucket: _hash(keyring, bucket, value)
        for bucket, value in (
            (Bucket.IP, network_of(attempt.ip) if attempt.ip else "unknown"),
            (Bucket.TOTAL, ""),
            (Bucket.ADDRESS, attempt.address.canonical),
            (Bucket.DOMAIN, attempt.address.domain),
        )
    }


def _hash(keyring: Keyring, bucket: Bucket, value: str) -> bytes:
    return hmac.digest(keyring.signing.secret, f"signup\0{bucket}\0{value}".encode(), "sha256")[:16]

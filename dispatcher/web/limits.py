"""Limits of the sign-up form, so that it cannot be used to flood somebody with confirmation mails.

Counted in `signup_attempt`, in keyed hashes; only what was let through counts, so that the table cannot grow faster
than the limits allow. Those who come at one moment are asked about together, and counted one after the other. Requests
that reach two processes at the same instant may both pass on PostgreSQL: a limit is a dam, no account book.
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
    ARRAY,
    Connection,
    DateTime,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Text,
    bindparam,
    func,
    insert,
    select,
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


def admit_each(
    conn: Connection, keyring: Keyring, attempts: Sequence[Attempt], now: datetime
) -> list[Admitted | Silenced | Refused]:
    """Count attempts to sign up, and say whether they may go on; those that come first are counted first."""
    if not attempts:
        return []
    hashes = [_hashes(keyring, attempt) for attempt in attempts]
    filling = _Filling(conn, hashes, now)
    admissions, counted = list[Admitted | Silenced | Refused](), list[tuple[Bucket, bytes]]()
    for of in hashes:
        waits = {bucket: filling.wait(bucket, hashed) for bucket, hashed in of.items()}
        loud = max(waits[Bucket.IP], waits[Bucket.TOTAL])
        if loud:
            admissions.append(Refused(loud))
            continue
        is_silenced = bool(waits[Bucket.ADDRESS] or waits[Bucket.DOMAIN])
        admissions.append(Silenced() if is_silenced else Admitted())
        for bucket in (Bucket.IP, Bucket.TOTAL) if is_silenced else tuple(Bucket):
            filling.add(of[bucket])
            counted.append((bucket, of[bucket]))
    _count(conn, counted, now)
    return admissions


class _Filling:
    """How full the buckets are: as they stand in the database, and by what was let through since."""

    def __init__(self, conn: Connection, hashes: Sequence[Mapping[Bucket, bytes]], now: datetime) -> None:
        self._now = now
        self._added: Counter[bytes] = Counter()
        asked = Counter(pair for of in hashes for pair in of.items())
        # Of each bucket, those attempts that would fill it for the one or the other of so many who ask.
        self._spans = [
            _Span(hashed, now - LIMITS[bucket].within, max(0, LIMITS[bucket].most - count), count)
            for (bucket, hashed), count in asked.items()
        ]
        self._skipped = {span.hash: span.skip for span in self._spans}
        self._newest = _newest(conn, self._spans)

    def wait(self, bucket: Bucket, hashed: bytes) -> timedelta:
        """Give how long until there is room in a bucket; nothing if there is."""
        limit, newest = LIMITS[bucket], self._newest[hashed]
        place = limit.most - 1 - self._added[hashed] - self._skipped[hashed]
        if place < 0:
            return limit.within
        return newest[place] + limit.within - self._now if place < len(newest) else timedelta()

    def add(self, hashed: bytes) -> None:
        """Take note of one that was let through."""
        self._added[hashed] += 1


class _Span(NamedTuple):
    """Attempts of one bucket: the newest ones are skipped, the next so many are looked at."""

    hash: bytes
    since: datetime
    skip: int
    most: int


def _newest(conn: Connection, spans: Sequence[_Span]) -> dict[bytes, list[datetime]]:
    """Give by hash when the attempts of these spans were, the newest first."""
    if conn.dialect.name == "postgresql":
        rows = conn.execute(_all_spans(), _SPANS.values("postgresql", spans))
        return {bytes(row.hash): row.newest for row in rows}
    return {span.hash: list(conn.execute(_ONE_SPAN, span._asdict()).scalars()) for span in spans}


_SPANS = Rows("spans", {"hash": LargeBinary(), "since": DateTime(timezone=True), "skip": Integer(), "most": Integer()})
_ONE_SPAN = (
    select(signup_attempt.c.at)
    .where(signup_attempt.c.bucket_hash == bindparam("hash"), signup_attempt.c.at > bindparam("since"))
    .order_by(signup_attempt.c.at.desc())
    .offset(bindparam("skip"))
    .limit(bindparam("most"))
)


@lru_cache(maxsize=1)
def _all_spans() -> Select[Any]:
    c, spans = signup_attempt.c, _SPANS.table("postgresql")
    newest = (
        select(c.at)
        .where(c.bucket_hash == spans.c.hash, c.at > spans.c.since)
        .order_by(c.at.desc())
        .offset(spans.c.skip)
        .limit(spans.c.most)
        .correlate(spans)
    )
    return select(
        spans.c.hash, func.array(newest.scalar_subquery(), type_=ARRAY(DateTime(timezone=True))).label("newest")
    )


def _count(conn: Connection, counted: Sequence[tuple[Bucket, bytes]], now: datetime) -> None:
    """Write down what was let through."""
    if not counted:
        return
    if conn.dialect.name == "postgresql":
        conn.execute(_counting(), {**_COUNTED.values("postgresql", counted), "now": now})
        return
    rows = [{"at": now, "bucket": bucket, "bucket_hash": hashed} for bucket, hashed in counted]
    conn.execute(insert(signup_attempt), rows)


_COUNTED = Rows("counted", {"bucket": Text(), "bucket_hash": LargeBinary()})


@lru_cache(maxsize=1)
def _counting() -> Insert:
    rows, at = _COUNTED.table("postgresql"), bindparam("now", type_=Utc())
    return insert(signup_attempt).from_select(["bucket", "bucket_hash", "at"], select(*rows.c, at).where(true()))


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

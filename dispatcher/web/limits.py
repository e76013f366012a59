"""Limits of the sign-up form, so that it cannot be used to flood somebody with confirmation mails.

Counted in `signup_attempt`, in keyed hashes; only what was let through counts, so that the table cannot grow faster
than the limits allow. Two requests at the same instant may both pass on PostgreSQL: a limit is a dam, no account book.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Text,
    bindparam,
    insert,
    literal,
    literal_column,
    select,
    union_all,
)

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


def admit(
    conn: Connection, keyring: Keyring, ip: IpAddress | None, address: Address, now: datetime
) -> Admitted | Silenced | Refused:
    """Count an attempt to sign up and say whether it may go on."""
    hashes = {
        bucket: _hash(keyring, bucket, value)
        for bucket, value in (
            (Bucket.IP, network_of(ip) if ip else "unknown"),
            (Bucket.TOTAL, ""),
            (Bucket.ADDRESS, address.canonical),
            (Bucket.DOMAIN, address.domain),
        )
    }
    waits = _waits(conn, hashes, now)
    loud = max(waits[Bucket.IP], waits[Bucket.TOTAL])
    if loud:
        return Refused(loud)
    is_silenced = bool(waits[Bucket.ADDRESS] or waits[Bucket.DOMAIN])
    counted = (Bucket.IP, Bucket.TOTAL) if is_silenced else tuple(Bucket)
    conn.execute(_counting(counted), {"at": now, **{f"hash_{bucket}": hashes[bucket] for bucket in counted}})
    return Silenced() if is_silenced else Admitted()


def _waits(conn: Connection, hashes: Mapping[Bucket, bytes], now: datetime) -> dict[Bucket, timedelta]:
    """Give for each bucket how long until there is room again; nothing if there is."""
    given: dict[str, object] = {f"hash_{bucket}": hashed for bucket, hashed in hashes.items()}
    given |= {f"since_{bucket}": now - LIMITS[bucket].within for bucket in hashes}
    filled = conn.execute(_filling(), given).one()
    return {
        bucket: timedelta() if at is None else at + LIMITS[bucket].within - now
        for bucket, at in zip(Bucket, filled, strict=True)
    }


@lru_cache(maxsize=1)
def _filling() -> Select[Any]:
    """Give the SELECT of the attempt that fills each bucket, if any does: all in one row. Its numbers are written out,
    for PostgreSQL would plan it anew each time if they were parameters.
    """
    c = signup_attempt.c
    return select(
        *(
            select(c.at)
            .where(c.bucket_hash == bindparam(f"hash_{bucket}"), c.at > bindparam(f"since_{bucket}"))
            .order_by(c.at.desc())
            .offset(
                literal_column(str(LIMITS[bucket].most - 1), Integer)
            )  # as a parameter it would be planned each time
            .limit(literal_column("1", Integer))
            .scalar_subquery()
            .label(bucket)
            for bucket in Bucket
        )
    )


@lru_cache(maxsize=2)
def _counting(buckets: tuple[Bucket, ...]) -> Insert:
    """Give the INSERT of an attempt in each of these buckets."""
    c = signup_attempt.c
    rows = (
        select(bindparam("at", type_=c.at.type), literal(bucket, Text), bindparam(f"hash_{bucket}", type_=LargeBinary))
        for bucket in buckets
    )
    return insert(signup_attempt).from_select(["at", "bucket", "bucket_hash"], union_all(*rows))


def _hash(keyring: Keyring, bucket: Bucket, value: str) -> bytes:
    return hmac.digest(keyring.signing.secret, f"signup\0{bucket}\0{value}".encode(), "sha256")[:16]

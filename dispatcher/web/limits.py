"""Limits of the sign-up form, so that it cannot be used to flood somebody with confirmation mails.

Counted in `signup_attempt`, in keyed hashes; only what was let through counts, so that the table cannot grow faster
than the limits allow. Two requests at the same instant may both pass on PostgreSQL: a limit is a dam, no account book.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, insert, select

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
    waits = {bucket: _wait(conn, hashed, LIMITS[bucket], now) for bucket, hashed in hashes.items()}
    loud = max(waits[Bucket.IP], waits[Bucket.TOTAL])
    if loud:
        return Refused(loud)
    is_silenced = bool(waits[Bucket.ADDRESS] or waits[Bucket.DOMAIN])
    counted = (Bucket.IP, Bucket.TOTAL) if is_silenced else tuple(Bucket)
    conn.execute(insert(signup_attempt), [{"at": now, "bucket": b, "bucket_hash": hashes[b]} for b in counted])
    return Silenced() if is_silenced else Admitted()


def _wait(conn: Connection, hashed: bytes, limit: Limit, now: datetime) -> timedelta:
    """Give how long until there is room again; nothing if there is."""
    c = signup_attempt.c
    filling = (
        select(c.at)
        .where(c.bucket_hash == hashed, c.at > now - limit.within)
        .order_by(c.at.desc())
        .offset(limit.most - 1)
        .limit(1)
    )
    at: datetime | None = conn.execute(filling).scalar_one_or_none()
    return timedelta() if at is None else at + limit.within - now


def _hash(keyring: Keyring, bucket: Bucket, value: str) -> bytes:
    return hmac.digest(keyring.signing.secret, f"signup\0{bucket}\0{value}".encode(), "sha256")[:16]

"""How often one may be wrong at a log-in.

Wrong attempts are counted by the address from which they come, and by account. Whoever guesses at an account from
everywhere gets ten guesses an hour; all who guess at many accounts from many networks get 2,000 together, so the table
has a bound and so has the time that goes into hashes. So that its owner is not locked out meanwhile, a browser in which
they logged in before bears a mark, and whoever shows it has a count of their own. Who has neither mark nor patience
asks for a link.

What must stay true: known and unknown accounts are counted alike; an attempt is counted before it is judged, so many at
once get no more guesses than one after the other; an attempt that is refused is not counted.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, text, update

from dispatcher.db.tables import login_attempt
from dispatcher.domain.tokens import Key, Keyring

MOST_BY_ACCOUNT = 10
MOST_BY_NETWORK = 50  # a whole office
MOST_BY_STRANGERS = 2_000  # whoever shows no mark, all together
WITHIN = timedelta(hours=1)
_MARK_LASTS = timedelta(days=180)
_NONCE, _MAC = 12, 16
_a = login_attempt.c


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that is counted as wrong until it turns out right."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Too many were wrong."""

    retry_after: timedelta


def admit_stranger(
    conn: Connection, keyring: Keyring, account: str, network: str, mark: bytes | None, now: datetime
) -> Attempt | Wait:
    """Count an attempt of somebody of whom nothing is known unless they show a mark, or refuse it."""
    limits = _limits(keyring, account, network, mark)
    if mark is None:
        limits[_hash(keyring, "strangers", "")] = MOST_BY_STRANGERS
    return _admit(conn, limits, now)


def admit(
    conn: Connection, keyring: Keyring, account: str, network: str, mark: bytes | None, now: datetime
) -> Attempt | Wait:
    """Count an attempt of somebody who has been let in so far, or refuse it. `account` is what was typed, in its one
    spelling; `mark` what the browser showed, if it was made for this account.
    """
    return _admit(conn, _limits(keyring, account, network, mark), now)


def forgive(conn: Connection, attempt: Attempt) -> None:
    """It was right: it does not count."""
    conn.execute(delete(login_attempt).where(_a.id.in_(attempt.ids)))


def keep(conn: Connection, attempt: Attempt, now: datetime) -> None:
    """It was wrong: it counts, from now on."""
    conn.execute(update(login_attempt).where(_a.id.in_(attempt.ids)).values(at=now))


def make_mark(keyring: Keyring, account: str, now: datetime) -> str:
    """Make the mark of a browser in which somebody has logged in."""
    until = round((now + _MARK_LASTS).timestamp()).to_bytes(5, "big")
    payload = until + secrets.token_bytes(_NONCE)
    return base64.urlsafe_b64encode(payload + _mac(keyring.signing, account, payload)).decode()


def read_mark(keyring: Keyring, account: str, mark: str, now: datetime) -> bytes | None:
    """Read a mark back; None: it was not made by us for this account, or is too old."""
    try:
        sealed = base64.b64decode(mark.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    payload, mac = sealed[:-_MAC], sealed[-_MAC:]
    good = any(hmac.compare_digest(_mac(key, account, payload), mac) for key in keyring.keys)
    is_fresh = int.from_bytes(payload[:5], "big") > now.timestamp()
    return payload[5:] if good and is_fresh else None


def _limits(keyring: Keyring, account: str, network: str, mark: bytes | None) -> dict[bytes, int]:
    by_account = _hash(keyring, "account", account) if mark is None else _hash(keyring, "mark", mark.hex())
    return {by_account: MOST_BY_ACCOUNT, _hash(keyring, "network", network): MOST_BY_NETWORK}


def _admit(conn: Connection, limits: Mapping[bytes, int], now: datetime) -> Attempt | Wait:
    _lock(conn)
    conn.execute(delete(login_attempt).where(_a.at <= now - WITHIN))
    wait = max(_wait(conn, bucket, most, now) for bucket, most in limits.items())
    if wait:
        return Wait(wait)
    rows = [{"at": now, "bucket_hash": bucket} for bucket in limits]
    return Attempt(tuple(conn.execute(insert(login_attempt).returning(_a.id), rows).scalars()))


def _lock(conn: Connection) -> None:
    """On PostgreSQL one log-in after the other is counted; SQLite writes one after the other anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(7233010)"))


def _wait(conn: Connection, bucket: bytes, most: int, now: datetime) -> timedelta:
    recent = select(_a.at).where(_a.bucket_hash == bucket, _a.at > now - WITHIN)
    filling = recent.order_by(_a.at.desc()).offset(most - 1).limit(1)
    at: datetime | None = conn.execute(filling).scalar_one_or_none()
    return timedelta() if at is None else at + WITHIN - now


def _hash(keyring: Keyring, kind: str, value: str) -> bytes:
    return hmac.digest(keyring.signing.secret, f"login\0{kind}\0{value}".encode(), "sha256")[:16]


def _mac(key: Key, account: str, payload: bytes) -> bytes:
    return hmac.digest(key.secret, b"login-mark\0" + account.encode() + b"\0" + payload, "sha256")[:_MAC]

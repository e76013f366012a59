"""The second factor: one-time codes of an authenticator app (RFC 6238), and recovery codes for the day it is lost.

What must stay true: a code is good once (ASVS 6.5.1), and so is a recovery code; the secret is stored under a key that
is not in the database, and recovery codes as keyed hashes.
"""

import base64
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyotp
from sqlalchemy import Connection, delete, func, insert, select, update

from dispatcher.db.tables import staff_member, staff_recovery_code
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.domain.vault import Vault
from dispatcher.errors import InputRefused

RECOVERY_CODES = 10
_PERIOD = 30  # seconds
_VAULT = Vault(b"second-factor")
_m, _r = staff_member.c, staff_recovery_code.c


@dataclass(frozen=True, slots=True)
class Offer:
    """A secret that is shown to be set up. `sealed` travels through the form: nothing is stored until a code proves
    it.
    """

    secret: str
    sealed: str
    uri: str


def offer(keyring: Keyring, member_id: int, email: str, house: str, sealed: str = "") -> Offer:
    """Make a secret to set up, or show again the one that is sealed there."""
    secret = unseal(keyring, member_id, sealed) if sealed else None
    secret = secret or pyotp.random_base32()
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=house.replace(":", " "))
    return Offer(secret, seal(keyring, member_id, secret), uri)


def enrol(conn: Connection, keyring: Keyring, member_id: int, sealed: str, code: str, now: datetime) -> Sequence[str]:
    """Set up a second factor, proven by a code; give the recovery codes, which are never shown again.

    Raises InputRefused when the code is wrong or the secret is not one that we offered.
    """
    secret = unseal(keyring, member_id, sealed)
    step = None if secret is None else _step_of(secret, code, now, after=0)
    if step is None:
        raise InputRefused("this code is not right", "take the newest one from the app")
    conn.execute(update(staff_member).where(_m.id == member_id).values(totp_secret=sealed, totp_step=step))
    return new_recovery_codes(conn, keyring, member_id)


def new_recovery_codes(conn: Connection, keyring: Keyring, member_id: int) -> Sequence[str]:
    """Make recovery codes; earlier ones end."""
    conn.execute(delete(staff_recovery_code).where(_r.member_id == member_id))
    codes = [_spelled(secrets.token_bytes(10)) for _ in range(RECOVERY_CODES)]
    rows = [{"member_id": member_id, "code_hash": _hash(keyring.signing, member_id, code)} for code in codes]
    conn.execute(insert(staff_recovery_code), rows)
    return codes


def remove(conn: Connection, member_id: int) -> None:
    """Take the second factor off."""
    conn.execute(update(staff_member).where(_m.id == member_id).values(totp_secret=None))
    conn.execute(delete(staff_recovery_code).where(_r.member_id == member_id))


def take(conn: Connection, keyring: Keyring, member_id: int, code: str, now: datetime) -> bool:
    """Take a code of the app or a recovery code. False: wrong, or used before."""
    code = "".join(code.split()).lower()
    if len(code) == 6 and code.isascii() and code.isdigit():
        return _take_code(conn, keyring, member_id, code, now)
    hashes = [_hash(key, member_id, code) for key in keyring.keys]
    taken = delete(staff_recovery_code).where(_r.member_id == member_id, _r.code_hash.in_(hashes))
    return conn.execute(taken.returning(_r.member_id)).one_or_none() is not None


def recovery_codes_left(conn: Connection, member_id: int) -> int:
    """Count the recovery codes that were not used."""
    left = select(func.count()).select_from(staff_recovery_code).where(_r.member_id == member_id)
    return int(conn.execute(left).scalar_one())


def seal(keyring: Keyring, member_id: int, secret: str) -> str:
    """Encrypt a secret for this member."""
    return _VAULT.seal(keyring, _bound_to(member_id), secret)


def unseal(keyring: Keyring, member_id: int, sealed: str) -> str | None:
    """Decrypt; None: it was not sealed by us for this member."""
    return _VAULT.unseal(keyring, _bound_to(member_id), sealed)


def _take_code(conn: Connection, keyring: Keyring, member_id: int, code: str, now: datetime) -> bool:
    row = conn.execute(select(_m.totp_secret, _m.totp_step).where(_m.id == member_id)).one_or_none()
    secret = unseal(keyring, member_id, row.totp_secret) if row and row.totp_secret else None
    step = None if row is None or secret is None else _step_of(secret, code, now, after=row.totp_step)
    if step is None:
        return False
    # Of two who bring the same code at once, one finds the step taken.
    taken = update(staff_member).where(_m.id == member_id, _m.totp_step < step).values(totp_step=step)
    return conn.execute(taken.returning(_m.id)).one_or_none() is not None


def _step_of(secret: str, code: str, now: datetime, *, after: int) -> int | None:
    """Find the step that a code belongs to: this one, or for clocks that differ the one before or after it."""
    app = pyotp.TOTP(secret, interval=_PERIOD)
    for offset in (0, -1, 1):
        moment = now.astimezone(UTC) + timedelta(seconds=offset * _PERIOD)
        step = int(moment.timestamp()) // _PERIOD
        if hmac.compare_digest(app.at(moment), code) and step > after:
            return step
    return None


def _spelled(octets: bytes) -> str:
    """Sixteen characters in four groups, without those that are mistaken for each other."""
    text = base64.b32encode(octets).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def _hash(key: Key, member_id: int, code: str) -> bytes:
    return hmac.digest(key.secret, f"recovery\0{member_id}\0{code.replace('-', '')}".encode(), "sha256")


def _bound_to(member_id: int) -> str:
    return f"member {member_id}"

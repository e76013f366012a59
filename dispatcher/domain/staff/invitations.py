"""Links by which a password is set: for who is new, for who forgot theirs, and for the first administrator.

What must stay true: the token is random and stored as a hash; it is good once, and not for long; of one person's links
only the newest is good; the first administrator's is good only while nobody has an account.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from dispatcher.db.tables import staff_invitation
from dispatcher.domain.staff import members
from dispatcher.domain.staff.members import Member
from dispatcher.errors import MoveRefused

LASTS = timedelta(days=3)
FIRST_LASTS = timedelta(days=1)
_i = staff_invitation.c


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whose link it is; None: the first administrator's, who names themselves."""

    member: Member | None


def invite(conn: Connection, member_id: int, now: datetime) -> str:
    """Make a link's token for a member; an earlier one ends."""
    conn.execute(delete(staff_invitation).where((_i.member_id == member_id) | (_i.expires_at <= now)))
    return _make(conn, member_id, now + LASTS)


def invite_first(conn: Connection, now: datetime) -> str | None:
    """Make a link's token for the first administrator, and end an earlier one; None: somebody has an account."""
    if not members.is_empty(conn):
        return None
    conn.execute(delete(staff_invitation).where(_i.member_id.is_(None)))
    return _make(conn, None, now + FIRST_LASTS)


def find(conn: Connection, token: str, now: datetime) -> Invitation | None:
    """Look at a link without taking it; None: it is not good, whatever the reason."""
    row = conn.execute(select(_i.member_id).where(_i.token_sha256 == _hash(token), _i.expires_at > now)).one_or_none()
    return None if row is None else _read(conn, row.member_id)


def take(conn: Connection, token: str, now: datetime) -> Invitation:
    """Take a link; it is good no more. Of two who come at once one gets it. Raises MoveRefused."""
    taken = delete(staff_invitation).where(_i.token_sha256 == _hash(token), _i.expires_at > now)
    row = conn.execute(taken.returning(_i.member_id)).one_or_none()
    found = None if row is None else _read(conn, row.member_id)
    if found is None:
        raise MoveRefused("this link is not good any more", "ask an administrator for a new one")
    return found


def _read(conn: Connection, member_id: int | None) -> Invitation | None:
    if member_id is None:
        return Invitation(None) if members.is_empty(conn) else None
    member = members.get(conn, member_id)
    return None if member.off_at else Invitation(member)


def _make(conn: Connection, member_id: int | None, expires_at: datetime) -> str:
    token = secrets.token_urlsafe(24)
    row = {"token_sha256": _hash(token), "member_id": member_id, "expires_at": expires_at}
    conn.execute(insert(staff_invitation), row)
    return token


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()

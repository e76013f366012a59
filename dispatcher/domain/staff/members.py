"""Who has an account. What must stay true: there is always an administrator who may log in, once there was one; whose
role changes or who is switched off is logged out in the same transaction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from dispatcher.db.tables import staff_member
from dispatcher.db.terms import Language, Role
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.staff import sessions
from dispatcher.errors import InputRefused, MoveRefused, NotFound

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with an account. Without a password the invitation was not taken yet."""

    id: int
    email: str
    name: str
    language: Language
    role: Role
    has_password: bool
    has_second_factor: bool
    created_at: datetime
    seen_at: datetime | None
    off_at: datetime | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who is to get an account."""

    email: str
    name: str
    role: Role
    language: Language


_m = staff_member.c
_COLUMNS = (
    _m.id, _m.email, _m.name, _m.language, _m.role, _m.password_hash.is_not(None).label("has_password"),
    _m.totp_secret.is_not(None).label("has_second_factor"), _m.created_at, _m.seen_at, _m.off_at,
)  # fmt: skip


def candidate(email: str, name: str, role: str, language: str) -> Candidate:
    """Check what somebody typed. Raises InputRefused (AddressInvalid for the address)."""
    if role not in list(Role):
        raise InputRefused(f"there is no role {role!r}", f"the roles are: {', '.join(Role)}")
    if language not in list(Language):
        raise InputRefused(f"there is no language {language!r}", f"the languages are: {', '.join(Language)}")
    return Candidate(normal_email(email), checked_name(name), Role(role), Language(language))


def normal_email(text: str) -> str:
    """Give the one spelling under which an account is found. Raises AddressInvalid."""
    return parse_address(text.strip()).mail.lower()


def checked_name(text: str) -> str:
    """Give a name in one line. Raises InputRefused."""
    name = re.sub(r"\s+", " ", text).strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputRefused("this is no name", f"write it in one line, with at most {LONGEST_NAME} characters")
    return name


def create(conn: Connection, who: Candidate, now: datetime) -> int:
    """Enter an account without a password; give its id. Raises InputRefused when there is one for this address."""
    if by_email(conn, who.email) is not None:
        raise InputRefused("there is an account with this address", "`dispatcher people list` shows all of them")
    row = {"email": who.email, "name": who.name, "role": who.role, "language": who.language, "created_at": now}
    return int(conn.execute(insert(staff_member).returning(_m.id), row).scalar_one())


def get(conn: Connection, member_id: int) -> Member:
    """Find a member. Raises NotFound."""
    row = conn.execute(select(*_COLUMNS).where(_m.id == member_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no account {member_id}", "`dispatcher people list` shows those there are")
    return _member(row)


def by_email(conn: Connection, email: str) -> Member | None:
    """Find the member who logs in with this address, in its one spelling."""
    row = conn.execute(select(*_COLUMNS).where(_m.email == email)).one_or_none()
    return None if row is None else _member(row)


def everyone(conn: Connection, limit: int = 1000) -> list[Member]:
    """Give all members, those who may log in first, by name."""
    rows = conn.execute(select(*_COLUMNS).order_by(_m.off_at.is_not(None), func.lower(_m.name), _m.id).limit(limit))
    return [_member(row) for row in rows]


def is_empty(conn: Connection) -> bool:
    """Claim that nobody has an account yet."""
    return conn.execute(select(_m.id).limit(1)).one_or_none() is None


def set_role(conn: Connection, member_id: int, role: Role) -> bool:
    """Give somebody another role; they are logged out. False: it was theirs already. Raises MoveRefused for the last
    administrator.
    """
    stood = get(conn, member_id)
    if stood.role is role:
        return False
    if stood.role is Role.ADMIN:
        _require_another_admin(conn, member_id)
    conn.execute(update(staff_member).where(_m.id == member_id).values(role=role))
    sessions.end_all(conn, member_id)
    return True


def switch_off(conn: Connection, member_id: int, now: datetime) -> bool:
    """Let somebody in no more; they are logged out. False: they were off. Raises MoveRefused for the last
    administrator.
    """
    stood = get(conn, member_id)
    if stood.off_at is not None:
        return False
    if stood.role is Role.ADMIN:
        _require_another_admin(conn, member_id)
    conn.execute(update(staff_member).where(_m.id == member_id).values(off_at=now))
    sessions.end_all(conn, member_id)
    return True


def switch_on(conn: Connection, member_id: int) -> bool:
    """Let somebody in again. False: they were not off."""
    changed = update(staff_member).where(_m.id == member_id, _m.off_at.is_not(None)).values(off_at=None)
    return conn.execute(changed.returning(_m.id)).one_or_none() is not None


def set_profile(conn: Connection, member_id: int, name: str, language: Language) -> None:
    """Change how somebody is called, and in which language the console speaks to them."""
    conn.execute(update(staff_member).where(_m.id == member_id).values(name=checked_name(name), language=language))


def set_password_hash(conn: Connection, member_id: int, password_hash: str) -> None:
    """Store a new password's hash."""
    conn.execute(update(staff_member).where(_m.id == member_id).values(password_hash=password_hash))


def password_hash(conn: Connection, member_id: int) -> str | None:
    """Give the stored hash."""
    found: str | None = conn.execute(select(_m.password_hash).where(_m.id == member_id)).scalar_one_or_none()
    return found


def _require_another_admin(conn: Connection, member_id: int) -> None:
    """All administrators' rows are locked, in order: or two could take each other's role at the same time."""
    standing = select(_m.id).where(_m.role == Role.ADMIN, _m.off_at.is_(None), _m.password_hash.is_not(None))
    ids: Sequence[int] = conn.execute(standing.order_by(_m.id).limit(1000).with_for_update()).scalars().all()
    if not set(ids) - {member_id}:
        raise MoveRefused("this is the last administrator who can log in", "make somebody else administrator first")


def _member(row: object) -> Member:
    values = {name: getattr(row, name) for name in Member.__slots__}
    return Member(**{**values, "language": Language(values["language"]), "role": Role(values["role"])})

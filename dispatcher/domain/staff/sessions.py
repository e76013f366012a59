"""Who is logged in. What must stay true: the token is random and stored as a hash (ASVS 7.2.3); a new one is made at
each step of a log-in; a session ends when it was idle or old enough, and at once with its row.

The token that protects forms is made from the session's: whoever has one page's cannot make the cookie of it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from dispatcher.db.tables import staff_member, staff_session
from dispatcher.db.terms import Language, Role, SessionStage

IDLE = timedelta(hours=2)
LONGEST = timedelta(hours=12)
STEP = timedelta(minutes=10)  # to type a code, or to set up a second factor
_NOTED_EVERY = timedelta(minutes=1)
_MANY = 100
_s, _m = staff_session.c, staff_member.c


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in, or on the way there."""

    token_sha256: bytes
    member_id: int
    name: str
    email: str
    role: Role
    language: Language
    stage: SessionStage
    started_at: datetime
    seen_at: datetime

    def is_to_be_noted(self, now: datetime) -> bool:
        """Claim that it is time to write down that they are still there; not at every page."""
        return now - self.seen_at > _NOTED_EVERY


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is logged in, for themselves to see."""

    token_sha256: bytes
    device: str
    started_at: datetime
    seen_at: datetime


def begin(conn: Connection, member_id: int, stage: SessionStage, device: str, now: datetime) -> str:
    """Begin a session; give its token, of 256 random bits. What has expired is swept."""
    conn.execute(delete(staff_session).where((_s.seen_at <= now - IDLE) | (_s.started_at <= now - LONGEST)))
    token = secrets.token_urlsafe(32)
    row = {"token_sha256": _hash(token), "member_id": member_id, "stage": stage, "device": device[:100]}
    conn.execute(insert(staff_session), {**row, "started_at": now, "seen_at": now})
    return token


def find(conn: Connection, token: str, now: datetime) -> Session | None:
    """Find the session of a token, if it is good and its member may log in."""
    query = (
        select(
            _s.token_sha256, _s.member_id, _m.name, _m.email, _m.role, _m.language, _s.stage, _s.started_at, _s.seen_at
        )
        .join(staff_member, _m.id == _s.member_id)
        .where(
            _s.token_sha256 == _hash(token), _m.off_at.is_(None), _s.seen_at > now - IDLE, _s.started_at > now - LONGEST
        )
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        return None
    session = Session(
        bytes(row.token_sha256), row.member_id, row.name, row.email, Role(row.role), Language(row.language),
        SessionStage(row.stage), row.started_at, row.seen_at,
    )  # fmt: skip
    is_over = session.stage is not SessionStage.FULL and now - session.started_at > STEP
    return None if is_over else session


def note(conn: Connection, session: Session, now: datetime) -> None:
    """Write down that somebody is still there."""
    conn.execute(update(staff_session).where(_s.token_sha256 == session.token_sha256).values(seen_at=now))


def end(conn: Connection, token_sha256: bytes, member_id: int) -> bool:
    """End one session of a member. False: there is none."""
    ended = delete(staff_session).where(_s.token_sha256 == token_sha256, _s.member_id == member_id)
    return conn.execute(ended.returning(_s.member_id)).one_or_none() is not None


def end_all(conn: Connection, member_id: int, *, but: bytes | None = None) -> None:
    """End every session of a member, one excepted."""
    ended = delete(staff_session).where(_s.member_id == member_id)
    conn.execute(ended if but is None else ended.where(_s.token_sha256 != but))


def places(conn: Connection, member_id: int, now: datetime) -> Sequence[Place]:
    """Give where a member is logged in, the latest first."""
    query = (
        select(_s.token_sha256, _s.device, _s.started_at, _s.seen_at)
        .where(_s.member_id == member_id, _s.stage == SessionStage.FULL)
        .where(_s.seen_at > now - IDLE, _s.started_at > now - LONGEST)
        .order_by(_s.seen_at.desc())
        .limit(_MANY)
    )
    return [Place(bytes(row.token_sha256), row.device, row.started_at, row.seen_at) for row in conn.execute(query)]


def form_token(token: str) -> str:
    """Give what a form of this session carries."""
    return hmac.digest(token.encode(errors="replace"), b"form", "sha256").hex()


def is_form_token(token: str, given: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(form_token(token).encode(), given.encode(errors="replace"))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()

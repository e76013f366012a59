"""Keys with which programs call the API.

What must stay true: a key is random, 256 bits, and stands nowhere but with whoever was shown it; what is revoked or
over is refused from the next request on; a key may do what its scopes say and nothing more.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, or_, select, update

from dispatcher.db.tables import api_key
from dispatcher.db.terms import Scope
from dispatcher.errors import InputRefused, NotFound

PREFIX = "dsp_"  # so that whoever finds one, a scanner of secrets too, knows what it is
LISTED = 1000
_HINT = len(PREFIX) + 4
_LONGEST_NAME = 100
_USED_EVERY = timedelta(minutes=1)  # a write for each request would be one too many


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it stands, without the key itself."""

    id: int
    name: str
    hint: str
    scopes: frozenset[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Say whether it opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_COLUMNS = [api_key.c[name] for name in ApiKey.__slots__]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key that is to be made: whose, what it may do, until when (None: until it is revoked), and who makes it."""

    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None
    created_by: str


def create(conn: Connection, wanted: Wanted, now: datetime) -> tuple[ApiKey, str]:
    """Make a key; give it as stored, and the key itself, which nobody can show again. Raises InputRefused."""
    name = wanted.name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InputRefused(
            f"the name of a key has 1 to {_LONGEST_NAME} characters, on one line", "say which program it is for"
        )
    if not wanted.scopes:
        raise InputRefused("a key without scopes opens nothing", f"name some of: {', '.join(Scope)}")
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise InputRefused(f"{wanted.expires_at:%Y-%m-%d %H:%M} UTC is past", "name a later end")
    key = PREFIX + secrets.token_urlsafe(32)
    row = {
        "name": name,
        "hint": key[:_HINT],
        "key_sha256": _sha256(key),
        "scopes": sorted(wanted.scopes),
        "created_at": now,
        "created_by": wanted.created_by,
        "expires_at": wanted.expires_at,
    }
    made = conn.execute(insert(api_key).returning(*_COLUMNS), row).one()
    return _read(made), key


def find(conn: Connection, key: str) -> ApiKey | None:
    """Find a key by itself, good or not; None: it is not ours."""
    row = conn.execute(select(*_COLUMNS).where(api_key.c.key_sha256 == _sha256(key))).one_or_none()
    return _read(row) if row is not None else None


def note_use(conn: Connection, key_id: int, now: datetime) -> None:
    """Write down that a key was used, to the minute."""
    c = api_key.c
    is_due = or_(c.last_used_at.is_(None), c.last_used_at <= now - _USED_EVERY)
    conn.execute(update(api_key).where(c.id == key_id, is_due).values(last_used_at=now))


def is_use_due(key: ApiKey, now: datetime) -> bool:
    """Say whether `note_use` would write."""
    return key.last_used_at is None or key.last_used_at <= now - _USED_EVERY


def listed(conn: Connection) -> list[ApiKey]:
    """Give the newest keys first, revoked ones too."""
    return [_read(row) for row in conn.execute(select(*_COLUMNS).order_by(api_key.c.id.desc()).limit(LISTED))]


def revoke(conn: Connection, key_id: int, now: datetime) -> ApiKey:
    """End a key for good; one that was revoked before stays so. Raises NotFound."""
    c = api_key.c
    revoked = func.coalesce(c.revoked_at, now, type_=c.revoked_at.type)
    row = conn.execute(
        update(api_key).where(c.id == key_id).values(revoked_at=revoked).returning(*_COLUMNS)
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id}", "`dispatcher keys list` shows those there are")
    return _read(row)


def scopes_of(words: Iterable[str]) -> frozenset[Scope]:
    """Read scopes. Raises InputRefused naming the one that is unknown."""
    found = set()
    for word in words:
        if word not in list(Scope):
            raise InputRefused(f"there is no scope {word!r}", f"use one or more of: {', '.join(Scope)}")
        found.add(Scope(word))
    return frozenset(found)


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


def _read(row: object) -> ApiKey:
    values = {name: getattr(row, name) for name in ApiKey.__slots__}
    known = set(Scope)  # of a scope that a later version took away nothing is left
    values["scopes"] = frozenset(Scope(word) for word in values["scopes"] if word in known)
    return ApiKey(**values)

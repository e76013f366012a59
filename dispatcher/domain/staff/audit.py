"""The audit log: who did what. What must stay true: an entry stands in the transaction of what it tells, is never
changed (triggers refuse it), and names people by number, never by address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select

from dispatcher.db.tables import audit_entry, staff_member
from dispatcher.db.terms import ActorKind

Facts = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. `member_id` of staff; `name` of an operator's account or of a key."""

    kind: ActorKind
    member_id: int | None = None
    name: str | None = None


NOBODY = Actor(ActorKind.NOBODY)


def member(member_id: int) -> Actor:
    """Name somebody of the staff."""
    return Actor(ActorKind.MEMBER, member_id=member_id)


def operator(account: str) -> Actor:
    """Name somebody at the command line, by their account on that machine."""
    return Actor(ActorKind.OPERATOR, name=account)


def program(key: str) -> Actor:
    """Name a program, by the name of its key of the API."""
    return Actor(ActorKind.KEY, name=key)


def feed(feed_id: int) -> Actor:
    """Name a feed of news that acts by itself."""
    return Actor(ActorKind.FEED, name=f"feed {feed_id}")


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done: `area.what`, to which thing, with which facts. No fact may be an address."""

    action: str
    about: str | None = None
    about_id: int | None = None
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it stands, with the name of the one who did it."""

    id: int
    at: datetime
    actor: ActorKind
    member_id: int | None
    name: str | None
    action: str
    about: str | None
    about_id: int | None
    facts: Facts


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: of one action, by one member, about one thing; `before` and `after` are ids to page by."""

    action: str | None = None
    member_id: int | None = None
    about: str | None = None
    about_id: int | None = None
    before: int | None = None
    after: int | None = None


def record(conn: Connection, actor: Actor, deed: Deed, now: datetime) -> None:
    """Write an entry, in the caller's transaction."""
    row = {
        "at": now,
        "actor": actor.kind,
        "member_id": actor.member_id,
        "actor_name": actor.name,
        "action": deed.action,
        "about": deed.about,
        "about_id": deed.about_id,
        "detail": dict(deed.facts),
    }
    conn.execute(insert(audit_entry), row)


def newest(conn: Connection, wanted: Wanted, limit: int) -> Sequence[Entry]:
    """Give the newest entries first, from `before` on downwards; or, with `after`, those just above it."""
    e = audit_entry.c
    query = select(
        e.id, e.at, e.actor, e.member_id, e.actor_name, e.action, e.about, e.about_id, e.detail, staff_member.c.name
    ).outerjoin(staff_member, staff_member.c.id == e.member_id)
    for column, value in ((e.action, wanted.action), (e.member_id, wanted.member_id),
                          (e.about, wanted.about), (e.about_id, wanted.about_id)):  # fmt: skip
        if value is not None:
            query = query.where(column == value)
    if wanted.after is not None:
        rows = conn.execute(query.where(e.id > wanted.after).order_by(e.id).limit(limit)).all()[::-1]
    else:
        query = query if wanted.before is None else query.where(e.id < wanted.before)
        rows = list(conn.execute(query.order_by(e.id.desc()).limit(limit)))
    return [
        Entry(
            r.id, r.at, ActorKind(r.actor), r.member_id, r.name or r.actor_name, r.action, r.about, r.about_id, r.detail
        )
        for r in rows
    ]


def actions(conn: Connection) -> list[str]:
    """Give the actions that occur."""
    found = conn.execute(select(audit_entry.c.action).distinct().order_by(audit_entry.c.action).limit(1000))
    return list(found.scalars())

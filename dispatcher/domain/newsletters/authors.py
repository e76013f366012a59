"""Who wrote a campaign, version by version, and who released it: what four eyes have seen.

    versions   1   2   3   4        each saving is one more
    releases     ^Berta(1)   ^Clara(3)
    unseen                 4        whoever wrote it does not release it, where four eyes are asked for

What must stay true: whoever asks for four eyes holds the campaign (campaigns.hold), so that nobody writes meanwhile. A
release counts as the second pair of eyes for what others wrote, and for nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from dispatcher.db.tables import campaign, campaign_release, campaign_version, staff_member
from dispatcher.db.terms import ActorKind
from dispatcher.domain.staff.audit import Actor
from dispatcher.errors import FourEyesLacking


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody, by what they act as and by name. `name` None: it is not known who, or the program itself."""

    actor: Actor
    name: str | None

    def is_same(self, other: "Who") -> bool:
        """Claim that two are one: one account, or one name however it is written, at the console or elsewhere."""
        if self.actor.member_id is not None and other.actor.member_id is not None:
            return self.actor.member_id == other.actor.member_id
        return _folded(self.name) == _folded(other.name)


@dataclass(frozen=True, slots=True)
class Version:
    """A version as it was saved."""

    version: int
    at: datetime
    by: Who


@dataclass(frozen=True, slots=True)
class Signature:
    """A release as it was given."""

    version: int
    at: datetime
    by: Who
    people: int | None
    despite: Mapping[str, str] | None
    ended_at: datetime | None
    ended_why: str | None


def note(conn: Connection, campaign_id: int, version: int, by: Actor, now: datetime) -> None:
    """Write down who wrote a version."""
    who = {"actor": by.kind, "member_id": by.member_id, "actor_name": by.name}
    conn.execute(insert(campaign_version), {"campaign_id": campaign_id, "version": version, "at": now, **who})


def versions(conn: Connection, campaign_id: int, limit: int = 1000) -> list[Version]:
    """Give who wrote which version, the newest last."""
    v = campaign_version.c
    rows = conn.execute(
        select(v.version, v.at, v.actor, v.member_id, v.actor_name, staff_member.c.name)
        .outerjoin(staff_member, staff_member.c.id == v.member_id)
        .where(v.campaign_id == campaign_id)
        .order_by(v.version.desc())
        .limit(limit)
    ).all()
    return [Version(row.version, row.at, _who(row)) for row in reversed(rows)]


def signatures(conn: Connection, campaign_id: int, limit: int = 1000) -> list[Signature]:
    """Give who released it when, the newest last."""
    r = campaign_release.c
    rows = conn.execute(
        select(
            r.version,
            r.at,
            r.actor,
            r.member_id,
            r.actor_name,
            staff_member.c.name,
            r.people,
            r.despite,
            r.ended_at,
            r.ended_why,
        )
        .outerjoin(staff_member, staff_member.c.id == r.member_id)
        .where(r.campaign_id == campaign_id)
        .order_by(r.id.desc())
        .limit(limit)
    ).all()
    return [
        Signature(row.version, row.at, _who(row), row.people, row.despite, row.ended_at, row.ended_why)
        for row in reversed(rows)
    ]


def who(conn: Connection, actor: Actor) -> Who:
    """Name somebody who acts now."""
    if actor.member_id is None:
        return Who(actor, actor.name)
    m = staff_member.c
    return Who(actor, conn.execute(select(m.name).where(m.id == actor.member_id)).scalar_one())


def require_other_eyes(conn: Connection, campaign_id: int, actor: Actor) -> None:
    """Make sure that whoever releases wrote nothing that nobody else has released. Raises FourEyesLacking."""
    me = who(conn, actor)
    newest = conn.execute(select(campaign.c.version).where(campaign.c.id == campaign_id)).scalar_one_or_none() or 0
    written = {one.version: one.by for one in versions(conn, campaign_id)}
    unseen = range(_seen(written, signatures(conn, campaign_id)) + 1, newest + 1)
    for version in unseen:
        if version not in written or written[version].name is None:
            raise FourEyesLacking(
                f"campaign {campaign_id} is not released: it is not known who wrote version {version} of it",
                f"save it in somebody's name (dispatcher campaigns edit {campaign_id}); then somebody else releases it",
            )
    if mine := [version for version in unseen if written[version].is_same(me)]:
        raise FourEyesLacking(
            f"campaign {campaign_id} is not released: {me.name} wrote version {mine[-1]} of it",
            "somebody who did not write it has to look at it and release it (DISPATCHER_FOUR_EYES is on)",
        )


def _seen(written: Mapping[int, Who], signed: Sequence[Signature]) -> int:
    """Give the newest version that a second pair of eyes has released."""
    seen = 0
    for one in signed:
        fresh = [written.get(version) for version in range(seen + 1, one.version + 1)]
        if one.by.name is not None and all(by is not None and by.name and not by.is_same(one.by) for by in fresh):
            seen = max(seen, one.version)
    return seen


def _who(row: Row[Any]) -> Who:
    return Who(Actor(ActorKind(row.actor), row.member_id, row.actor_name), row.name or row.actor_name)


def _folded(name: str | None) -> str:
    return " ".join((name or "").casefold().split())

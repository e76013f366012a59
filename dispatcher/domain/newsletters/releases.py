"""Who looked a campaign over and who released it: what was seen then is what goes, or nobody gets anything.

    preflight    what was found, of which state of things      kept as it was found
    release      by whom, despite what, bound to which state   one of a campaign holds at a time

What must stay true: a release holds for the four hashes that it names. The unique index on releases that have not ended
lets one of two who release at once win.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, Row, insert, select, update

from dispatcher.db.tables import campaign_release, preflight
from dispatcher.db.terms import ActorKind
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import NOBODY, Actor, Deed


@dataclass(frozen=True, slots=True)
class Binding:
    """To what a release is bound: four SHA-256 hashes."""

    content: bytes
    template: bytes
    house: bytes
    audience: bytes

    def differs(self, other: "Binding") -> list[str]:
        """Name what has changed between the two."""
        return [of.name for of in fields(self) if getattr(self, of.name) != getattr(other, of.name)]

    def columns(self) -> dict[str, bytes]:
        """Give them as they are stored."""
        return {f"{name}_sha256": value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Read them back."""
        return cls(*(bytes(getattr(row, f"{of.name}_sha256")) for of in fields(cls)))


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found, as stored. `id` 0: not yet stored."""

    id: int
    campaign_id: int
    at: datetime
    goes_at: datetime
    binding: Binding
    people: int
    findings: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Release:
    """A release that holds. `by` NOBODY: the program itself, for a show or a measurement."""

    id: int
    campaign_id: int
    at: datetime
    binding: Binding
    version: int
    by: Actor = NOBODY
    preflight_id: int | None = None
    people: int | None = None
    despite: Mapping[str, str] | None = None


def enter_preflight(conn: Connection, found: Preflight) -> int:
    """Write down what a preflight found; give its number."""
    row = {
        "campaign_id": found.campaign_id,
        "at": found.at,
        "goes_at": found.goes_at,
        "people": found.people,
        "findings": list(found.findings),
        **found.binding.columns(),
    }
    return int(conn.execute(insert(preflight).returning(preflight.c.id), row).scalar_one())


def newest_preflight(conn: Connection, campaign_id: int) -> Preflight | None:
    """Give what the newest preflight of a campaign found; None: there was none."""
    p = preflight.c
    row = conn.execute(
        select(preflight).where(p.campaign_id == campaign_id).order_by(p.id.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Preflight(row.id, row.campaign_id, row.at, row.goes_at, Binding.of(row), row.people, row.findings)


def enter(conn: Connection, campaign_id: int, version: int, binding: Binding, now: datetime) -> int:
    """Enter a release in place of the one that held; give its number. Whoever answers for it: `sign`."""
    end(conn, campaign_id, "released anew", now)
    row = {"campaign_id": campaign_id, "version": version, "at": now, "actor": NOBODY.kind, **binding.columns()}
    return int(conn.execute(insert(campaign_release).returning(campaign_release.c.id), row).scalar_one())


def sign(conn: Connection, held: Release, seen: Preflight, by: Actor, despite: Mapping[str, str]) -> None:
    """Say who answers for a release, on which preflight, and despite what; also in the audit log."""
    facts = {"release": held.id, "people": seen.people, "despite": ", ".join(sorted(despite)) or None}
    audit.record(conn, by, Deed("campaigns.release", "campaign", held.campaign_id, facts), held.at)
    conn.execute(
        update(campaign_release)
        .where(campaign_release.c.id == held.id)
        .values(
            actor=by.kind,
            member_id=by.member_id,
            actor_name=by.name,
            preflight_id=seen.id,
            people=seen.people,
            despite=dict(despite) or None,
        )
    )


def end(conn: Connection, campaign_id: int, why: str, now: datetime) -> None:
    """End the release that holds, if one does."""
    r = campaign_release.c
    conn.execute(
        update(campaign_release)
        .where(r.campaign_id == campaign_id, r.ended_at.is_(None))
        .values(ended_at=now, ended_why=why)
    )


def holding(conn: Connection, campaign_id: int) -> Release | None:
    """Give the release that holds; None: there is none."""
    r = campaign_release.c
    row = conn.execute(select(campaign_release).where(r.campaign_id == campaign_id, r.ended_at.is_(None))).one_or_none()
    if row is None:
        return None
    by = Actor(ActorKind(row.actor), row.member_id, row.actor_name)
    return Release(
        row.id, campaign_id, row.at, Binding.of(row), row.version, by, row.preflight_id, row.people, row.despite
    )

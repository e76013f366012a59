"""A campaign that goes out when each reader's own clock shows its time: to whom it goes when.

    people with a zone      when clocks there come to it
    people without one      when clocks in the campaign's zone do
    whose time has passed   with the launch: nobody is left out

The launch is at the first of these moments, and the audience is frozen then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from dispatcher.db.tables import subscriber
from dispatcher.domain import zones
from dispatcher.domain.audience.dealing_out import Dues


@dataclass(frozen=True, slots=True)
class Wave:
    """Readers whose clocks come to it at the same moment. "" among the zones: those without one."""

    at: datetime
    zones: tuple[str, ...]
    people: int


def dues(conn: Connection, wall_time: str, zone: str) -> Dues:
    """Give when letters are due by each zone that somebody has. Raises InputRefused."""
    local, s = zones.wall_time(wall_time), subscriber.c
    known = conn.execute(select(s.zone).where(s.zone.is_not(None)).distinct()).scalars()
    by_zone = {name: zones.on_the_clock(local, zones.zone_of(name)) for name in known if zones.is_known(name)}
    return Dues(by_zone, zones.on_the_clock(local, zones.zone_of(zone)))


def waves(conn: Connection, audience: Select[Any], wall_time: str, zone: str) -> list[Wave]:
    """Count who of an audience (audiences.py) would get it when, were it frozen now; the first moment first."""
    when, people = dues(conn, wall_time, zone), audience.subquery("people")
    s = subscriber.c
    counted = conn.execute(
        select(func.coalesce(s.zone, ""), func.count())
        .select_from(people)
        .join(subscriber, s.id == people.c.subscriber_id)
        .where(people.c.reason.is_(None))
        .group_by(s.zone)
    )
    found: dict[datetime, dict[str, int]] = {}
    for name, count in counted:
        found.setdefault(when.by_zone.get(name, when.otherwise), {})[name] = count
    return [Wave(at, tuple(sorted(found[at])), sum(found[at].values())) for at in sorted(found)]


def first(when: Iterable[Wave], otherwise: datetime, now: datetime) -> datetime:
    """Give the moment of the launch: the first of these that is not past; now, if somebody's time has passed."""
    return max(min((wave.at for wave in when), default=otherwise), now)

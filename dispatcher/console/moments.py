"""A moment that somebody types: date, time and zone as three fields, each with what is wrong with it in words.

A time that the zone's clocks skip is refused. Of one that comes twice the first is meant, and whoever typed it is told
so before anything happens: the form comes back once.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from dispatcher.console.declare import Mend
from dispatcher.console.visit import Visit
from dispatcher.domain import zones
from dispatcher.zone import ZONE

TWICE = "twice"  # the field that holds which doubled time was pointed out


@dataclass(frozen=True, slots=True)
class Typed:
    """A wall-clock time in a zone, and the moment (UTC) that it means there."""

    wall_time: str
    zone: str
    at: datetime


def said_moment(visit: Visit) -> Typed:
    """Read the three fields. Raises Mend."""
    local = datetime.combine(_day(visit.said("date")), _time(visit.said("time")))
    zone = visit.said("zone") or ZONE.key
    if not zones.is_known(zone):
        raise Mend({"zone": "moments.zone_unknown"})
    tz = ZoneInfo(zone)
    try:
        at, skipped = zones.on_the_clock(local, tz), zones.is_skipped(local, tz)
    except OverflowError:
        raise Mend({"date": "moments.day_wrong"}) from None
    if skipped:
        raise Mend({"time": "moments.is_skipped"})
    if at <= visit.now:
        raise Mend({"time": "moments.is_past"})
    typed = Typed(local.isoformat(timespec="minutes"), zone, at)
    if zones.comes_twice(local, tz) and visit.said(TWICE) != name(typed):
        raise Mend({"time": "moments.comes_twice"})
    return typed


def name(typed: Typed) -> str:
    """Give what the hidden field holds once a doubled time was pointed out."""
    return f"{typed.wall_time} {typed.zone}"


def pointed_out(visit: Visit) -> str:
    """Give the doubled time that the page points out, for its hidden field."""
    if visit.errors.get("time") != "moments.comes_twice":
        return ""
    local = datetime.combine(_day(visit.said("date")), _time(visit.said("time")))
    return name(Typed(local.isoformat(timespec="minutes"), visit.said("zone") or ZONE.key, local.replace(tzinfo=UTC)))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Mend({"date": "moments.day_wrong"}) from None


def _time(text: str) -> time:
    try:
        read = time.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is not None:
        raise Mend({"time": "moments.time_wrong"})
    return read.replace(second=0, microsecond=0)

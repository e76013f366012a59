"""The workers: which live, which fell silent, and which relays they leave alone; a relay is tried again on a word.

What must stay true: nothing is asked of a worker while a page is made; it is what they wrote down last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher import broker
from dispatcher.console import steps
from dispatcher.console.declare import Moment, Values, act, area, look
from dispatcher.console.visit import Visit
from dispatcher.domain.delivery import workers
from dispatcher.domain.delivery.workers import Found, Report
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import SettingInvalid
from dispatcher.sending import house

_CALLS = 16  # drains that are called when a relay is to be tried again
_ONE = "/health/relay"


@dataclass(frozen=True, slots=True)
class Process:
    """A worker process, and whether it should have given a sign and did not."""

    report: Report
    is_silent: bool


@dataclass(frozen=True, slots=True)
class Off:
    """A relay that the workers leave alone: since when, at which step it failed, what was said, when it is tried."""

    found: Found
    step: str
    next_at: datetime | None  # None: it is being tried, or with the next letter


def values(moment: Moment) -> Values:
    """Give what the page of health says about workers."""
    reports = workers.everyone(moment.conn)
    return {"processes": [Process(r, r.is_silent(moment.now)) for r in reports], "off": _off(reports, moment.now)}


def relay(visit: Visit) -> Values:
    """Show how the workers find one relay."""
    reports = workers.everyone(visit.conn)
    name = _relay(visit, reports)
    off = next((one for one in _off(reports, visit.now) if one.found.relay == name), None)
    found = [(report, it) for report in reports for it in report.relays if it.relay == name]
    return {"relay": name, "off": off, "found": [(r, it) for r, it in found if not r.is_silent(visit.now)]}


def try_again(visit: Visit) -> Response:
    """Have a relay tried at once, and what waits for a relay be claimed."""
    settings = visit.desk.settings
    name = _relay(visit, workers.everyone(visit.conn))
    batches = workers.try_again(visit.conn, name, visit.now)
    visit.note("relay", None, relay=name, batches=batches)
    visit.afterwards(lambda: broker.nudge_drains(settings, _CALLS, _CALLS, _CALLS))
    visit.afterwards(visit.desk.health.forget)
    return visit.go("/health", "workers.is_tried", relay=name)


def _off(reports: Sequence[Report], now: datetime) -> list[Off]:
    return [
        Off(
            it,
            steps.step(it.why),
            None if it.is_tried or it.next_try_at is None or it.next_try_at <= now else it.next_try_at,
        )
        for it in workers.off(reports, now)
    ]


def _relay(visit: Visit, reports: Sequence[Report]) -> str:
    """Give the relay that is meant: one that is set, or one that a worker knows. Without a name: one that
    is off, or the first.
    """
    try:
        known = [relay.name for relay in house.relays(visit.desk.settings)]
    except SettingInvalid:
        known = []
    known += [it.relay for report in reports for it in report.relays]
    off = [it.relay for it in workers.off(reports, visit.now)]
    said = visit.said("relay") or visit.asked("name") or next(iter(off + known), "")
    if said not in known:
        raise HTTPException(404)
    return said


PAGES = area(
    "health",
    look(_ONE, Permission.SEE_HEALTH, "health_relay", relay),
    act(f"{_ONE}/try", Permission.EDIT_HEALTH, "workers.tried", try_again, mends=_ONE),
)

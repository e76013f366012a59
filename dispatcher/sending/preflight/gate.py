"""The gate before a release: nothing goes that was not looked over, or that has changed since.

    look_at    a report that is fresh and of this very state, or a new one -> stored       (network: no transaction)
    release_it nothing stops, or somebody answers for it -> freeze, move, and hold what was frozen against what was
               looked at -> signed                                                         (the caller's transaction)
    seen       the report that somebody has before their eyes, for another moment; nothing is asked of the network
    release_seen  the same, stored and released: both in one transaction, for whoever looked before they released

What must stay true: a release with a name on it is bound to the state that the preflight saw. Checks that depend on the
moment are run again for the moment at which it goes. Of two who release at once, one is told that the other did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import authors, campaigns, releases, series
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.releases import Preflight
from dispatcher.domain.staff.audit import Actor
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.sending import release
from dispatcher.sending.binding import bind
from dispatcher.sending.preflight import report as reports
from dispatcher.sending.preflight.examination import Desk, Progress, lay_open
from dispatcher.sending.preflight.findings import Check, Finding, Severity, in_order
from dispatcher.sending.preflight.report import Report
from dispatcher.sending.preflight.run import QUICK_CHECKS, check, look_over, silent

GOOD_FOR = timedelta(hours=1)  # how long links, filters and people are believed to be as they were


@dataclass(frozen=True, slots=True)
class Order:
    """Release this campaign for a moment (None: at once), in the name of somebody, despite what they answer for.

    With `wall_time` it goes when each reader's own clock shows this; with `series_id` in its turn, which comes at about
    `at`; `under_way`: it is paused, and its new content is released.
    """

    campaign_id: int
    at: datetime | None
    zone: str
    by: Actor
    despite: Mapping[str, str]
    wall_time: str | None = None
    series_id: int | None = None
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """It was not released: this stands in its way."""

    report: Report


@dataclass(frozen=True, slots=True)
class Released:
    """It was released, on this report."""

    campaign: Campaign
    report: Report


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen for an order: the report, as it is stored under `number`, and the release that held then."""

    order: Order
    report: Report
    number: int
    held: int | None


def release_campaign(engine: Engine, order: Order, desk: Desk, progress: Progress = silent) -> Released | Stopped:
    """Look a campaign over and release it. Raises MoveRefused where it may not, or has changed under way."""
    looked = look_at(engine, order, desk, progress)
    with engine.begin() as conn:
        return release_it(conn, looked, desk)


def look_at(engine: Engine, order: Order, desk: Desk, progress: Progress = silent) -> Looked:
    """Look over what is to be released, and write down what was found. Raises InputRefused, NotFound, and
    FourEyesLacking before anybody waits for what cannot be.
    """
    _refuse_unknown(order.despite)
    with reading(engine).connect() as conn:
        _require_eyes(conn, order, desk)
        held = releases.holding(conn, order.campaign_id)
    report = _fresh(engine, order, desk) or check(engine, order.campaign_id, desk, goes_at=order.at, progress=progress)
    with engine.begin() as conn:
        number = reports.store(conn, report)
    return Looked(order, report, number, held.id if held else None)


def release_it(conn: Connection, looked: Looked, desk: Desk) -> Released | Stopped:
    """Release what was looked at, in the caller's transaction. Raises MoveRefused where it may not, or has changed
    since, and FourEyesLacking: then the transaction has to end without a commit.
    """
    order = looked.order
    if looked.report.stops(order.despite):
        return Stopped(looked.report)
    campaigns.hold(conn, order.campaign_id)  # whoever edits or releases it comes wholly before or after us
    _require_eyes(conn, order, desk)
    _refuse_if_moved(conn, looked)
    of = _release(conn, order, desk, clock.now(conn))
    _sign(conn, looked)
    return Released(of, looked.report)


def seen(conn: Connection, order: Order, desk: Desk) -> Report | None:
    """Give the newest report of a campaign if it is of this very state and not old, its quick checks run again for the
    moment at which it is to go. None: it has to be looked over (again).
    """
    found, now = reports.newest(conn, order.campaign_id), clock.now(conn)
    if found is None or now - found[1].at > GOOD_FOR:
        return None
    report = found[1]
    if report.binding != bind(conn, campaigns.get(conn, order.campaign_id), desk.house):
        return None
    if any((finding.check, finding.name) == (Check.CONTENT, "invalid") for finding in report.findings):
        return report  # there is no letter to run a check on
    exam = lay_open(conn, order.campaign_id, desk, now, order.at)
    findings = tuple(in_order([*_slow(report), *look_over(exam)]))
    return replace(report, goes_at=exam.goes_at, findings=findings)


def release_seen(conn: Connection, order: Order, desk: Desk) -> Released | Stopped | None:
    """Release what was looked over before, in the caller's transaction, by what was found then. None: it was not, or is
    another since. Raises as `release_it` does; whatever it gives or raises but Released has to end without a commit.
    """
    _refuse_unknown(order.despite)
    campaigns.hold(conn, order.campaign_id)
    _require_eyes(conn, order, desk)
    report = seen(conn, order, desk)
    if report is None:
        return None
    held = releases.holding(conn, order.campaign_id)
    return release_it(conn, Looked(order, report, reports.store(conn, report), held.id if held else None), desk)


def as_before(conn: Connection, of: Campaign, by: Actor) -> Order | None:
    """Give the order that releases a campaign, its content replaced, as it was released before. None: it was not."""
    zone, wall = of.zone or "UTC", of.wall_time
    if of.state is CampaignState.PAUSED:
        return Order(of.id, None, zone, by, {}, under_way=True)
    if of.state is CampaignState.SCHEDULED:
        return Order(of.id, of.send_at, zone, by, {}, wall_time=wall)
    if of.series_id is not None:
        return Order(of.id, series.turn_of(conn, of.series_id, of.id), zone, by, {}, series_id=of.series_id)
    return None


def look(
    engine: Engine, campaign_id: int, desk: Desk, goes_at: datetime | None = None, progress: Progress = silent
) -> Report:
    """Look a campaign over, and write down what was found."""
    report = check(engine, campaign_id, desk, goes_at=goes_at, progress=progress)
    with engine.begin() as conn:
        reports.store(conn, report)
    return report


def _fresh(engine: Engine, order: Order, desk: Desk) -> Report | None:
    """Give the newest report if it is of this very state, not old, and nothing slow stopped it; that may have
    been mended since.
    """
    with reading(engine).connect() as conn:
        report = seen(conn, order, desk)
    stops = report is None or any(finding.severity is Severity.STOP for finding in _slow(report))
    return None if stops else report


def _slow(report: Report) -> list[Finding]:
    """Give what was found by asking the network, or by composing everybody's letter."""
    return [finding for finding in report.findings if (finding.check, finding.name) not in QUICK_CHECKS]


def _release(conn: Connection, order: Order, desk: Desk, now: datetime) -> Campaign:
    with_ = (desk.stationery, desk.house)
    if order.under_way:
        return release.renew(conn, order.campaign_id, now, *with_)
    if order.series_id is not None:
        return release.put_in(conn, order.campaign_id, order.series_id, *with_)
    if order.wall_time is not None:
        local = release.Local(order.wall_time, order.zone)
        return release.schedule_local(conn, order.campaign_id, local, now, *with_)
    if order.at is None:
        return release.start(conn, order.campaign_id, now, *with_)
    return release.schedule(conn, order.campaign_id, order.at, order.zone, *with_)


def _require_eyes(conn: Connection, order: Order, desk: Desk) -> None:
    if desk.four_eyes:
        authors.require_other_eyes(conn, order.campaign_id, order.by)


def _refuse_if_moved(conn: Connection, looked: Looked) -> None:
    """Whoever releases goes by what held when they began to look: another's release, or its end, they have not seen."""
    campaign_id = looked.order.campaign_id
    held = releases.holding(conn, campaign_id)
    if (held.id if held else None) == looked.held:
        return
    (newest,) = authors.signatures(conn, campaign_id, limit=1)
    came = f"released by {newest.by.name or 'the program'}" if held else f"made a draft again ({newest.ended_why})"
    raise MoveRefused(
        f"campaign {campaign_id} was {came} while you looked it over",
        f"see `dispatcher campaigns status {campaign_id}`, then release it again if it is still to go",
    )


def _sign(conn: Connection, looked: Looked) -> None:
    order, report = looked.order, looked.report
    held = releases.holding(conn, order.campaign_id)
    assert held is not None
    changed = held.binding.differs(report.binding)
    if changed:
        raise MoveRefused(
            f"campaign {order.campaign_id} has changed while it was looked over: {', '.join(changed)}",
            "look at it, then release it again",
        )
    seen = Preflight(looked.number, order.campaign_id, report.at, report.goes_at, report.binding, report.people, ())
    stopped = {finding.check.value for finding in report.stops()}
    despite = {name: why for name, why in order.despite.items() if name in stopped}
    releases.sign(conn, held, seen, order.by, despite)


def _refuse_unknown(despite: Mapping[str, str]) -> None:
    for name, why in despite.items():
        if name not in list(Check):
            raise InputRefused(f"there is no check {name!r}", f"there are: {', '.join(Check)}")
        if not why.strip():
            raise InputRefused(f"no reason is given for releasing despite {name!r}", "say why: it is written down")

"""A newsletter is let go, "to 48,213 people", as it was looked over; somebody asks for it; it is taken back.

    the look      what a release would mean now, what stands in its way, and who wrote it
    the release   the fields, and the seal of what was on the page: content, templates, house, audience, who held it
                  -> one transaction: four eyes, the report for that moment, edition, signature (preflight/gate.py)

What must stay true: what was on the page is what is released. `releases.sign` enters it into the audit log, in the same
transaction; a role that was taken away meanwhile is seen there, too, for the frame asks for it in it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher import broker
from dispatcher.console import entitled, moments
from dispatcher.console import report as reports
from dispatcher.console.declare import Mend, Moment, Values, act, area, look
from dispatcher.console.outlook import outlook
from dispatcher.console.pages.checking import written
from dispatcher.console.paper import Telling
from dispatcher.console.said import said_line
from dispatcher.console.signed import ASKED, CAN_BE_RELEASED, asked_for
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignState, SeriesState
from dispatcher.domain.delivery import batches
from dispatcher.domain.newsletters import authors, campaigns, releases, series
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.series import Series
from dispatcher.domain.staff.audit import Entry
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import ContentInvalid, FourEyesLacking, InputRefused, MoveRefused, NotFound
from dispatcher.sending import house as houses
from dispatcher.sending import release
from dispatcher.sending.binding import bind
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight.examination import Desk, lay_open
from dispatcher.sending.preflight.findings import Check
from dispatcher.sending.preflight.gate import Order, Released, Stopped
from dispatcher.sending.preflight.report import Report
from dispatcher.zone import ZONE

NOW, AT, LOCAL, SERIES = "now", "at", "local", "series"
_S = CampaignState
_CALLS = 16  # drains that are called when a campaign goes on
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """When somebody wants it to go, as the fields of the form have it."""

    how: str = ""
    date: str = ""
    time: str = ""
    zone: str = ZONE.key


def show(visit: Visit) -> Values:
    """Give what a release would mean, and what stands in its way."""
    of = written(visit.conn, visit.number("campaign"))
    desk = _desk(visit)
    asked = asked_for(visit.conn, of)
    report = _report(visit, of, desk) if of.state in CAN_BE_RELEASED else None
    return {
        "of": of,
        "can_go": of.state in CAN_BE_RELEASED,
        "is_under_way": of.state is _S.PAUSED,
        "outlook": outlook(visit, of),
        "subjects": _subjects(visit, of, desk),
        "trial": entitled.trial(Moment(visit.desk, visit.conn, visit.now, {}), of),
        "sender": f"{desk.house.sender_name} <{desk.house.sender_address}>",
        "wrote": authors.versions(visit.conn, of.id, limit=1),
        "eyes": _eyes(visit, of),
        "told": reports.shown(report, visit.language, campaigns.contents(visit.conn, of.id)) if report else None,
        "is_composed": report is not None and report.people > 0,
        "series": _open_series(visit.conn, of),
        "asked": asked,
        "wish": _wish(of, asked),
        "twice": moments.pointed_out(visit),
        "seal": _seal(visit, of, desk),
    }


def let_go(visit: Visit) -> Response:
    """Release it as it was looked over, and as the page showed it."""
    of = written(visit.conn, visit.number("campaign"))
    desk = _desk(visit)
    if of.state not in CAN_BE_RELEASED:
        raise Mend({"": "campaign.has_moved"})
    if visit.said("seal") != _seal(visit, of, desk):
        raise Mend({"": "releasing.is_another"})
    order = _order(visit, of)
    came = _released(visit, of, order, desk)
    visit.is_on_record()
    _nudge(visit, order)
    telling, sent_at = Telling(visit.language), came.campaign.send_at
    at = telling.wall_time(order.wall_time) if order.wall_time else telling.moment(sent_at)
    people = telling.number(came.report.people)
    return visit.go(f"/campaigns/{of.id}", f"releasing.{_outcome(order)}", name=of.name, people=people, at=at)


def ask(visit: Visit) -> Response:
    """Ask somebody else to look at it and to release it."""
    of = written(visit.conn, visit.number("campaign"))
    if of.state not in CAN_BE_RELEASED:
        raise Mend({"": "campaign.has_moved"})
    wish = Wish(visit.said("how"), visit.said("date"), visit.said("time"), visit.said("zone") or ZONE.key)
    if wish.how in (AT, LOCAL):
        moments.said_moment(visit)
    visit.note(
        "campaign", of.id, version=of.version, how=wish.how or None, date=wish.date or None, time=wish.time or None,
        zone=wish.zone if wish.how in (AT, LOCAL) else None,
    )  # fmt: skip
    return visit.go(f"/campaigns/{of.id}", "releasing.is_asked", name=of.name)


def ask_to_take_back(visit: Visit) -> Values:
    """Ask why it is taken back."""
    return {"of": written(visit.conn, visit.number("campaign"))}


def take_back(visit: Visit) -> Response:
    """Make a scheduled newsletter a draft again."""
    of = written(visit.conn, visit.number("campaign"))
    why = said_line(visit, "why")
    try:
        release.take_back(visit.conn, of.id, why, visit.actor, visit.now)
    except MoveRefused:
        raise Mend({"": "campaign.has_moved"}) from None
    visit.note("campaign", of.id)
    return visit.go(f"/campaigns/{of.id}", "releasing.is_taken_back", name=of.name)


def _desk(visit: Visit) -> Desk:
    return houses.desk(visit.desk.settings, needs_keys=False)


def _report(visit: Visit, of: Campaign, desk: Desk) -> Report | None:
    """Give what was found, for the moment that the form names, or the one that stands."""
    try:
        order = _order(visit, of)
    except Mend:
        order = Order(of.id, of.send_at if of.state is _S.SCHEDULED else None, "UTC", visit.actor, {})
    return gate.seen(visit.conn, order, desk)


def _order(visit: Visit, of: Campaign) -> Order:
    """Read what is to be released, how and despite what. Raises Mend."""
    despite = _despite(visit)
    if of.state is _S.PAUSED:
        return Order(of.id, None, of.zone or "UTC", visit.actor, despite, under_way=True)
    how = visit.said("how")
    if how == NOW:
        return Order(of.id, None, "UTC", visit.actor, despite)
    if how in (AT, LOCAL):
        typed = moments.said_moment(visit)
        wall = typed.wall_time if how == LOCAL else None
        return Order(of.id, typed.at, typed.zone, visit.actor, despite, wall_time=wall)
    for one in _open_series(visit.conn, of):
        if how == f"{SERIES}-{one.id}":
            at = series.turn_of(visit.conn, one.id, of.id)
            return Order(of.id, at, one.zone, visit.actor, despite, series_id=one.id)
    raise Mend({"how": "releasing.how_missing"})


def _released(visit: Visit, of: Campaign, order: Order, desk: Desk) -> Released:
    """Release it in the visit's transaction. Raises Mend, and nothing of it stays."""
    try:
        came = gate.release_seen(visit.conn, order, desk)
    except FourEyesLacking:
        raise Mend({"": "releasing.needs_other_eyes"}) from None
    except ContentInvalid:
        raise Mend({"": "releasing.cannot_compose"}) from None
    except InputRefused:
        raise Mend({"": "releasing.prices_ahead"}) from None
    except (MoveRefused, NotFound):
        raise Mend({"": _why_refused(visit, of)}) from None
    match came:
        case None:
            raise Mend({"": "releasing.look_first"})
        case Stopped(report):
            raise Mend({f"because-{one.check}": "releasing.reason_missing" for one in report.stops(order.despite)})
        case Released():
            return came


def _despite(visit: Visit) -> dict[str, str]:
    found = {check.value: visit.said(f"because-{check}") for check in Check}
    for check, why in found.items():
        if why and (len(why) > _LONGEST or not why.isprintable()):
            raise Mend({f"because-{check}": "releasing.reason_wrong"})
    return {check: why for check, why in found.items() if why}


def _open_series(conn: Connection, of: Campaign) -> list[Series]:
    """Give the series in whose slot this draft may wait; one that waits already stays in its own."""
    if of.state is not _S.DRAFT:
        return []
    mine = [one for one in series.newest(conn) if one.topic is of.topic and one.state is not SeriesState.ENDED]
    return [one for one in mine if of.series_id in (None, one.id)]


def _subjects(visit: Visit, of: Campaign, desk: Desk) -> list[tuple[str, str]]:
    """Give the subject of each language, as a reader of that name gets it; none: the content cannot be composed."""
    try:
        exam = lay_open(visit.conn, of.id, desk, visit.now, None)
    except ContentInvalid:
        return []
    return [(language, seen.subject) for language, seen in sorted(exam.looks.items())]


def _eyes(visit: Visit, of: Campaign) -> str:
    """Say whether this visitor's eyes are the second ones: off, ok, mine (they wrote it), unknown (nobody knows)."""
    if not visit.desk.settings.four_eyes:
        return "off"
    try:
        authors.require_other_eyes(visit.conn, of.id, visit.actor)
    except FourEyesLacking:
        known = authors.versions(visit.conn, of.id)
        return "mine" if len(known) == of.version and all(one.by.name for one in known) else "unknown"
    return "ok"


def _wish(of: Campaign, asked: Entry | None) -> Wish:
    """Give when it is to go as it stands: as it is scheduled, as somebody asked, in its series; else nothing yet."""
    if of.state is _S.SCHEDULED and of.send_at is not None:
        zone = of.zone if of.zone not in (None, "UTC") else ZONE.key
        local = of.send_at.astimezone(ZoneInfo(zone or ZONE.key))
        wall = datetime.fromisoformat(of.wall_time) if of.wall_time else local
        return Wish(LOCAL if of.wall_time else AT, f"{wall:%Y-%m-%d}", f"{wall:%H:%M}", zone or ZONE.key)
    if of.series_id is not None:
        return Wish(f"{SERIES}-{of.series_id}")
    if asked is None:
        return Wish()
    how, day, time, zone = (str(asked.facts.get(name) or "") for name in ("how", "date", "time", "zone"))
    return Wish(how, day, time, zone or ZONE.key)


def _seal(visit: Visit, of: Campaign, desk: Desk) -> str:
    """Name the state of things that a page shows: to what a release would be bound, and which one holds."""
    held = releases.holding(visit.conn, of.id)
    bound = bind(visit.conn, of, desk.house).columns()
    seen = [of.state.value, str(held.id if held else 0), *(bound[name].hex() for name in sorted(bound))]
    return hashlib.sha256(" ".join(seen).encode()).hexdigest()[:32]


def _why_refused(visit: Visit, of: Campaign) -> str:
    if of.state is _S.PAUSED and not batches.are_all_in(visit.conn, of.id, visit.now):
        return "releasing.still_held"
    is_as_it_was = written(visit.conn, of.id).state is of.state
    return "releasing.prices_too_old" if is_as_it_was and of.topic else "campaign.has_moved"


def _nudge(visit: Visit, order: Order) -> None:
    settings = visit.desk.settings
    if order.under_way:
        visit.afterwards(lambda: broker.nudge_drains(settings, 0, _CALLS, _CALLS))
    elif order.at is None:
        visit.afterwards(lambda: broker.nudge_launch(settings, order.campaign_id))


def _outcome(order: Order) -> str:
    if order.under_way:
        return "goes_on"
    if order.series_id is not None:
        return "waits_its_turn"
    if order.wall_time is not None:
        return "goes_by_their_clock"
    return "goes_now" if order.at is None else "goes_then"


_P = Permission
_ONE = "/campaigns/{campaign}"
PAGES = area(
    "campaigns",
    look(f"{_ONE}/release", _P.EDIT_CAMPAIGNS, "release", show),
    act(f"{_ONE}/release", _P.SEND_CAMPAIGNS, "campaigns.release", let_go),
    act(f"{_ONE}/release/ask", _P.EDIT_CAMPAIGNS, ASKED, ask, mends=f"{_ONE}/release"),
    look(f"{_ONE}/take-back", _P.SEND_CAMPAIGNS, "take_back", ask_to_take_back),
    act(f"{_ONE}/take-back", _P.SEND_CAMPAIGNS, "campaigns.take_back", take_back),
)

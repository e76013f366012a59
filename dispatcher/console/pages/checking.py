"""A newsletter is looked over before it goes: begun here, watched by whoever likes, and what was found in words.

The look goes on when the browser is closed (sending/preflight/running.py); how far it is stands in the database.
"""

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.console import report as reports
from dispatcher.console.declare import Mend, Moment, Values, act, area, live, look
from dispatcher.console.pages.campaign import newsletter
from dispatcher.console.signed import CAN_BE_RELEASED
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Language
from dispatcher.domain.newsletters import campaigns, preflight_runs
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.staff.roles import Permission
from dispatcher.sending import house as houses
from dispatcher.sending.binding import bind
from dispatcher.sending.preflight import gate, running
from dispatcher.sending.preflight.findings import Check, title
from dispatcher.sending.preflight.report import newest


def written(conn: Connection, number: int) -> Campaign:
    """Find a newsletter that somebody wrote. 404 for anything else."""
    of = newsletter(conn, number)
    if of.topic is None or of.renews is not None:
        raise HTTPException(404)
    return of


def show(visit: Visit) -> Values:
    """Give how far a look is, and what the last one found."""
    of = written(visit.conn, visit.number("campaign"))
    found = newest(visit.conn, of.id)
    changed: list[str] = []
    if found is not None:
        house = houses.house(visit.desk.settings)
        changed = bind(visit.conn, of, house).differs(found[1].binding)
    moment = Moment(visit.desk, visit.conn, visit.now, {"campaign": of.id})
    return {
        "of": of,
        "can_begin": of.state in CAN_BE_RELEASED,
        "told": reports.shown(found[1], visit.language, campaigns.contents(visit.conn, of.id)) if found else None,
        "changed": changed,
        "is_old": found is not None and visit.now - found[1].at > gate.GOOD_FOR,
        **poll(moment),
    }


def poll(moment: Moment) -> Values:
    """Give how far it is, which renews itself."""
    run = preflight_runs.find(moment.conn, moment.numbers["campaign"])
    return {
        "run": run,
        "is_going": run is not None and run.is_going(moment.now),
        "is_lost": run is not None and run.is_lost(moment.now),
        "stages": {language: {check.value: title(check, language) for check in Check} for language in Language},
    }


def begin(visit: Visit) -> Response:
    """Begin a look; one at a time."""
    of = written(visit.conn, visit.number("campaign"))
    if of.state not in CAN_BE_RELEASED:
        raise Mend({"": "checking.too_late"})
    if not begin_look(visit, of.id):
        raise Mend({"": "checking.is_going_already"})
    visit.note("campaign", of.id, version=of.version)
    return visit.go(f"/campaigns/{of.id}/check")


def begin_look(visit: Visit, number: int) -> bool:
    """Begin a look once the act is committed. False: one is under way."""
    no = preflight_runs.begin(visit.conn, number, visit.who.member_id, visit.now)
    if no is None:
        return False
    desk = houses.desk(visit.desk.settings, needs_keys=False)
    visit.afterwards(lambda: running.begin(visit.desk.engine, number, no, desk))
    return True


def source(visit: Visit) -> Values:
    """Give what was written, line by line: where findings point, and what a second person reads."""
    of = written(visit.conn, visit.number("campaign"))
    return {"of": of, "files": sorted(campaigns.contents(visit.conn, of.id).items())}


_P = Permission
_ONE = "/campaigns/{campaign}"
PAGES = area(
    "campaigns",
    look(f"{_ONE}/check", _P.SEE_CAMPAIGNS, "check", show),
    live(f"{_ONE}/check/live", _P.SEE_CAMPAIGNS, "check_live", poll, every=1.0),
    act(f"{_ONE}/check", _P.EDIT_CAMPAIGNS, "checking.begun", begin),
    look(f"{_ONE}/source", _P.SEE_CAMPAIGNS, "source", source),
)

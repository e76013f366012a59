"""What people ask for by right: the log with its clock of one month, the most urgent on top."""

from starlette.responses import Response

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.said import said_address, said_day, said_line
from dispatcher.console.visit import Visit
from dispatcher.db.terms import RightKind
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.people import rights, subscribers
from dispatcher.domain.people.rights import Asked
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import NotFound

_ANSWERED = 100  # shown of those


def log(visit: Visit) -> Values:
    """Give what waits, and what was answered lately."""
    listed = rights.listed(visit.conn)
    waiting = [asked for asked in listed if asked.done_at is None]
    answered = [asked for asked in listed if asked.done_at is not None]
    return {
        "waiting": waiting,
        "overdue": sum(asked.days_left(visit.now) < 0 for asked in waiting),
        "answered": answered[:_ANSWERED],
        "is_cut": len(answered) > _ANSWERED or len(listed) == rights.LISTED,
    }


def one(visit: Visit) -> Values:
    """Give one request, and the person whose it is, if they are known here."""
    asked = _asked(visit)
    return {"asked": asked, "person": subscribers.by_hash(visit.conn, asked.address_hash)}


def new(_visit: Visit) -> Values:
    """Ask for what came in."""
    return {"kinds": list(RightKind)}


def enter(visit: Visit) -> Response:
    """Enter a request that is still to be done."""
    if visit.said("kind") not in list(RightKind):
        raise Mend({"kind": "rights.kind_missing"})
    hashed = address_hash(visit.desk.keyring, said_address(visit))
    day = said_day(visit, "received")
    at = rights.received(day, visit.now) if day else visit.now
    number = rights.enter(visit.conn, RightKind(visit.said("kind")), hashed, at)
    visit.note("rights_request", number, kind=visit.said("kind"))
    return visit.go(f"/rights/{number}", "rights.is_entered")


def extend(visit: Visit) -> Response:
    """Put a request off by two months, once."""
    asked = rights.extend(visit.conn, _asked(visit).id, said_line(visit, "reason"), visit.now)
    visit.note("rights_request", asked.id, due_on=str(asked.due_on))
    return visit.go(f"/rights/{asked.id}", "rights.is_extended")


def close(visit: Visit) -> Response:
    """End a request in words, whatever was done about it."""
    asked = rights.close(visit.conn, _asked(visit).id, visit.who.name, said_line(visit, "outcome"), visit.now)
    visit.note("rights_request", asked.id, kind=asked.kind)
    return visit.go("/rights", "rights.is_closed")


def _asked(visit: Visit) -> Asked:
    found = rights.by_id(visit.conn, visit.number("request"))
    if found is None:
        raise NotFound("there is no such request", "look it up in the log of rights")
    return found


_P = Permission.SERVE_RIGHTS
_ONE = "/rights/{request}"
PAGES = area(
    "rights",
    look("/rights", _P, "rights", log),
    look("/rights/new", _P, "rights_new", new),
    act("/rights/new", _P, "rights.entered", enter),
    look(_ONE, _P, "rights_one", one),
    look(f"{_ONE}/extend", _P, "rights_extend", one),
    act(f"{_ONE}/extend", _P, "rights.extended", extend),
    look(f"{_ONE}/close", _P, "rights_close", one),
    act(f"{_ONE}/close", _P, "rights.closed", close),
)

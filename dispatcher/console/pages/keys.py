"""With which programs call the API: make a key, shown once; see when it was used; end it.

What must stay true: the key itself stands in one answer and nowhere else, in no log either.
"""

from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Scope
from dispatcher.domain.programs import api_keys
from dispatcher.domain.programs.api_keys import ApiKey, Wanted
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused

_DAYS = ("90", "365", "")  # after which a key ends by itself; "": never


def everything(visit: Visit) -> Values:
    """Give every key, the newest first."""
    return {"keys": api_keys.listed(visit.conn)}


def new(visit: Visit) -> Values:
    """Ask what a key is for, and what it may do."""
    return {"scopes": list(Scope), "chosen": visit.form.all("scope"), "days": _DAYS}


def make(visit: Visit) -> Response:
    """Make a key, and show it once."""
    scopes = frozenset(Scope(word) for word in visit.form.all("scope") if word in list(Scope))
    if not scopes:
        raise Mend({"scope": "keys.scope_missing"})
    days = visit.said("days")
    if days not in _DAYS:
        raise HTTPException(400)
    end = visit.now + timedelta(days=int(days)) if days else None
    try:
        made, key = api_keys.create(visit.conn, Wanted(visit.said("name"), scopes, end, visit.who.name), visit.now)
    except InputRefused:
        raise Mend({"name": "keys.name_wrong"}) from None
    visit.note("key", made.id, scopes=" ".join(sorted(scopes)))
    return visit.page("keys_made", made=made, key=key)


def ask(visit: Visit) -> Values:
    """Ask whether a key is to end."""
    return {"key": _key(visit)}


def revoke(visit: Visit) -> Response:
    """End a key for good, at once."""
    ended = api_keys.revoke(visit.conn, visit.number("key"), visit.now)
    visit.note("key", ended.id)
    return visit.go("/people/keys", "keys.is_revoked", name=ended.name)


def _key(visit: Visit) -> ApiKey:
    number = visit.number("key")
    found = next((each for each in api_keys.listed(visit.conn) if each.id == number), None)
    if found is None:
        raise HTTPException(404)
    return found


_P = Permission
_ALL, _ONE = "/people/keys", "/people/keys/{key}"
PAGES = area(
    "people",
    look(_ALL, _P.SEE_PEOPLE, "keys", everything),
    look(f"{_ALL}/new", _P.EDIT_PEOPLE, "keys_new", new),
    act(f"{_ALL}/new", _P.EDIT_PEOPLE, "keys.made", make),
    look(f"{_ONE}/revoke", _P.EDIT_PEOPLE, "keys_revoke", ask),
    act(f"{_ONE}/revoke", _P.EDIT_PEOPLE, "keys.revoked", revoke),
)

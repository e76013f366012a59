"""Who works here: invite, change a role, switch off, hand out a new link."""

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Language, Role
from dispatcher.domain.staff import audit, invitations, members, roles
from dispatcher.domain.staff.audit import Wanted
from dispatcher.domain.staff.members import Candidate, Member
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import AddressInvalid, InputRefused

_SHOWN = 10  # entries of the audit log


def everyone(visit: Visit) -> Values:
    """Give all members."""
    return {"members": members.everyone(visit.conn)}


def one(visit: Visit) -> Values:
    """Give one member, what their role permits, and what they did lately."""
    found = _member(visit)
    lately = Wanted(member_id=found.id)
    did = audit.newest(visit.conn, lately, _SHOWN) if visit.may(Permission.SEE_AUDIT) else []
    return {"member": found, "entries": did, "roles": list(Role), "permits": sorted(roles.ROLES[found.role])}


def new(_visit: Visit) -> Values:
    """Ask for whom to invite."""
    return {"roles": list(Role), "languages": list(Language)}


def invite(visit: Visit) -> Response:
    """Enter an account and show its link, once."""
    who = _candidate(visit)
    if members.by_email(visit.conn, who.email) is not None:
        raise Mend({"email": "people.email_taken"})
    member_id = members.create(visit.conn, who, visit.now)
    visit.note("member", member_id, role=who.role)
    return _show_link(visit, members.get(visit.conn, member_id))


def renew_link(visit: Visit) -> Response:
    """Make a new link for somebody; by it they set a new password, and their second factor goes."""
    found = _member(visit)
    if found.off_at is not None:
        raise Mend({"": "people.is_off"})
    visit.note("member", found.id)
    return _show_link(visit, found)


def change_role(visit: Visit) -> Response:
    """Give somebody another role."""
    found, role = _member(visit), visit.said("role")
    if role not in list(Role):
        raise Mend({"role": "people.role_missing"})
    _require_another(visit, found)
    members.set_role(visit.conn, found.id, Role(role))
    visit.note("member", found.id, role=role, before=found.role)
    return visit.go(f"/people/{found.id}", "people.role_changed", name=found.name)


def switch_off(visit: Visit) -> Response:
    """Let somebody in no more."""
    found = _member(visit)
    _require_another(visit, found)
    members.switch_off(visit.conn, found.id, visit.now)
    visit.note("member", found.id)
    return visit.go(f"/people/{found.id}", "people.switched_off", name=found.name)


def switch_on(visit: Visit) -> Response:
    """Let somebody in again."""
    found = _member(visit)
    members.switch_on(visit.conn, found.id)
    visit.note("member", found.id)
    return visit.go(f"/people/{found.id}", "people.switched_on", name=found.name)


def _show_link(visit: Visit, member: Member) -> Response:
    token = invitations.invite(visit.conn, member.id, visit.now)
    link = f"{visit.desk.settings.public_url}/console/invitation/{token}"
    return visit.page("people_link", member=member, invitation=link, days=invitations.LASTS.days)


def _member(visit: Visit) -> Member:
    return members.get(visit.conn, visit.number("member"))


def _require_another(visit: Visit, member: Member) -> None:
    """Nobody changes their own role: a mistake could not be undone by the one who made it."""
    if member.id == visit.who.member_id:
        raise Mend({"": "people.not_yourself"})


def _candidate(visit: Visit) -> Candidate:
    errors: dict[str, str] = {}
    email = name = ""
    try:
        email = members.normal_email(visit.said("email"))
    except AddressInvalid:
        errors["email"] = "people.email_wrong"
    try:
        name = members.checked_name(visit.said("name"))
    except InputRefused:
        errors["name"] = "people.name_wrong"
    if visit.said("role") not in list(Role):
        errors["role"] = "people.role_missing"
    if visit.said("language") not in list(Language):
        raise HTTPException(400)
    if errors:
        raise Mend(errors)
    return Candidate(email, name, Role(visit.said("role")), Language(visit.said("language")))


_P = Permission
PAGES = area(
    "people",
    look("/people", _P.SEE_PEOPLE, "people", everyone),
    look("/people/new", _P.EDIT_PEOPLE, "people_new", new),
    act("/people/new", _P.EDIT_PEOPLE, "people.invited", invite),
    look("/people/{member}", _P.SEE_PEOPLE, "people_one", one),
    act("/people/{member}/role", _P.EDIT_PEOPLE, "people.role", change_role, mends="/people/{member}"),
    act("/people/{member}/link", _P.EDIT_PEOPLE, "people.link", renew_link, mends="/people/{member}"),
    act("/people/{member}/off", _P.EDIT_PEOPLE, "people.off", switch_off, mends="/people/{member}"),
    act("/people/{member}/on", _P.EDIT_PEOPLE, "people.on", switch_on, mends="/people/{member}"),
)

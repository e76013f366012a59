"""A link by which somebody sets their password: who is new, who forgot it, and the first administrator."""

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.console.declare import ANYONE, Mend, Values, act, area, look
from dispatcher.console.pages import login as login_pages
from dispatcher.console.visit import Visit
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Role
from dispatcher.domain.staff import audit, invitations, members, passwords
from dispatcher.domain.staff import login as steps
from dispatcher.domain.staff.audit import Deed
from dispatcher.domain.staff.members import Candidate
from dispatcher.errors import AddressInvalid, InputRefused


def show(visit: Visit) -> Values:
    """Ask for a password; the first administrator is asked for name and address, too."""
    found = invitations.find(visit.conn, visit.request.path_params["token"], visit.now)
    if found is None:
        raise HTTPException(404, "invitation")
    return {"member": found.member, "token": visit.request.path_params["token"]}


def accept(visit: Visit) -> Response:
    """Set the password, which takes the link, and go on as after a log-in."""
    token = visit.request.path_params["token"]
    with reading(visit.desk.engine).connect() as conn:
        found = invitations.find(conn, token, visit.now)
    if found is None:
        raise HTTPException(404, "invitation")
    first = _first_administrator(visit) if found.member is None else None
    who = first or found.member
    assert who is not None
    password_hash = passwords.make_hash(new_password(visit, who.email, who.name))
    with visit.desk.engine.begin() as conn:
        now = clock.now(conn)
        taken = invitations.take(conn, token, now)
        member_id = members.create(conn, first, now) if first else taken.member.id if taken.member else 0
        begun = steps.by_invitation(
            conn, member_id, password_hash, visit.device, now, visit.desk.roles_with_second_factor
        )
        audit.record(conn, audit.member(member_id), Deed("people.joined", "member", member_id), now)
    return login_pages.go_on(visit, begun)


def new_password(visit: Visit, *about: str) -> str:
    """Read a new password that was typed twice. Raises Mend."""
    password = visit.form.first("new_password")
    weakness = passwords.weakness(password, [*about, visit.desk.settings.sender_name])
    if weakness is not None:
        raise Mend({"new_password": f"invitation.{weakness}"})
    if password != visit.form.first("again"):
        raise Mend({"again": "invitation.differs"})
    return password


def _first_administrator(visit: Visit) -> Candidate:
    errors = {}
    try:
        email = members.normal_email(visit.said("email"))
    except AddressInvalid:
        email, errors["email"] = "", "people.email_wrong"
    try:
        name = members.checked_name(visit.said("name"))
    except InputRefused:
        name, errors["name"] = "", "people.name_wrong"
    if errors:
        raise Mend(errors)
    return Candidate(email, name, Role.ADMIN, visit.language)


PAGES = area(
    "invitation",
    look("/invitation/{token}", ANYONE, "invitation", show),
    act("/invitation/{token}", ANYONE, "people.joined", accept, alone=True),
)

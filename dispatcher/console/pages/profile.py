"""What everybody may change about themselves: name, language, password, second factor, where they are logged in."""

from starlette.responses import Response

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.pages import second_factor as setting_up
from dispatcher.console.pages.invitation import new_password
from dispatcher.console.visit import Visit
from dispatcher.db import clock
from dispatcher.db.terms import Language
from dispatcher.domain.staff import members, passwords, second_factor, sessions, throttle
from dispatcher.domain.staff.roles import Permission
from dispatcher.domain.staff.throttle import Wait
from dispatcher.errors import InputRefused


def show(visit: Visit) -> Values:
    """Give everything about oneself."""
    who = visit.who.member_id
    return {
        "me": members.get(visit.conn, who),
        "languages": list(Language),
        "places": sessions.places(visit.conn, who, visit.now),
        "codes_left": second_factor.recovery_codes_left(visit.conn, who),
        "must_have": visit.who.role in visit.desk.roles_with_second_factor,
    }


def change(visit: Visit) -> Response:
    """Change name and language."""
    if visit.said("language") not in list(Language):
        raise Mend({"language": "profile.language_missing"})
    try:
        members.set_profile(visit.conn, visit.who.member_id, visit.said("name"), Language(visit.said("language")))
    except InputRefused:
        raise Mend({"name": "people.name_wrong"}) from None
    visit.note("member", visit.who.member_id)
    return visit.go("/profile", "profile.changed")


def change_password(visit: Visit) -> Response:
    """Set a new password; every other session ends."""
    _require_password(visit)
    hashed = passwords.make_hash(new_password(visit, visit.who.email, visit.who.name))
    with visit.change() as conn:
        members.set_password_hash(conn, visit.who.member_id, hashed)
        sessions.end_all(conn, visit.who.member_id, but=visit.who.token_sha256)
        visit.note("member", visit.who.member_id)
    return visit.go("/profile", "profile.password_changed")


def set_up(visit: Visit) -> Response:
    """Set up a second factor, or another one."""
    _require_password(visit)
    with visit.change():
        return setting_up.set_up(visit)


def remove(visit: Visit) -> Response:
    """Take the second factor off, where the role does not need one."""
    if visit.who.role in visit.desk.roles_with_second_factor:
        raise Mend({"": "profile.must_have"})
    _require_password(visit)
    with visit.change() as conn:
        second_factor.remove(conn, visit.who.member_id)
        visit.note("member", visit.who.member_id)
    return visit.go("/profile", "profile.second_factor_removed")


def new_codes(visit: Visit) -> Response:
    """Make new recovery codes; the old ones end."""
    _require_password(visit)
    with visit.change() as conn:
        if not members.get(conn, visit.who.member_id).has_second_factor:
            raise Mend({"": "profile.has_none"})
        codes = second_factor.new_recovery_codes(conn, visit.desk.keyring, visit.who.member_id)
        visit.note("member", visit.who.member_id)
        return visit.page("recovery_codes", codes=codes)


def end_others(visit: Visit) -> Response:
    """End every session but this one."""
    sessions.end_all(visit.conn, visit.who.member_id, but=visit.who.token_sha256)
    visit.note("member", visit.who.member_id)
    return visit.go("/profile", "profile.others_ended")


def _require_password(visit: Visit) -> None:
    """Ask for the password again: a session that somebody left open is not enough. Wrong ones are counted."""
    with visit.desk.engine.begin() as conn:
        stored = members.password_hash(conn, visit.who.member_id)
        account = f"profile\0{visit.who.email}"
        attempt = throttle.admit(conn, visit.desk.keyring, account, visit.network, None, clock.now(conn))
    if isinstance(attempt, Wait):
        raise Mend({"": "profile.too_many"})
    if not passwords.is_right(stored, visit.form.first("password")):
        raise Mend({"password": "profile.password_wrong"})
    with visit.desk.engine.begin() as conn:
        throttle.forgive(conn, attempt)


_MINE = Permission.OWN_PROFILE
PAGES = area(
    "profile",
    look("/profile", _MINE, "profile", show),
    act("/profile", _MINE, "profile.changed", change),
    look("/profile/password", _MINE, "profile_password", show),
    act("/profile/password", _MINE, "profile.password", change_password, alone=True),
    look("/profile/second-factor", _MINE, "second_factor", setting_up.show),
    act("/profile/second-factor", _MINE, "profile.second_factor_set_up", set_up, alone=True),
    look("/profile/second-factor/remove", _MINE, "profile_remove", show),
    act("/profile/second-factor/remove", _MINE, "profile.second_factor_removed", remove, alone=True),
    look("/profile/recovery-codes", _MINE, "profile_codes", show),
    act("/profile/recovery-codes", _MINE, "profile.recovery_codes", new_codes, alone=True),
    act("/profile/others", _MINE, "profile.others_ended", end_others, mends="/profile"),
)

"""Logging in, in steps (domain/staff/login.py), and out."""

from starlette.responses import Response

from dispatcher.console.declare import ANYONE, Mend, Values, act, area, look
from dispatcher.console.frame import STAGES, safe_path
from dispatcher.console.guard import MARK, SESSION
from dispatcher.console.pages import second_factor
from dispatcher.console.visit import Visit
from dispatcher.db.terms import SessionStage
from dispatcher.domain.staff import login, sessions, throttle
from dispatcher.domain.staff.login import Begun, Caller, Wrong
from dispatcher.domain.staff.throttle import Wait


def show(visit: Visit) -> Values | Response:
    """Ask for address and password; whoever is in goes on."""
    if visit.session is not None and visit.session.stage is SessionStage.FULL:
        return visit.go("/")
    return {"next": safe_path(visit.asked("next")), "wait": None}


def by_password(visit: Visit) -> Response:
    """Try a password."""
    tried = login.by_password(
        visit.desk.engine,
        visit.desk.keyring,
        visit.said("email"),
        visit.form.first("password"),
        _caller(visit),
        visit.desk.roles_with_second_factor,
    )
    match tried:
        case Wait():
            return _wait(visit, tried, "login")
        case Wrong():
            raise Mend({"": "login.wrong"})
        case Begun():
            return go_on(visit, tried)


def show_code(visit: Visit) -> Values:
    """Ask for a code."""
    return {"next": safe_path(visit.asked("next")), "wait": None}


def by_code(visit: Visit) -> Response:
    """Try a code of the app, or a recovery code."""
    tried = login.by_code(visit.desk.engine, visit.desk.keyring, visit.who, visit.said("code"), _caller(visit))
    match tried:
        case Wait():
            return _wait(visit, tried, "code")
        case Wrong():
            raise Mend({"code": "login.code_wrong"})
        case Begun():
            return go_on(visit, tried)


def end(visit: Visit) -> Response:
    """Log out."""
    if visit.session is not None:
        with visit.change() as conn:
            sessions.end(conn, visit.session.token_sha256, visit.session.member_id)
    answer = visit.go("/login", "login.ended")
    visit.desk.cookies.drop(answer, SESSION)
    return answer


def go_on(visit: Visit, begun: Begun) -> Response:
    """Go where somebody wanted to go, or to the next step; the browser gets the new session, and a mark when it is
    complete.
    """
    target = safe_path(visit.said("next"))
    back = f"?next={target}" if target != "/" else ""
    answer = visit.go(f"{STAGES[begun.stage]}{back}" if begun.stage in STAGES else target)
    bring_in(visit, answer, begun)
    return answer


def bring_in(visit: Visit, answer: Response, begun: Begun) -> None:
    """Hand the browser its new session."""
    visit.desk.cookies.set(answer, SESSION, begun.token)
    if begun.stage is SessionStage.FULL:
        mark = throttle.make_mark(visit.desk.keyring, begun.email, visit.now)
        visit.desk.cookies.set(answer, MARK, mark)


def _enrol(visit: Visit) -> Response:
    answer = second_factor.set_up(visit)
    begun = login.go_on(visit.conn, visit.who, visit.device, visit.now)
    bring_in(visit, answer, begun)
    return answer


def _caller(visit: Visit) -> Caller:
    return Caller(visit.network, visit.device, visit.desk.cookies.read(visit.request, MARK))


def _wait(visit: Visit, wait: Wait, template: str) -> Response:
    seconds = wait.retry_after.total_seconds()
    answer = visit.page(template, status=429, next=safe_path(visit.said("next")), wait=seconds)
    answer.headers["Retry-After"] = str(round(seconds) + 1)
    return answer


PAGES = area(
    "login",
    look("/login", ANYONE, "login", show),
    act("/login", ANYONE, "login.begun", by_password, alone=True),
    look("/login/code", SessionStage.SECOND_FACTOR, "code", show_code),
    act("/login/code", SessionStage.SECOND_FACTOR, "login.begun", by_code, alone=True),
    look("/login/second-factor", SessionStage.ENROL, "second_factor", second_factor.show),
    act("/login/second-factor", SessionStage.ENROL, "profile.second_factor_set_up", _enrol),
    act("/logout", ANYONE, "login.ended", end, alone=True),
)

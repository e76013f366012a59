"""A request to the console, with everything a page works with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dispatcher.console import guard
from dispatcher.console.desk import Desk
from dispatcher.console.guard import NOTICE
from dispatcher.console.objections import Objection, worded
from dispatcher.console.paper import has, say
from dispatcher.db import clock
from dispatcher.db.terms import Language, SessionStage
from dispatcher.domain.staff import audit, roles, sessions
from dispatcher.domain.staff.audit import NOBODY, Actor, Deed
from dispatcher.domain.staff.roles import Permission
from dispatcher.domain.staff.sessions import Session
from dispatcher.web.forms import Form
from dispatcher.web.security import network_of

_LARGEST_NUMBER = 2**62


@dataclass(slots=True)
class Visit:
    """Who asks for what. `conn` is a reader's snapshot in a look, the open transaction in an act."""

    desk: Desk
    request: Request
    language: Language
    now: datetime
    area: str = ""
    action: str = ""
    session: Session | None = None
    form: Form = field(default_factory=lambda: Form({}))
    errors: Mapping[str, str] = field(default_factory=dict)
    problem: Objection | None = None  # why it could not be done
    areas: Mapping[str, tuple[str, Permission]] = field(default_factory=dict)
    _conn: Connection | None = None
    _deed: Deed | None = None
    _is_recorded: bool = False
    _after: list[Callable[[], object]] = field(default_factory=list)

    @property
    def conn(self) -> Connection:
        """Give the connection in which the visitor's session was checked."""
        assert self._conn is not None, "an act that is alone has no transaction: open one with visit.change()"
        return self._conn

    @property
    def who(self) -> Session:
        """Give who asks; on pages for anyone there may be nobody."""
        assert self.session is not None
        return self.session

    @property
    def actor(self) -> Actor:
        """Give how the audit log names who asks."""
        return NOBODY if self.session is None else audit.member(self.session.member_id)

    def may(self, permission: Permission) -> bool:
        """Claim that who asks may do this."""
        is_in = self.session is not None and self.session.stage is SessionStage.FULL
        return is_in and roles.may(self.who.role, permission)

    @property
    def navigation(self) -> Sequence[tuple[str, str]]:
        """Give the areas that who asks may see, with their paths."""
        return [(name, path) for name, (path, permission) in self.areas.items() if self.may(permission)]

    def leave_connection(self) -> None:
        """Work without a transaction from here on."""
        self._conn = None

    def lend(self, conn: Connection) -> None:
        """Give a reader's connection to an act that is alone, while it makes a page."""
        self._conn = conn

    def number(self, name: str) -> int:
        """Give a number in the path. 404 for anything else."""
        text = self.request.path_params[name]
        if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST_NUMBER:
            raise HTTPException(404)
        return int(text)

    def asked(self, name: str) -> str:
        """Give a word of the query; "" if there is none."""
        return self.request.query_params.get(name, "").strip()

    def said(self, name: str) -> str:
        """Give a field of the form, without blanks around it; "" if there is none."""
        return self.form.first(name).strip()

    def say(self, key: str, **values: object) -> str:
        """Give a sentence in the visitor's language."""
        return say(self.language, key, **values)

    def worded(self, objection: Objection) -> str:
        """Say in the visitor's language why something could not be done; empty where there is no sentence for it."""
        return worded(objection, self.language)

    def page(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Render a page."""
        notice = self.desk.cookies.notice(self.request)
        text = self.desk.paper.html(
            template,
            self.language,
            visit=self,
            may=self.may,
            notice=notice if notice and has(self.language, notice[0]) else None,
            **values,
        )
        answer = HTMLResponse(text, status)
        if self.desk.cookies.read(self.request, NOTICE):
            self.desk.cookies.drop(answer, NOTICE)
        return answer

    def go(self, path: str, notice: str = "", **values: object) -> Response:
        """Go on to another page of the console, which then says the sentence `notice`."""
        answer = RedirectResponse(self.link(path), 303)
        if notice:
            self.desk.cookies.set_notice(answer, notice, {name: str(value) for name, value in values.items()})
        return answer

    def link(self, path: str) -> str:
        """Give the address of a page of the console."""
        return f"{self.desk.paper.root}{path}"

    def note(self, about: str | None, about_id: int | None, **facts: str | int | bool | None) -> None:
        """Say for the audit log which thing this act is about (None: nothing that has a number), and with which facts;
        none may be an address.
        """
        self._deed = Deed(self.action, about, about_id, facts)

    def is_on_record(self) -> None:
        """Say that what this act calls has entered it into the audit log, who did it and with which facts."""
        self._is_recorded = True

    def afterwards(self, call: Callable[[], object]) -> None:
        """Have something called once the transaction is committed, such as a nudge."""
        self._after.append(call)

    def settle(self) -> None:
        """Call what was to be called after the commit."""
        while self._after:
            self._after.pop(0)()

    def record(self, conn: Connection) -> None:
        """Write the act into the audit log, once; the frame does it."""
        if self._is_recorded:
            return
        audit.record(conn, self.actor, self._deed or Deed(self.action), clock.now(conn))

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Open a transaction in an act that is alone; with its commit the act stands in the audit log."""
        with self.desk.engine.begin() as conn:
            self._conn = conn
            yield conn
            self.record(conn)
        self._conn = None
        self.settle()

    def field(self, name: str, stands: str = "") -> str:
        """Give what a field of a form holds: what was typed, when it has to be mended, else what stands."""
        return self.form.first(name) if self.form.fields else stands

    @property
    def form_token(self) -> str:
        """Give what every form of this session carries."""
        return sessions.form_token(self.token) if self.session else ""

    @property
    def token(self) -> str:
        """Give the session's token, from the cookie."""
        return self.desk.cookies.read(self.request, guard.SESSION)

    @property
    def network(self) -> str:
        """Give from which household or office this comes."""
        client = self.desk.site.client(self.request)
        return network_of(client) if client else "unknown"

    @property
    def device(self) -> str:
        """Name the visitor's browser."""
        return guard.device(self.request.headers.get("user-agent", ""))

"""What is the same for all pages: who may, from where, in which transaction, and what is shown when it fails.

    look    session -> permission -> show -> page
    act     origin -> session -> form token -> permission -> do -> audit -> COMMIT -> go on
              |          |            |            |          |
             403       log-in        403          403    mend: the look again, 422; nothing is changed
    live    session -> permission -> stream; both are looked at again every few seconds

What must stay true: no page is reached but by its declaration; what was refused has changed nothing.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dispatcher.console import guard
from dispatcher.console.declare import ANYONE, Act, Admits, Live, Look, Mend, Moment, Page
from dispatcher.console.desk import Desk
from dispatcher.console.door import Door
from dispatcher.console.guard import is_from_here
from dispatcher.console.live import HEADERS, Parts
from dispatcher.console.objections import Objection, objection
from dispatcher.console.visit import Visit
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, SessionStage
from dispatcher.domain.staff import roles, sessions
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import DispatcherError, NotFound
from dispatcher.web.forms import SMALL, Form, posted, whole
from dispatcher.web.language import choose
from dispatcher.web.receiving import is_multipart, receive

STAGES = {SessionStage.SECOND_FACTOR: "/login/code", SessionStage.ENROL: "/login/second-factor"}


class _Elsewhere(Exception):
    """Whoever asks has to log in first, or to go on with it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Frame:
    """Makes routes of declarations."""

    def __init__(self, desk: Desk, pages: Sequence[Page], order: Sequence[str]) -> None:
        self._desk = desk
        self._looks = {page.path: page for page in pages if isinstance(page, Look)}
        self._pages = pages
        self._door = Door()
        self.areas = _fronts(pages, order)

    def routes(self) -> list[BaseRoute]:
        """Give a route per path, with all its methods, so that 405 names them (RFC 9110, 15.5.6)."""
        by_path: dict[str, list[Page]] = {}
        for page in self._pages:
            by_path.setdefault(page.path, []).append(page)
        # What is named comes before what any word fits: /subscribers/new before /subscribers/{subscriber}.
        ordered = sorted(by_path, key=lambda path: [step.startswith("{") for step in path.split("/")])
        return [self._route(path, by_path[path]) for path in ordered]

    def _route(self, path: str, pages: Sequence[Page]) -> Route:
        shown = next((page for page in pages if not isinstance(page, Act)), None)
        done = next((page for page in pages if isinstance(page, Act)), None)
        assert len(pages) <= 2, f"{path} is declared more than once"
        assert shown is None or len(pages) == 1 or done is not None, f"{path} is declared more than once"

        async def endpoint(request: Request) -> Response:
            if request.method == "POST":
                assert done is not None
                return await self._post(done, request)
            if isinstance(shown, Live):
                return await self._stream(shown, request)
            assert shown is not None
            return await run_in_threadpool(self._look, shown, request)

        return Route(path, endpoint, methods=[*(["GET"] if shown else []), *(["POST"] if done else [])])

    # --- looks ---

    def _look(self, page: Look, request: Request) -> Response:
        try:
            with reading(self._desk.engine).connect() as conn:
                visit = self._enter(conn, page, request)
                answer = self._show(page, visit)
        except _Elsewhere as elsewhere:
            return RedirectResponse(f"{self._desk.paper.root}{elsewhere.path}", 303)
        if visit.session is not None and visit.session.is_to_be_noted(visit.now):
            with self._desk.engine.begin() as conn:
                sessions.note(conn, visit.session, visit.now)
        return answer

    def _show(self, page: Look, visit: Visit, status: int = 200) -> Response:
        values = page.show(visit)
        if isinstance(values, Response):
            return values
        return visit.page(page.template, status=status, **values)

    # --- acts ---

    async def _post(self, page: Act, request: Request) -> Response:
        if page.takes_file and is_multipart(request):
            return await self._receive(page, request)
        if page.size is not SMALL:
            try:
                await run_in_threadpool(self._checked, page, request)
            except _Elsewhere as elsewhere:
                return RedirectResponse(f"{self._desk.paper.root}{elsewhere.path}", 303)
        if page.admits is ANYONE:
            form = await whole(request, page.size)
            return await self._door.take(lambda: self._act(page, request, form))
        return await posted(lambda request, form: self._act(page, request, form), page.size)(request)

    def _act(self, page: Act, request: Request, form: Form) -> Response:
        if not is_from_here(request, self._desk.settings.public_url):
            raise HTTPException(403, "origin")
        try:
            return self._do_alone(page, request, form) if page.alone else self._do(page, request, form)
        except _Elsewhere as elsewhere:
            return RedirectResponse(f"{self._desk.paper.root}{elsewhere.path}", 303)
        except Mend as mend:
            return self._mend(page, request, form, errors=mend.errors, status=mend.status)
        except NotFound as error:
            raise HTTPException(404) from error
        except DispatcherError as error:
            return self._mend(page, request, form, problem=objection(error))

    async def _receive(self, page: Act, request: Request) -> Response:
        """Take in a form with a file; nobody's is read who may not hand one in."""
        if (refused := await run_in_threadpool(self._turn_away, page, request)) is not None:
            return refused
        form, answer = await receive(request, self._desk.shelf), None
        try:
            answer = await run_in_threadpool(self._act, page, request, form)
        finally:
            if form.file is not None and (answer is None or answer.status_code >= 400):
                self._desk.shelf.drop(form.file.stored)
        return answer

    def _turn_away(self, page: Act, request: Request) -> Response | None:
        """Say whether somebody may go on: None. Raises HTTPException with 403."""
        if not is_from_here(request, self._desk.settings.public_url):
            raise HTTPException(403, "origin")
        try:
            self._checked(page, request)
        except _Elsewhere as elsewhere:
            return RedirectResponse(f"{self._desk.paper.root}{elsewhere.path}", 303)
        return None

    def _do(self, page: Act, request: Request, form: Form) -> Response:
        with self._desk.engine.connect() as conn, conn.begin() as transaction:
            visit = self._enter(conn, page, request, form)
            answer = page.do(visit)
            if answer.status_code >= 400:
                transaction.rollback()
                return answer
            visit.record(conn)
        visit.settle()
        return answer

    def _do_alone(self, page: Act, request: Request, form: Form) -> Response:
        with reading(self._desk.engine).connect() as conn:
            visit = self._enter(conn, page, request, form)
        visit.leave_connection()
        return page.do(visit)

    def _mend(
        self, page: Act, request: Request, form: Form, *,
        errors: Mapping[str, str] | None = None, problem: Objection | None = None, status: int = 422,
    ) -> Response:  # fmt: skip
        """Show the look again, with what was typed and what has to be mended."""
        shown = self._looks.get(page.mends)
        with reading(self._desk.engine).connect() as conn:
            visit = self._enter(conn, page, request, form)
            visit.errors, visit.problem = errors or {}, problem
            if shown is None:
                return visit.page("refused", status=422)
            return self._show(shown, visit, status)

    # --- live parts ---

    async def _stream(self, page: Live, request: Request) -> Response:
        try:
            visit = await run_in_threadpool(self._checked, page, request)
        except _Elsewhere as elsewhere:
            raise HTTPException(403, "session") from elsewhere
        numbers = {name: visit.number(name) for name in request.path_params}

        async def is_still_allowed() -> bool:
            try:
                await run_in_threadpool(self._checked, page, request)
            except (_Elsewhere, HTTPException):
                return False
            return True

        events = self._desk.hub.stream(
            request.url.path, lambda: self._poll(page, numbers), page.every, visit.language, is_still_allowed
        )
        return StreamingResponse(events, headers=HEADERS)

    def _checked(self, page: Page, request: Request) -> Visit:
        with reading(self._desk.engine).connect() as conn:
            return self._enter(conn, page, request)

    def _poll(self, page: Live, numbers: Mapping[str, int]) -> Parts:
        with reading(self._desk.engine).connect() as conn:
            values = page.poll(Moment(self._desk, conn, clock.now(conn), numbers))
        return {language: self._desk.paper.html(page.template, language, **values) for language in Language}

    # --- who may ---

    def _enter(self, conn: Connection, page: Page, request: Request, form: Form | None = None) -> Visit:
        """Find out who asks and whether they may. Raises _Elsewhere, and HTTPException with 403."""
        visit = self.visit(conn, request, page.area)
        if isinstance(page, Act):
            visit.action = page.action
        if form is not None:
            visit.form = form
            self._require_form_token(visit, page.admits, form)
        self._require(visit, page.admits)
        return visit

    def visit(self, conn: Connection, request: Request, area: str = "") -> Visit:
        """Find out who asks."""
        now = clock.now(conn)
        token = self._desk.cookies.read(request, guard.SESSION)
        session = sessions.find(conn, token, now) if token else None
        language = session.language if session else choose(request)
        return Visit(self._desk, request, language, now, area=area, session=session, areas=self.areas, _conn=conn)

    def _require(self, visit: Visit, admits: Admits) -> None:
        if admits is None:
            return
        if visit.session is None:
            raise _Elsewhere(f"/login{_back_to(visit)}")
        stage = visit.session.stage
        if isinstance(admits, SessionStage):
            if stage is not admits:
                raise _Elsewhere(STAGES.get(stage, "/"))
            return
        if stage is not SessionStage.FULL:
            raise _Elsewhere(STAGES[stage])
        if not roles.may(visit.session.role, admits):
            raise HTTPException(403, "permission")

    def _require_form_token(self, visit: Visit, admits: Admits, form: Form) -> None:
        if admits is None:
            return  # nobody is logged in whose power could be borrowed; the origin was looked at
        if visit.session is not None and not sessions.is_form_token(visit.token, form.first("form_token")):
            raise HTTPException(403, "form")


def _fronts(pages: Sequence[Page], order: Sequence[str]) -> Mapping[str, tuple[str, Permission]]:
    """Give the front page of each area, that with the shortest path, and who may see it: the navigation."""
    fronts: dict[str, tuple[str, Permission]] = {}
    for page in sorted(pages, key=lambda page: len(page.path)):
        if isinstance(page, Look) and isinstance(page.admits, Permission):
            fronts.setdefault(page.area, (page.path, page.admits))
    return {name: fronts[name] for name in order if name in fronts}


def _back_to(visit: Visit) -> str:
    """Remember where somebody wanted to go who has to log in first."""
    path = visit.request.url.path.removeprefix(visit.desk.paper.root)
    if visit.request.method != "GET" or path in {"", "/"}:
        return ""
    query = f"?{visit.request.url.query}" if visit.request.url.query else ""
    return f"?next={quote(path + query, safe='/')}"


def safe_path(text: str) -> str:
    """Give a path of the console that somebody may be led to; "/" for anything that could lead out of it."""
    parts = urlsplit(text)
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return text if is_ours and text.isprintable() and "\\" not in text else "/"

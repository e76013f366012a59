"""The console as a part of the pages: its routes, and its own look for what goes wrong."""

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from dispatcher.console.desk import Desk, make_desk
from dispatcher.console.frame import Frame
from dispatcher.console.headers import ConsoleHeaders
from dispatcher.console.pages import AREAS, PAGES
from dispatcher.console.paper import STATIC
from dispatcher.db.engine import reading
from dispatcher.errors import NotFound
from dispatcher.web.kept_files import KeptFiles
from dispatcher.web.language import choose
from dispatcher.web.site import Part, Site

_KNOWN = {403, 404, 405, 413}
log = structlog.get_logger()


def console(site: Site) -> Part:
    """Make the console."""
    desk = make_desk(site)
    frame = Frame(desk, PAGES, AREAS)
    problems = _Problems(desk, frame)
    app = Starlette(
        routes=[*frame.routes(), Mount("/static", KeptFiles(directory=STATIC))],
        middleware=[Middleware(ConsoleHeaders)],
        exception_handlers={HTTPException: problems.http, NotFound: problems.not_found, Exception: problems.failed},
    )
    app.router.redirect_slashes = False
    root = desk.paper.root
    routes: list[BaseRoute] = [Route(root, lambda _: RedirectResponse(f"{root}/", 303)), Mount(root, app)]
    return Part(routes, desk.hub.close)


class _Problems:
    """Pages for what goes wrong: what it is, in words, and what to do. Nothing from inside shows."""

    def __init__(self, desk: Desk, frame: Frame) -> None:
        self._desk = desk
        self._frame = frame

    async def http(self, request: Request, error: Exception) -> Response:
        """Answer what router, form or frame refuses."""
        assert isinstance(error, HTTPException)
        if error.status_code == 503:  # without a thread, and without the database
            return self._bare(request, "busy", 503)
        kind = error.detail if error.status_code == 403 and error.detail in {"origin", "form"} else ""
        return await run_in_threadpool(self._answer, request, error.status_code, kind)

    async def not_found(self, request: Request, _error: Exception) -> Response:
        """Answer a look at something that is not there."""
        return await run_in_threadpool(self._answer, request, 404, "")

    async def failed(self, request: Request, error: Exception) -> Response:
        """Answer for a fault of ours; the border of the process logs it."""
        away = isinstance(error, OperationalError | PoolTimeout)
        return self._bare(request, "away" if away else "500", 503 if away else 500)

    def _answer(self, request: Request, status: int, kind: str) -> Response:
        name = kind or (str(status) if status in _KNOWN else "400")
        try:
            with reading(self._desk.engine).connect() as conn:
                visit = self._frame.visit(conn, request)
                return visit.page("problem", status=status, kind=name, home=self._desk.settings.public_url)
        except SQLAlchemyError:
            return self._bare(request, "away", 503)

    def _bare(self, request: Request, kind: str, status: int) -> Response:
        return HTMLResponse(self._desk.paper.html("bare", choose(request), kind=kind), status)

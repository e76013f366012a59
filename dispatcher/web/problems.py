"""Pages for what goes wrong: what it is, in words, and what to do.

What must stay true: a wrong link gets the same bytes whatever is wrong with it; nothing that went wrong inside shows
outside; the log gets places in the code and never values, for these may be addresses and tokens.
"""

import traceback
from collections.abc import Callable

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatcher.errors import DispatcherError
from dispatcher.web.language import choose
from dispatcher.web.legal import PERSONAL
from dispatcher.web.site import Site

_PAGES = {404: "missing", 405: "not_allowed", 413: "too_large"}

log = structlog.get_logger()


class Problems:
    """Answers for exceptions."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def http(self, request: Request, error: Exception) -> Response:
        """Answer what the router or a form refuses."""
        assert isinstance(error, HTTPException)
        if error.status_code == 404 and self._is_personal(request):
            return self.bad_link(request, error)
        name = _PAGES.get(error.status_code, "not_readable")
        return self._site.pages.answer(name, choose(request), status=error.status_code, headers=error.headers)

    def bad_link(self, request: Request, _error: Exception) -> Response:
        """Answer a link that is not ours, was altered, cut or used up: always the same."""
        return self._site.pages.answer("bad_link", choose(request), status=404)

    def failed(self, request: Request) -> Response:
        """Answer for a fault of ours."""
        return self._site.pages.answer("failed", choose(request), status=500)

    def away(self, request: Request) -> Response:
        """Answer while the database is away."""
        return self._site.pages.answer("away", choose(request), status=503, headers={"Retry-After": "30"})

    def _is_personal(self, request: Request) -> bool:
        return request.url.path.removeprefix(self._site.pages.root).startswith(PERSONAL)


class Border:
    """The border of the process: an exception that got this far becomes a page and a line in the log."""

    def __init__(self, app: ASGIApp, *, problems: Problems, come_back: Callable[[], object]) -> None:
        """`come_back` is called before the next request once the database was away: it may be an older one now."""
        self._app = app
        self._problems = problems
        self._come_back = come_back
        self._was_away = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._look_after_absence()
        is_started = False

        async def send_noting(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:  # noqa: BLE001  (the border)
            _tell(error)
            self._was_away = self._was_away or isinstance(error, OperationalError | PoolTimeout)
            if not is_started:
                await self._page(scope, error)(scope, receive, send)

    async def _look_after_absence(self) -> None:
        if not self._was_away:
            return
        self._was_away = False
        try:
            await run_in_threadpool(self._come_back)
        except (SQLAlchemyError, DispatcherError) as error:
            self._was_away = True
            _tell(error)

    def _page(self, scope: Scope, error: Exception) -> Response:
        request = Request(scope)
        if isinstance(error, OperationalError | PoolTimeout):
            return self._problems.away(request)
        return self._problems.failed(request)


def _tell(error: Exception) -> None:
    """An exception's own words may quote a statement's parameters, so only its kind and its places are logged."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    log.error("page.failed", error=type(error).__name__, places=places[-8:])

"""The public pages: which path leads where.

    /            sign-up              /privacy  /impressum
    /join        sign-up, begun on another page of the house
    /c/{token}   confirmation         /healthz  /robots.txt  /favicon.ico  /static/...
    /u/{token}   unsubscribe, and one-click (RFC 8058)
    /p/{token}   preferences
    /a/{token}   a change of address
    /v/{token}   view in browser

What must stay true: GET and HEAD change nothing; no path redirects, for a mail program that POSTs follows none.
"""

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from dispatcher.web.addresses import AddressChange
from dispatcher.web.forms import Endpoint, posted
from dispatcher.web.kept_files import KeptFiles
from dispatcher.web.legal import Legal
from dispatcher.web.pages import STATIC
from dispatcher.web.preferences import Preferences
from dispatcher.web.signup import Confirmation, SignUp
from dispatcher.web.site import Site
from dispatcher.web.unsubscribe import Unsubscribe
from dispatcher.web.view import View

Show = Callable[[Request], Response]


def routes(site: Site) -> list[BaseRoute]:
    """Give every route, below the path of the public URL."""
    root = site.pages.root
    confirmation, preferences, moving = Confirmation(site), Preferences(site), AddressChange(site)
    return [
        *_front_page(site, root),
        *_with_token(f"{root}/c", confirmation.question, posted(confirmation.answer)),
        *_unsubscribe(site, root),
        *_with_token(f"{root}/p", preferences.form, posted(preferences.answer)),
        *_with_token(f"{root}/a", moving.question, posted(moving.answer)),
        *_with_token(f"{root}/v", View(site).letter),
        *_standing(Legal(site), root),
        Mount(f"{root}/static", KeptFiles(directory=STATIC)),
    ]


def _front_page(site: Site, root: str) -> list[BaseRoute]:
    signup = SignUp(site)
    paths = [f"{root}/", root] if root else ["/"]
    front = [_route(path, signup.form, signup.answer) for path in paths]
    return [*front, _route(f"{root}/join", signup.form, posted(signup.join))]


def _unsubscribe(site: Site, root: str) -> list[BaseRoute]:
    leave = Unsubscribe(site)
    return _with_token(f"{root}/u", leave.question, leave.answer, leave.options)


def _standing(legal: Legal, root: str) -> list[BaseRoute]:
    shown: dict[str, Show] = {
        "/privacy": legal.privacy,
        "/impressum": legal.impressum,
        "/healthz": legal.health,
        "/robots.txt": legal.robots,
        "/favicon.ico": legal.icon,
    }
    return [_route(f"{root}{path}", show) for path, show in shown.items()]


def _with_token(path: str, show: Show, post: Endpoint | None = None, options: Show | None = None) -> list[BaseRoute]:
    """With and without a slash at the end: some mail programs add one."""
    return [_route(f"{path}/{{token}}{slash}", show, post, options) for slash in ("", "/")]


def _route(path: str, show: Show, post: Endpoint | None = None, options: Show | None = None) -> BaseRoute:
    """One route for all methods of a path, so that 405 names them all (RFC 9110, 15.5.6)."""

    async def endpoint(request: Request) -> Response:
        if request.method == "POST" and post is not None:
            return await post(request)
        if request.method == "OPTIONS" and options is not None:
            return options(request)
        return await run_in_threadpool(show, request)

    methods = ["GET", *(["POST"] if post else []), *(["OPTIONS"] if options else [])]
    return Route(path, endpoint, methods=methods)

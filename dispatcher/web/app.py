"""The composition root of the pages: settings and engine become an application. Nothing here is global."""

from collections.abc import Callable, Mapping

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from dispatcher.db import clock
from dispatcher.errors import InputRefused, TokenInvalid
from dispatcher.sending import declarations, endings
from dispatcher.sending.house import keyring
from dispatcher.settings import Settings
from dispatcher.web.pages import Pages
from dispatcher.web.problems import Border, Problems
from dispatcher.web.public import routes
from dispatcher.web.security import SecurityHeaders
from dispatcher.web.site import Site


def create_app(
    settings: Settings, engine: Engine, nudge: Callable[[int], None], mounted: Mapping[str, ASGIApp] | None = None
) -> Starlette:
    """Make the application; enter the current declarations. The database must answer and be up to date.

    `nudge(campaign_id)` is called after commit for each confirmation mail that waits to be sent. What is `mounted`, by
    path, stands behind the pages: they are looked for first, and are as fast without it as with it.
    """
    site = Site(settings, engine, keyring(settings), Pages(settings), nudge)
    _enter_declarations(site)
    problems = Problems(site)
    app = Starlette(
        routes=[*routes(site), *(Mount(f"{site.pages.root}{path}", app) for path, app in (mounted or {}).items())],
        middleware=[
            Middleware(SecurityHeaders, https=settings.public_url.startswith("https:")),
            Middleware(Border, problems=problems, come_back=lambda: endings.settle(engine, endings.file_of(settings))),
        ],
        exception_handlers={HTTPException: problems.http, TokenInvalid: problems.bad_link},
    )
    app.router.redirect_slashes = False
    return app


def _enter_declarations(site: Site) -> None:
    try:
        with site.engine.begin() as conn:
            declarations.enter(conn, site.settings, clock.now(conn))
    except (IntegrityError, InputRefused):
        with (
            site.engine.begin() as conn
        ):  # another process that starts at the same time has entered them, or it is refused
            declarations.enter(conn, site.settings, clock.now(conn))

"""The composition root of the pages: settings and engine become an application. Nothing here is global."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from dispatcher.db import clock
from dispatcher.errors import InputRefused, TokenInvalid
from dispatcher.sending import declarations, endings
from dispatcher.sending.house import keyring
from dispatcher.settings import Settings
from dispatcher.web.pages import Pages
from dispatcher.web.problems import Border, Problems
from dispatcher.web.public import routes
from dispatcher.web.security import SecurityHeaders
from dispatcher.web.site import Part, Site


def create_app(
    settings: Settings,
    engine: Engine,
    nudge: Callable[[int], None],
    parts: Sequence[Callable[[Site], Part]] = (),
) -> Starlette:
    """Make the application; enter the current declarations. The database must answer and be up to date.

    `nudge(campaign_id)` is called after commit for each confirmation mail that waits to be sent. `parts` are served
    beside the public pages, which are looked for first.
    """
    site = Site(settings, engine, keyring(settings), Pages(settings), nudge)
    _enter_declarations(site)
    problems = Problems(site)
    made = [make(site) for make in parts]
    app = Starlette(
        routes=[*routes(site), *(route for part in made for route in part.routes)],
        middleware=[
            Middleware(SecurityHeaders, https=settings.public_url.startswith("https:")),
            Middleware(Border, problems=problems, come_back=lambda: endings.settle(engine, endings.file_of(settings))),
        ],
        exception_handlers={HTTPException: problems.http, TokenInvalid: problems.bad_link},
    )
    app.router.redirect_slashes = False
    app.state.close = [part.close for part in made]
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

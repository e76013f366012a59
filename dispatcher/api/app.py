"""The composition root of the API: settings and engine become an application, to be mounted under /api/v1."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from dispatcher.api import (
    audience,
    campaigns,
    document,
    feeds,
    imports,
    ledger,
    previews,
    problems,
    releasing,
    revisions,
    rights,
    state,
    subscribers,
    suppressions,
    trials,
    webhooks,
)
from dispatcher.api.desk import Desk
from dispatcher.api.entrance import Allowance, Entrance
from dispatcher.domain.programs.api_answers import OtherRequest
from dispatcher.errors import DispatcherError
from dispatcher.sending.house import keyring
from dispatcher.settings import Settings

PATH = "/api/v1"
_ROUTERS = (
    campaigns.router, audience.router, trials.router, previews.router, releasing.router, revisions.router,
    feeds.router, subscribers.router, suppressions.router, imports.router, ledger.router, state.router, webhooks.router,
    rights.router, document.router,
)  # fmt: skip


def create_api(
    settings: Settings, engine: Engine, nudge: Callable[[int], object], nudge_drains: Callable[[], object],
    allowance: Allowance | None = None,
) -> FastAPI:  # fmt: skip
    """Make the application. The database must answer and be up to date.

    `nudge(campaign_id)` is called after commit for each campaign that is due, `nudge_drains()` for one that goes on.
    """
    desk = Desk(settings, engine, keyring(settings), nudge, nudge_drains)
    public_url = settings.public_url + PATH
    app = FastAPI(
        title="dispatcher", version=version("dispatcher"), description=document.DESCRIPTION,
        openapi_tags=document.TAGS, servers=[{"url": public_url}],
        docs_url=None, redoc_url=None,  # they would load scripts from elsewhere
        redirect_slashes=False, root_path_in_servers=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # it would see addresses
        middleware=[Middleware(Entrance, desk=desk, allowance=allowance or Allowance())],
        exception_handlers={
            DispatcherError: problems.of_error,
            OtherRequest: problems.of_another,
            HTTPException: problems.of_http,
            RequestValidationError: problems.of_fields,
            Exception: problems.of_fault,
        },
    )  # fmt: skip
    app.state.desk = desk
    app.state.public_url = public_url
    for router in _ROUTERS:
        app.include_router(router)
    app.openapi = partial(document.make_document, app)  # type: ignore[method-assign]
    return app

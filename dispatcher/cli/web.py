"""`dispatcher web`: the pages, and the API beside them."""

from functools import partial

import click

from dispatcher import broker
from dispatcher.api.app import PATH as API
from dispatcher.api.app import create_api
from dispatcher.cli.context import PORTS, Context, pass_context
from dispatcher.console.app import console
from dispatcher.observe import logs
from dispatcher.web.app import create_app
from dispatcher.web.server import serve
from dispatcher.web.site import mounted


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=PORTS.web, show_default=True)
@pass_context
def web(context: Context, host: str, port: int) -> None:
    """Serve the pages, and the API under /api/v1.

    The recipients' (sign-up, confirmation, unsubscribe, preferences, view in browser), and below /console the staff's.
    """
    settings = context.settings
    logs.configure(settings.log)
    nudge = partial(_nudge, context)
    api = create_api(settings, context.engine, nudge, lambda: broker.nudge_drains(settings, 0, 16, 16))
    serve(create_app(settings, context.engine, nudge, [console, mounted(API, api)]), host, port)


def _nudge(context: Context, campaign_id: int) -> None:
    broker.nudge_launch(context.settings, campaign_id)

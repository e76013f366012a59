"""`dispatcher web`: the pages."""

import click

from dispatcher import broker
from dispatcher.cli.context import PORTS, Context, pass_context
from dispatcher.console.app import console
from dispatcher.observe import logs
from dispatcher.web.app import create_app
from dispatcher.web.server import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=PORTS.web, show_default=True)
@pass_context
def web(context: Context, host: str, port: int) -> None:
    """Serve the pages.

    The recipients' (sign-up, confirmation, unsubscribe, preferences, view in browser), and below /console the staff's.
    """
    settings = context.settings
    logs.configure(settings.log)
    app = create_app(settings, context.engine, lambda campaign_id: _nudge(context, campaign_id), [console])
    serve(app, host, port)


def _nudge(context: Context, campaign_id: int) -> None:
    broker.nudge_launch(context.settings, campaign_id)

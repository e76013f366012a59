"""`dispatcher web`: the pages, and the API beside them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import click

from dispatcher import broker
from dispatcher.api.app import PATH as API
from dispatcher.api.app import create_api
from dispatcher.cli.context import PORTS, Context, pass_context
from dispatcher.console.app import console
from dispatcher.db.clock import steady
from dispatcher.observe import logs
from dispatcher.web.app import create_app
from dispatcher.web.server import serve
from dispatcher.web.site import mounted

MOST_CALLS = 50  # a second


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
    nudge = Caller(partial(broker.nudge_launch, settings)).call
    api = create_api(settings, context.engine, nudge, lambda: broker.nudge_drains(settings, 0, 16, 16))
    serve(create_app(settings, context.engine, nudge, [console, mounted(API, api)]), host, port)


class Caller:
    """Calls a worker for each confirmation mail, up to MOST_CALLS a second: a call costs as much as half the sign-up,
    and what comes beyond is found by the next tick, five seconds later at most. Nobody waits for it, least of all
    while the broker is away: it has a thread of its own.
    """

    def __init__(self, nudge: Callable[[int], object], clock: Callable[[], float] = steady) -> None:
        self._nudge, self._clock = nudge, clock
        self._second, self._calls = 0, 0
        self._room = threading.Semaphore(2 * MOST_CALLS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="caller")

    def call(self, campaign_id: int) -> None:
        """Call a worker, unless enough were called within this second, or the broker keeps too many waiting."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._calls = second, 0
        self._calls += 1  # several threads may do this at once: one call more or less is harmless
        if self._calls <= MOST_CALLS and self._room.acquire(blocking=False):
            self._thread.submit(self._call, campaign_id)

    def close(self) -> None:
        """Wait until every call is through."""
        self._thread.shutdown()

    def _call(self, campaign_id: int) -> None:
        try:
            self._nudge(campaign_id)
        finally:
            self._room.release()

"""`dispatcher worker`: what sends."""

import click

from dispatcher.cli.context import Context, pass_context
from dispatcher.observe import logs
from dispatcher.worker import programs


@click.command()
@click.option("--concurrency", type=int, help="Processes that send campaigns; default: one a core, with SQLite one.")
@pass_context
def worker(context: Context, concurrency: int | None) -> None:
    """Send what is due.

    Celery workers, and the tick that looks after schedules, retries and dead leases.
    """
    logs.configure(context.settings.log)
    context.check()
    # What the command line has loaded is of no use to a process that runs for months.
    context.engine.dispose()
    programs.become(programs.of_a_worker("watch", *([str(concurrency)] if concurrency else [])))

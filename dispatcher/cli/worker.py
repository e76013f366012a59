"""`dispatcher worker`: what sends."""

import click

from dispatcher.cli.context import Context, pass_context
from dispatcher.observe import logs
from dispatcher.worker import watch


@click.command()
@click.option("--concurrency", type=int, help="Processes that send campaigns; default: one a core, with SQLite one.")
@click.option("--celery", "name", hidden=True, help="Run one Celery worker (used by `worker` itself).")
@click.option("--queues", default="", hidden=True)
@pass_context
def worker(context: Context, concurrency: int | None, name: str | None, queues: str) -> None:
    """Send what is due.

    Celery workers, and the tick that looks after schedules, retries and dead leases.
    """
    logs.configure(context.settings.log)
    context.check()
    if name:
        watch.run_celery(context.settings, name, queues.split(","), concurrency or 1)
    else:
        watch.run_worker(context.settings, concurrency)

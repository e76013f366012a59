"""`dispatcher bench`: how fast it is on this machine."""

import os
from pathlib import Path
from typing import Any

import click

from dispatcher.cli.context import out
from dispatcher.errors import PartUnavailable
from dispatcher.observe import logs


@click.command()
@click.option("--people", default="100000", show_default=True, help="Sizes of the audience on PostgreSQL, by commas.")
@click.option("--lanes", default=256, show_default=True, help="Connections of each sending process.")
@click.option("--workers", type=int, help="Sending processes.  [default: one for two cores]")
@click.option("--sqlite/--no-sqlite", default=True, help="Measure SQLite as well.")
@click.option("--far/--no-far", default=True, help="Measure a relay 25 ms away as well.")
@click.option("--campaigns/--no-campaigns", default=True, help="Measure campaigns.")
@click.option("--pages/--no-pages", default=True, help="Measure signing up and unsubscribing.")
@click.option("--import", "rows", default=0, metavar="ROWS", help="Measure the import of a file of so many people.")
@click.option("--append", "events", default=0, metavar="EVENTS", help="Measure so many events appended to the ledger.")
@click.option("--json", "write_to", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures there.")
def bench(people: str, lanes: int, workers: int | None, write_to: Path | None, campaigns: bool, **also: Any) -> None:
    """Measure whole campaigns, the recipients' pages and what comes in bulk on this machine.

    Made-up people, a database of its own, real workers, a sink for a relay: nothing leaves this machine, and nothing
    of yours is touched. Beside it Postfix's smtp-source, where it is installed, sends as much to the same sink.

    \b
    dispatcher bench                                  100,000 people
    dispatcher bench --people 10000,1000000           does a letter cost the same in a large campaign?
    dispatcher bench --lanes 64 --workers 1 --no-far
    dispatcher bench --no-campaigns                   the pages alone
    dispatcher bench --no-campaigns --no-pages --import 1000000 --append 200000
    """
    try:
        from dispatcher.bench.run import Plan, run
    except ImportError as error:
        raise PartUnavailable(
            f"the measurement needs {error.name}, which is not installed", "run `make bench`, which installs it"
        ) from error
    logs.configure("auto", level=40)
    sizes = [int(size) for size in people.split(",")]
    processes = workers or max(1, (os.cpu_count() or 1) // 2)
    run(Plan(sizes if campaigns else [], lanes, processes, **also), out, write_to)

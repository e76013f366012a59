"""`dispatcher doctor`: is everything well?"""

import sys
from dataclasses import asdict

import click
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from dispatcher import health
from dispatcher.cli.context import Context, make_table, out, print_json
from dispatcher.db.engine import reading
from dispatcher.domain.delivery import workers
from dispatcher.errors import DispatcherError
from dispatcher.health import Finding, Part


@click.command()
@click.option("--quick", is_flag=True, help="Only database and broker: for health checks.")
@click.option("--json", "as_json", is_flag=True)
def doctor(quick: bool, as_json: bool) -> None:
    """Say what is wrong and what to do.

    Looks at settings, database, broker, keys, relays and work. Exit code 1 if anything is not well.
    """
    findings = _examine(quick=quick)
    well = all(finding.is_well for finding in findings)
    if as_json:
        parts = [{"part": f.title, "well": f.is_well, "says": f.says, "cure": f.cure} for f in findings]
        print_json({"well": well, "parts": parts, "workers": _workers(quick=quick)})
    else:
        table = make_table("part", "", "")
        for f in findings:
            table.add_row(f.title, "[green]well[/]" if f.is_well else "[red]not well[/]", escape(f.says))
            if f.cure and not f.is_well:
                table.add_row("", "[bold]cure[/]", escape(f.cure))
        out.print(table)
    sys.exit(0 if well else 1)


def _examine(*, quick: bool) -> list[Finding]:
    """Without settings there is nothing else to look at."""
    context = Context()
    settings = health.look(Part.SETTINGS, lambda: health.of_settings(context.settings))
    if not settings.is_well:
        return [settings]
    parts = health.QUICK if quick else health.ALL
    return [settings, *health.examine(context.settings, lambda: context.engine, parts)]


def _workers(*, quick: bool) -> list[dict[str, object]]:
    """Give what each worker process said of itself last; nothing where the database cannot be asked."""
    if quick:
        return []
    try:
        with reading(Context().engine).connect() as conn:
            return [asdict(report) for report in workers.everyone(conn)]
    except (DispatcherError, SQLAlchemyError):
        return []  # the parts say why

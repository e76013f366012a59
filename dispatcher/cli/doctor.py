"""`dispatcher doctor`: is everything well?"""

import sys

import click
from rich.markup import escape

from dispatcher import health
from dispatcher.cli.context import Context, make_table, out, print_json
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
        print_json({"well": well, "parts": parts})
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

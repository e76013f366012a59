"""`dispatcher subscribers imports`: which files were taken in, and what became of each."""

import click
from rich.markup import escape

from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.db.engine import reading
from dispatcher.domain.imports import Fate, runs


@click.command("imports")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def imports(context: Context, as_json: bool) -> None:
    """List the latest 50 files that were taken in, and those that were not taken in to their end."""
    with reading(context.engine).connect() as conn:
        listed = runs.latest(conn)
    if as_json:
        names = ("id", "file", "origin", "by", "rows_done", "counts", "started_at", "finished_at")
        print_json({"imports": [{name: getattr(run, name) for name in names} for run in listed]})
        return
    if not listed:
        out.print("nothing was imported yet")
        return
    table = make_table("id", "file", "rows", "became", "origin", "by", "started (UTC)", "", right=("id", "rows"))
    for run in listed:
        became = ", ".join(f"{run.counts[fate]:,} {fate}" for fate in Fate if run.counts.get(fate))
        took = "still open: the same command goes on" if run.finished_at is None else _span(run)
        table.add_row(
            str(run.id), escape(run.file), f"{run.rows_done:,}", became, escape(run.origin), escape(run.by),
            f"{run.started_at:%Y-%m-%d %H:%M}", took,
        )  # fmt: skip
    out.print(table)


def _span(run: runs.Listed) -> str:
    assert run.finished_at is not None
    return f"in {(run.finished_at - run.started_at).total_seconds():,.0f} s"

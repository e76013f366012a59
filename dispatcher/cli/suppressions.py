"""`dispatcher suppressions`: the never-mail list, out as keyed hashes, in as those or as addresses."""

import csv
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from sqlalchemy import func, select

from dispatcher.cli.context import Context, err, make_table, out, pass_context, print_json
from dispatcher.cli.exports import progress, whole_file
from dispatcher.counting import counted
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.tables import suppression
from dispatcher.db.terms import SuppressionReason, Topic
from dispatcher.domain import suppression_files as files
from dispatcher.domain.imports.rows import Rejected, Tally
from dispatcher.domain.imports.writing import chunks


@click.group()
def suppressions() -> None:
    """The never-mail list: it wins over every consent and every file."""


@suppressions.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show how many addresses are on it, by scope and reason. It holds no address, only keyed hashes."""
    n = suppression.c
    with reading(context.engine).connect() as conn:
        rows = conn.execute(
            select(n.scope, n.reason, func.count()).group_by(n.scope, n.reason).order_by(n.scope, n.reason)
        ).all()
    if as_json:
        print_json({"suppressions": [{"scope": s, "reason": r, "addresses": count} for s, r, count in rows]})
        return
    table = make_table("scope", "reason", "addresses", right=("addresses",))
    for scope, reason, count in rows:
        table.add_row(scope, reason, f"{count:,}")
    out.print(table)


@suppressions.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file; - for standard output.")
@pass_context
def export(context: Context, output: Path) -> None:
    """Write it to a CSV file: hashes, good under the same secret key only.

    \b
    dispatcher suppressions export -o never.csv
    """
    done = 0
    with reading(context.engine).connect() as conn, whole_file(output) as file:
        number = int(conn.execute(select(func.count()).select_from(suppression)).scalar_one())
        writer = csv.writer(file)
        writer.writerow(files.HEADER)
        with progress("exporting", number) as show:
            for rows in files.pages(conn, context.keyring):
                writer.writerows(rows)
                done += len(rows)
                show(done)
    err.print(f"{counted(done, 'entry', 'entries')} written to {escape(str(output))}")


@suppressions.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--origin", required=True, help="Where the list comes from, in words; kept with each entry.")
@click.option("--topic", type=click.Choice([t.value for t in Topic]), help="Of rows without scope; default: all.")
@click.option(
    "--reason",
    type=click.Choice([r.value for r in SuppressionReason]),
    default="operator",
    show_default=True,
    help="Of rows that name none. A new double opt-in lifts `withdrawn`, nothing else.",
)
@click.option("--encoding", default="utf-8", help="What the file was saved in.")
@click.option("--dry-run", is_flag=True, help="Judge every row, write nothing.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def import_(context: Context, /, file: Path, as_json: bool, **said: Any) -> None:
    """Put addresses on the list: one a line, or email[,scope][,reason], or a file that `export` wrote.

    An entry that stands stays, unless it only said `withdrawn` and a graver reason comes. To repeat it is harmless.

    \b
    dispatcher suppressions import blocklist.csv --origin "old system, 2026-11-22" --reason operator
    """
    topic = Topic(said["topic"]) if said["topic"] else None
    default = files.Default(topic, SuppressionReason(said["reason"]), f"import: {said['origin']}")
    new, rows, tally = 0, 0, Tally()
    with file.open("rb") as stream:
        for chunk in chunks(files.read(stream, context.keyring, default, said["encoding"])):
            rows += len(chunk)
            entries = [row for row in chunk if not isinstance(row, Rejected)]
            for rejected in (row for row in chunk if isinstance(row, Rejected)):
                tally.reject(rejected)
            with context.engine.begin() as conn:
                new += files.take(conn, entries, clock.now(conn), dry_run=said["dry_run"])
    bad = tally.rows
    if as_json:
        listed = [{"line": r.line, "reason": r.reason} for r in tally.rejects]
        print_json({"dry_run": said["dry_run"], "rows": rows, "new": new, "rejected": bad, "rejects": listed})
        return
    out.print(f"{counted(rows, 'row')}: {new:,} new, {rows - new - bad:,} there already, {bad:,} rejected")
    for rejected in tally.rejects[:20]:
        out.print(f"line {rejected.line}: {rejected.reason}", markup=False)
    if said["dry_run"]:
        out.print("dry run: nothing was written")

"""`dispatcher subscribers`: import, and one person's story."""

import csv
import sys
from pathlib import Path
from typing import BinaryIO

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection

from dispatcher.cli.context import Context, err, make_table, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain import consent as ledger
from dispatcher.domain import imports, suppression
from dispatcher.domain import subscribers as people
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.imports import Fate, Rejected, Tally
from dispatcher.domain.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused, NotFound
from dispatcher.sending import opt_in
from dispatcher.web import declarations

_MEANS = {
    Fate.CONFIRMED: "consent with evidence, current from now on",
    Fate.PENDING: "no evidence (consent_at and consent_source): must confirm first",
    Fate.UNCHANGED: "known already, nothing new",
    Fate.DUPLICATE: "the same address stood in an earlier row",
    Fate.WITHDRAWN: "the person left; stays withdrawn",
    Fate.SUPPRESSED: "on the never-mail list; stays there",
    Fate.REJECTED: "could not be read",
}


@click.group()
def subscribers() -> None:
    """People."""


@subscribers.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--origin", required=True, help="Where these people come from, in words; kept as proof.")
@click.option("--dry-run", is_flag=True, help="Judge every row, write nothing.")
@click.option("--confirm", is_flag=True, help="Send those without evidence a mail that asks them to confirm.")
@click.option("--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Write rejected rows here, as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_context
def import_(  # noqa: PLR0913  (one parameter per option)
    context: Context, file: Path, origin: str, dry_run: bool, confirm: bool, rejects: Path | None, as_json: bool
) -> None:
    """Take in people from a CSV file.

    \b
    Columns: email,name,language,topics,consent_at,consent_ip,consent_source,declaration
    (topics separated by blanks). Suppression and withdrawal always win over the file.

    \b
    dispatcher subscribers import people.csv --origin "CRM export, 2026-11-22" --dry-run
    dispatcher subscribers import people.csv --origin "CRM export, 2026-11-22"
    """
    with file.open("rb") as stream:
        tally = _import(context, stream, file.stat().st_size, origin, dry_run=dry_run, confirm=confirm)
    if rejects is not None:
        _write_rejects(rejects, tally)
    if as_json:
        counts = {fate.value: count for fate, count in tally.counts.items()}
        listed = [{"line": r.line, "reason": r.reason} for r in tally.rejects]
        print_json({"dry_run": dry_run, "rows": tally.rows, **counts, "rejects": listed})
    else:
        _tell(tally, dry_run=dry_run)


@subscribers.command()
@click.argument("address")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def show(context: Context, address: str, as_json: bool) -> None:
    """Tell one person's story: consent, letters, suppression."""
    with reading(context.engine).connect() as conn:
        person = find(conn, context.keyring, address)
        stands = ledger.standing(conn, person.id)
        entries = suppression.entries(conn, person.address_hash)
        told = people.story(conn, person.id)
    if as_json:
        print_json({
            "address": person.address, "name": person.name, "language": person.language,
            "topics": {t: {"state": state, "since": since} for t, (state, since) in stands.items()},
            "suppressed": [{"scope": e.scope, "reason": e.reason, "at": e.at} for e in entries],
            "story": [{"at": h.at, "what": h.what, "topic": h.topic, "detail": h.detail} for h in told],
        })  # fmt: skip
        return
    out.print(f"[bold]{person.address}[/]  {person.name}  ({person.language})")
    table = make_table("topic", "state", "since")
    for topic, (state, since) in stands.items():
        table.add_row(topic, state, f"{since:%Y-%m-%d %H:%M:%S} UTC")
    out.print(table)
    for entry in entries:
        out.print(f"[bold]never mail:[/] {entry.scope}, {entry.reason}, since {entry.at:%Y-%m-%d %H:%M} UTC")
    out.print()
    table = make_table("when (UTC)", "what", "topic", "proof")
    for happening in told:
        table.add_row(f"{happening.at:%Y-%m-%d %H:%M:%S}", happening.what, happening.topic, happening.detail)
    out.print(table)


def find(conn: Connection, keyring: Keyring, address: str) -> Subscriber:
    """Find a person by address. Raises NotFound, AddressInvalid."""
    person = people.by_hash(conn, suppression.address_hash(keyring, parse_address(address)))
    if person is None:
        raise NotFound(f"nobody here has the address {address}", "check the spelling")
    return person


def _import(context: Context, stream: BinaryIO, size: int, origin: str, *, dry_run: bool, confirm: bool) -> Tally:
    tally, seen = Tally(), set[bytes]()
    engine = context.engine
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    with engine.begin() as conn:
        now = clock.now(conn)
        if not dry_run:
            declarations.enter(conn, context.settings, now)  # rows may name the words that our own form shows
    with bar:
        work = bar.add_task("dry run" if dry_run else "importing", total=size)
        for chunk in imports.chunks(imports.read_rows(stream, context.keyring, now)):
            rows = []
            for row in chunk:
                if isinstance(row, Rejected):
                    tally.reject(row)
                else:
                    rows.append(row)
            with engine.begin() if not dry_run else reading(engine).connect() as each:
                pending = imports.take(each, rows, origin, tally, seen, now, dry_run=dry_run)
                if confirm and not dry_run:
                    for row in pending:
                        evidence = Evidence(source=f"import: {origin}", language=row.language)
                        asked = opt_in.Request(row.address, row.name, row.language, row.topics, evidence)
                        opt_in.request(each, context.keyring, asked, now)
            bar.update(work, completed=stream.tell())
    return tally


def _tell(tally: Tally, *, dry_run: bool) -> None:
    table = make_table("rows", "become" if dry_run else "became", "", right=("rows",))
    for fate, count in tally.counts.items():
        if count:
            table.add_row(f"{count:,}", fate, _MEANS[fate])
    out.print(table)
    for rejected in tally.rejects[:20]:
        out.print(f"line {rejected.line}: {rejected.reason}", markup=False)
    if tally.counts[Fate.REJECTED] > 20:
        out.print(f"... and {tally.counts[Fate.REJECTED] - 20:,} more; --rejects FILE writes them down")
    if dry_run:
        out.print("dry run: nothing was written")


def _write_rejects(path: Path, tally: Tally) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["line", "reason"])
            writer.writerows((r.line, r.reason) for r in tally.rejects)
    except OSError as error:
        raise InputRefused(f"{path} cannot be written: {error.strerror}", "name another file") from None
    sys.stderr.flush()

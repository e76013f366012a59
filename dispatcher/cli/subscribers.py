"""`dispatcher subscribers`: import, and one person's story."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection

from dispatcher.cli.add import add
from dispatcher.cli.context import Context, err, make_table, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import SubscriptionState
from dispatcher.domain import consent as ledger
from dispatcher.domain import coverage, imports, suppression
from dispatcher.domain import subscribers as people
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.imports import Fate, Rejected, Row, Tally
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


@dataclass(frozen=True, slots=True)
class Order:
    """How a file is to be taken in."""

    origin: str
    dry_run: bool
    confirm: bool


@click.group()
def subscribers() -> None:
    """People."""


subscribers.add_command(add)


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
    order = Order(origin, dry_run=dry_run, confirm=confirm)
    with file.open("rb") as stream, _rejects_file(rejects) as write_down:
        tally = _import(context, stream, file.stat().st_size, order, write_down)
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
        current = coverage.current_topics(conn, person.id)
        entries = suppression.entries(conn, person.address_hash)
        told = people.story(conn, person.id)
    if as_json:
        print_json({
            "address": person.address, "name": person.name, "language": person.language,
            "topics": {
                t: {"state": state, "since": since, "is_current": t in current} for t, (state, since) in stands.items()
            },
            "suppressed": [{"scope": e.scope, "reason": e.reason, "at": e.at} for e in entries],
            "story": [{"at": h.at, "what": h.what, "topic": h.topic, "detail": h.detail} for h in told],
        })  # fmt: skip
        return
    out.print(f"[bold]{escape(person.address or '(erased)')}[/]  {escape(person.name)}  ({person.language})")
    table = make_table("topic", "state", "since", "")
    for topic, (state, since) in stands.items():
        is_older = state is SubscriptionState.CONFIRMED and topic not in current
        words = "under older words: to be renewed" if is_older else ""
        table.add_row(topic, state, f"{since:%Y-%m-%d %H:%M:%S} UTC", words)
    out.print(table)
    for entry in entries:
        out.print(f"[bold]never mail:[/] {entry.scope}, {entry.reason}, since {entry.at:%Y-%m-%d %H:%M} UTC")
    out.print()
    table = make_table("when (UTC)", "what", "topic", "proof")
    for happening in told:
        table.add_row(f"{happening.at:%Y-%m-%d %H:%M:%S}", happening.what, happening.topic, escape(happening.detail))
    out.print(table)


def find(conn: Connection, keyring: Keyring, address: str) -> Subscriber:
    """Find a person by address. Raises NotFound, AddressInvalid."""
    person = people.by_hash(conn, suppression.address_hash(keyring, parse_address(address)))
    if person is None:
        raise NotFound(f"nobody here has the address {address}", "check the spelling")
    return person


def _import(
    context: Context, stream: BinaryIO, size: int, order: Order, write_down: Callable[[Rejected], None]
) -> Tally:
    tally, seen = Tally(), set[bytes]()
    engine = context.engine
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,  # it would leave an empty line in a log
    )
    with engine.begin() as conn:
        now = clock.now(conn)
        if not order.dry_run:
            declarations.enter(conn, context.settings, now)  # rows may name the words that our own form shows
    with bar:
        work = bar.add_task("dry run" if order.dry_run else "importing", total=size or None)
        try:
            for chunk in imports.chunks(imports.read_rows(stream, context.keyring, now)):
                rows = [row for row in chunk if isinstance(row, Row)]
                for rejected in (row for row in chunk if isinstance(row, Rejected)):
                    tally.reject(rejected)
                    write_down(rejected)
                with engine.begin() if not order.dry_run else reading(engine).connect() as each:
                    pending = imports.take(each, rows, order.origin, tally, seen, now, dry_run=order.dry_run)
                    if order.confirm and not order.dry_run:
                        _ask(each, context, pending, order.origin, now)
                bar.update(work, completed=stream.tell() if stream.seekable() else None)  # a pipe is not
        except InputRefused as error:
            raise _after(tally, error, dry_run=order.dry_run) from None
    return tally


def _after(tally: Tally, error: InputRefused, *, dry_run: bool) -> InputRefused:
    """Say of a file that turns out to be none how much of it was taken in by then."""
    if not tally.rows or dry_run:
        return error
    what = f"{error.what}; the first {tally.rows:,} rows are taken in"
    return InputRefused(what, f"{error.cure}; to import the whole file again is harmless")


def _ask(conn: Connection, context: Context, pending: list[Row], origin: str, now: datetime) -> None:
    for row in pending:
        source = f"import: {origin}"
        evidence = declarations.on_their_behalf(conn, context.settings, source, row.language, now)
        opt_in.request(
            conn, context.keyring, opt_in.Request(row.address, row.name, row.language, row.topics, evidence), now
        )


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


@contextmanager
def _rejects_file(path: Path | None) -> Iterator[Callable[[Rejected], None]]:
    """Give what writes a rejected row down, however many there are; without a path, what does not."""
    if path is None:
        yield lambda _: None
        return
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputRefused(f"{path} cannot be written: {error.strerror}", "name another file") from None
    with file:
        writer = csv.writer(file)
        writer.writerow(["line", "reason"])
        yield lambda rejected: writer.writerow([rejected.line, rejected.reason])

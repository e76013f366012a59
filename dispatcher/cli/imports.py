"""`dispatcher subscribers import`: people from a file."""

import gc
import getpass
import hashlib
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.cli.context import Context, err, make_table, out, pass_context, print_json
from dispatcher.counting import counted
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain import imports as people
from dispatcher.domain.declarations import by_name
from dispatcher.domain.imports import Fate, Format, Instructions, Rejected, Row, Tally, runs, writing
from dispatcher.domain.imports.ahead import ahead
from dispatcher.domain.imports.beside import WORTH_IT, read_beside
from dispatcher.domain.imports.columns import Layout
from dispatcher.domain.imports.reading import Table
from dispatcher.domain.imports.rejects import Rejects, rejects_file
from dispatcher.domain.imports.runs import Order, Run
from dispatcher.domain.imports.seen import Seen
from dispatcher.domain.imports.writing import Intake, Looked, skip
from dispatcher.domain.typed import topics_of
from dispatcher.domain.versions import Version
from dispatcher.errors import InputRefused
from dispatcher.sending import declarations
from dispatcher.sending.handed_in.people import ask

MEANS = {
    Fate.CONFIRMED: "consent with evidence, current from now on",
    Fate.OLDER: "consent with evidence, but under older words: to be renewed",
    Fate.PENDING: "must confirm first",
    Fate.LEFT: "the file says they left: withdrawn from now on",
    Fate.BARRED: "the file says never to mail them: on the never-mail list from now on",
    Fate.UNCHANGED: "known already, nothing new",
    Fate.DUPLICATE: "the same address stood in an earlier row",
    Fate.WITHDRAWN: "the person left; stays withdrawn",
    Fate.SUPPRESSED: "on the never-mail list; stays there",
    Fate.RESTRICTED: "processing is restricted (Art. 18 GDPR); nothing is changed",
    Fate.REJECTED: "could not be read",
}
# Of whom it is said that they stay as they were, of one and of several.
_STAY = (
    (Fate.WITHDRAWN, "has left, and stays withdrawn", "have left: they stay withdrawn"),
    (Fate.SUPPRESSED, "is on the never-mail list, and stays there", "are on the never-mail list: they stay there"),
)
_COLLECTED = 16  # chunks between two looks for cyclic garbage
_SHOWN = 20  # rejected rows that are told on the terminal


@dataclass(frozen=True, slots=True)
class _Work:
    """A file that is open, and all that is needed to take it in."""

    context: Context
    file: Path
    stream: BinaryIO
    table: Table
    order: Order
    rejects: Rejects | None
    dry_run: bool
    confirm: bool


_Begun = tuple[Looked, Connection | None]
_Place = Callable[[], int | None]  # in octets


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--origin", required=True, help="Where these people come from, in words; kept as proof.")
@click.option("--dry-run", is_flag=True, help="Judge every row, write nothing.")
@click.option("--confirm", is_flag=True, help="Send those without evidence a mail that asks them to confirm.")
@click.option(
    "--from", "source", type=click.Choice(["auto", *(f.value for f in Format)]), default="auto",
    help="Whose export it is; auto: by its columns.",
)  # fmt: skip
@click.option("--topics", default="", help="What rows that name no topic are about, separated by blanks.")
@click.option("--map", "columns", multiple=True, metavar="OURS=THEIRS", help='A column, such as email="E-Mail".')
@click.option("--left", is_flag=True, help="Everybody in this file unsubscribed where it comes from.")
@click.option("--encoding", default="utf-8", help="What the file was saved in: utf-8, windows-1252, latin-1, utf-16.")
@click.option("--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Write rejected rows here, as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_context
def import_(context: Context, /, file: Path, as_json: bool, **said: Any) -> None:
    """Take in people from a CSV file.

    \b
    Columns: email,name,language,topics,consent_at,consent_ip,consent_source,declaration
    (topics separated by blanks). Suppression and withdrawal always win over the file.

    A row counts as consent only with consent_at and consent_source. A consent_at without a clock time (2026-01-31) is
    not proof enough (AG Duesseldorf, 23 C 3876/13): such people come in as pending and must confirm first.

    The exports of listmonk and Mailchimp are known by their columns; name the topics with --topics. Nobody is
    subscribed anew by them: who unsubscribed or is disabled has left, who is blocklisted, complained or bounced goes
    on the never-mail list. Of Mailchimp's subscribed people those count as confirmed whose two moments and two IP
    addresses show a double opt-in (its times are UTC); of listmonk's nobody, for it exports no evidence.

    The same command on the same file goes on where it was stopped.

    \b
    dispatcher subscribers import people.csv --origin "CRM export, 2026-11-22" --dry-run
    dispatcher subscribers import people.csv --origin "CRM export, 2026-11-22" --rejects rejects.csv
    dispatcher subscribers import crm.csv --origin CRM --map email="E-Mail" --map name=Vorname --topics product-news
    """
    how = _instructions(file, said)
    with file.open("rb") as stream:
        table = people.open_table(stream, how)
        layout = table.layout
        with rejects_file(said["rejects"], table.header, is_guarded=layout.is_guarded) as rejects:
            order = _order(file, said, layout.format)
            work = _Work(context, file, stream, table, order, rejects, said["dry_run"], said["confirm"])
            tally, start = _take_in(work)
    if as_json:
        listed = [{"line": r.line, "reason": r.reason} for r in tally.rejects]
        facts = {"dry_run": work.dry_run, "format": layout.format, "ignored_columns": list(layout.ignored),
                 "resumed_after": start, "rows": tally.rows}  # fmt: skip
        print_json({**facts, **runs.counts(tally), "rejects": listed})
    else:
        _tell(work, tally, start)


def _instructions(file: Path, said: dict[str, Any]) -> Instructions:
    columns = {}
    for pair in said["columns"]:
        ours, is_pair, theirs = pair.partition("=")
        if not is_pair:
            raise InputRefused(f"--map {pair!r} is no pair", 'write it as --map email="E-Mail": our name, then theirs')
        columns[ours.strip().lower()] = theirs
    return Instructions(
        format=None if said["source"] == "auto" else Format(said["source"]),
        columns=columns,
        topics=tuple(topics_of(said["topics"])),
        encoding=said["encoding"],
        everybody_left=said["left"],
        file_name=file.name,
    )


def _order(file: Path, said: dict[str, Any], found: Format) -> Order:
    options = {name: said[name] for name in ("confirm", "topics", "columns", "left", "encoding")}
    return Order(
        file=file.name,
        file_sha256=_sha256(file) if file.is_file() and not said["dry_run"] else None,
        origin=said["origin"],
        options={**options, "columns": list(said["columns"]), "from": found.value},
        by=getpass.getuser(),
    )


def _sha256(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _take_in(work: _Work) -> tuple[Tally, int]:
    """Take a file in, from where an earlier run of the same order stopped; give the tally, and how far that was."""
    engine, order = work.context.engine, work.order
    with engine.begin() as conn:
        now = clock.now(conn)
        if work.dry_run:
            run, tally = Run(0, 0, now), Tally()
        else:
            declarations.enter(conn, work.context.settings, now)  # rows may name the words that our own form shows
            run, tally = runs.begin(conn, order, secrets.token_bytes(16), now)
        words = by_name(conn)
    start, intake = run.rows_done, Intake(order.origin, tally)
    try:
        with (
            _reading(work, run.started_at, words) as (rows, place),
            _bar(work, place) as show,
            _rare_collections(),
        ):
            _pass(work, islice(rows, start), intake)
            show(start)
            with _begun(work, rows, intake.seen) as chunks:
                for number, (looked, begun) in enumerate(chunks, start=1):
                    _take_chunk(work, looked, begun, intake, run)
                    show(tally.rows)
                    if number % _COLLECTED == 0:
                        gc.collect(0)
    except InputRefused as error:
        raise _after(work, run, error) from None
    except (KeyboardInterrupt, DBAPIError) as error:
        if not _is_interruption(error):
            raise
        _say_how_to_go_on(work, run)
        sys.exit(130)
    if not work.dry_run:
        _finish(engine, run)
    return tally, start


@contextmanager
def _reading(
    work: _Work, now: datetime, words: Mapping[str, Version]
) -> Iterator[tuple[Iterator[Row | Rejected], _Place]]:
    """Give the rows, and what says how far the file is read. A large file is read by another process."""
    keyring, file, stream = work.context.keyring, work.file, work.stream
    if file.is_file() and file.stat().st_size > WORTH_IT:
        with read_beside(file, keyring, now, work.table.how, words) as beside:
            yield beside.rows(), lambda: beside.place
    else:
        # A pipe has no place that could be told.
        yield work.table.rows(keyring, now, words), lambda: stream.tell() if stream.seekable() else None


def _is_interruption(error: BaseException | None) -> bool:
    """Claim that Ctrl-C was pressed: in the middle of a statement the driver may complain about it in its own words."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _pass(work: _Work, rows: Iterator[Row | Rejected], intake: Intake) -> None:
    """Go past what an earlier run took in."""
    for chunk in writing.chunks(rows):
        skip(chunk, intake.seen)
        _write_down(work, [row for row in chunk if isinstance(row, Rejected)])


@contextmanager
def _begun(work: _Work, rows: Iterator[Row | Rejected], seen: Seen) -> Iterator[Iterator[_Begun]]:
    """Give chunk after chunk, looked at; on PostgreSQL also begun to be written, beside the one that is being written.

    People are entered in the order of the file, by one thread, so they are locked before the end of the chain is.
    """
    opened = deque[Connection](maxlen=3)  # that of the chunk at hand, and of the one that comes

    def source() -> Iterator[_Begun]:
        for chunk in writing.chunks(rows):
            with reading(work.context.engine).connect() as conn:
                looked = writing.look(conn, chunk, seen)
            if work.dry_run or conn.dialect.name == "sqlite":  # where one writes at a time
                yield looked, None
                continue
            opened.append(work.context.engine.connect())
            writing.prepare(opened[-1], looked, clock.now(opened[-1]))
            yield looked, opened[-1]

    try:
        with closing(ahead(source())) as chunks:
            yield chunks
    finally:
        for conn in opened:
            conn.close()


def _take_chunk(work: _Work, looked: Looked, begun: Connection | None, intake: Intake, run: Run) -> None:
    """Take in a chunk, in one transaction with the note that it is taken in."""
    _write_down(work, looked.rejected)
    if work.dry_run:
        writing.count(looked, intake.tally)
        return
    with begun or work.context.engine.connect() as conn:
        now = clock.now(conn)
        if begun is None:
            writing.prepare(conn, looked, now)
        pending = writing.write(conn, looked, intake, now)
        if work.confirm:
            intake.tally.asked += ask(conn, work.context.settings, work.context.keyring, pending, work.order.origin)
        runs.advance(conn, run, intake.tally)
        conn.commit()
        run.rows_done = intake.tally.rows


def _write_down(work: _Work, rejected: Sequence[Rejected]) -> None:
    if work.rejects is not None:
        work.rejects.write(rejected)


def _finish(engine: Engine, run: Run) -> None:
    with engine.begin() as conn:
        runs.finish(conn, run, clock.now(conn))


def _after(work: _Work, run: Run, error: InputRefused) -> InputRefused:
    """Say of a file that turns out to be none how much of it was taken in by then."""
    if not run.rows_done or work.dry_run:
        return error
    what = f"{error.what}; taken in so far: {counted(run.rows_done, 'row')}"
    return InputRefused(what, f"{error.cure}; to import the whole file again is harmless")


def _say_how_to_go_on(work: _Work, run: Run) -> None:
    if work.dry_run:
        err.print("\nstopped; a dry run writes nothing")
    else:
        with reading(
            work.context.engine
        ).connect() as conn:  # it may have been stopped between a COMMIT and the next line
            done = runs.rows_done(conn, run.id)
        again = "to import the whole of it again is harmless"
        cure = again if work.order.file_sha256 is None else "the same command goes on from there"
        err.print(f"\nstopped after {counted(done, 'row')}; {cure}")


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for cyclic garbage after some chunks only: among the new objects of a file it found none, and
    took a quarter of the time; after each chunk, a twentieth.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@contextmanager
def _bar(work: _Work, place: _Place) -> Iterator[Any]:
    """Show how far it is, with rows a second and the time left; give what is told the number of rows."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[rows]:,} rows"),
        TextColumn("{task.fields[rate]:,.0f} a second"), TimeRemainingColumn(),
    )  # fmt: skip
    # Where there is no terminal it would leave an empty line in a log.
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        size, begun, first = work.file.stat().st_size, clock.steady(), -1
        task = bar.add_task("dry run" if work.dry_run else "importing", total=size or None, rows=0, rate=0)

        def show(rows: int) -> None:
            nonlocal first
            first = rows if first < 0 else first  # what an earlier run took in makes this one no faster
            rate = (rows - first) / max(clock.steady() - begun, 0.001)
            bar.update(task, completed=place(), rows=rows, rate=rate)

        yield show


def _tell(work: _Work, tally: Tally, start: int) -> None:
    if start:
        out.print(f"an earlier run took in {counted(start, 'row')}, counted here too")
    _tell_layout(work.table.layout)
    table = make_table("rows", "become" if work.dry_run else "became", "", right=("rows",))
    for fate, count in tally.counts.items():
        if count:
            table.add_row(f"{count:,}", fate, MEANS[fate])
    out.print(table)
    for lack, count in tally.lacks.items():
        out.print(f"{count:,} pending: {lack}", markup=False)
    _tell_asked(work, tally)
    for fate, one, many in _STAY:
        if tally.counts[fate]:
            out.print(counted(tally.counts[fate], f"person in this file {one}", f"people in this file {many}"))
    _tell_rejects(work, tally)
    if work.dry_run:
        out.print("dry run: nothing was written")


def _tell_asked(work: _Work, tally: Tally) -> None:
    if work.confirm and not work.dry_run:
        out.print(f"{counted(tally.asked, 'person', 'people')} will get a mail that asks to confirm")


def _tell_layout(layout: Layout) -> None:
    if layout.format is not Format.PLAIN:
        out.print(f"read as an export of {'our own' if layout.format is Format.OWN else layout.format}")
    if layout.ignored:
        out.print(f"columns left alone: {', '.join(layout.ignored)}"[:300], markup=False)


def _tell_rejects(work: _Work, tally: Tally) -> None:
    for rejected in tally.rejects[:_SHOWN]:
        out.print(f"line {rejected.line}: {rejected.reason}", markup=False)
    if tally.counts[Fate.REJECTED] > _SHOWN:
        rest = f"... and {tally.counts[Fate.REJECTED] - _SHOWN:,} more"
        out.print(rest if work.rejects else f"{rest}; --rejects FILE writes them down")
    if work.rejects is not None and work.rejects.count:
        out.print("mend the rows in the file of rejects and import it: the good rows need not be imported again")

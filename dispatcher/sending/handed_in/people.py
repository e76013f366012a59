"""A file of people: dry run and import.

    read the header -> go past what was taken in -> chunk by chunk: judge, write, note how far it is -> end of the stage

What must stay true: a dry run calls what the import calls, and so judges alike; a chunk, and the note that it is taken
in, are one transaction.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from sqlalchemy import Connection

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import UploadState
from dispatcher.domain import imports, uploads
from dispatcher.domain.declarations import by_name
from dispatcher.domain.imports import Rejected, Row, Says, Tally, runs, writing
from dispatcher.domain.imports.lines import lines_of
from dispatcher.domain.imports.reading import Table
from dispatcher.domain.imports.records import Records
from dispatcher.domain.imports.rejects import rejects_file
from dispatcher.domain.imports.runs import Run
from dispatcher.domain.imports.writing import Intake, skip
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.uploads import Overtaken, Upload
from dispatcher.errors import InputRefused
from dispatcher.sending import declarations, opt_in
from dispatcher.sending.handed_in import orders
from dispatcher.sending.handed_in.place import Place
from dispatcher.settings import Settings


@dataclass(frozen=True, slots=True)
class _Work:
    """A claimed file that is open, and all that is needed to take it in. `run` None: a dry run."""

    place: Place
    mine: Upload
    stream: BinaryIO
    run: Run | None
    intake: Intake


def work_at(place: Place, mine: Upload, stream: BinaryIO) -> None:
    """Look at a file, or take it in, to its end. Raises InputRefused, Overtaken, Stopping."""
    table = _open(place, mine, stream)
    work, rows = _begin(place, mine, stream, table)
    path = place.shelf.make_rejects(mine.stored)
    with rejects_file(path, table.header, is_guarded=table.layout.is_guarded) as rejects:
        assert rejects is not None
        for chunk in writing.chunks(islice(rows, work.run.rows_done if work.run else 0)):
            place.go_on()
            skip(chunk, work.intake.seen)
            rejects.write(_rejected(chunk))
        for chunk in writing.chunks(rows):
            place.go_on()
            rejects.write(_rejected(chunk))
            _take(work, chunk)
    with place.engine.begin() as conn:
        now = clock.now(conn)
        if work.run is not None:
            runs.finish(conn, work.run, now)
        uploads.finish(conn, mine, runs.counts(work.intake.tally), now)


def ask(conn: Connection, settings: Settings, keyring: Keyring, pending: Sequence[Row], origin: str) -> int:
    """Have those asked to confirm who became pending by a file; give how many. Nobody is asked whom the never-mail list
    or an earlier mail forbids to.
    """
    now, mails = clock.now(conn), 0
    for row in pending:
        topics = [topic for claim in row.claims if claim.says is Says.WISHES for topic in claim.topics]
        evidence = declarations.on_their_behalf(conn, settings, f"import: {origin}", row.language, now)
        wanted = opt_in.Request(row.address, row.name, row.language, topics, evidence)
        mails += opt_in.request(conn, keyring, wanted, now) is not None
    return mails


def _open(place: Place, mine: Upload, stream: BinaryIO) -> Table:
    """Read the header. Where it cannot be understood its words are noted, for whoever says which column is which."""
    how = orders.instructions(mine)
    try:
        return imports.open_table(stream, how)
    except InputRefused:
        stream.seek(0)
        words = Records(lines_of(stream, how.encoding)).header
        with place.engine.begin() as conn:
            uploads.recognise(conn, mine, _columns(words, {}), None)
        raise


def _columns(header: Sequence[str], at: Any, **more: object) -> dict[str, Any] | None:
    """Tell what columns mean, to be kept. What holds an address is no header, and is not kept."""
    return None if any("@" in word for word in header) else {"header": list(header), "at": dict(at), **more}


def _begin(place: Place, mine: Upload, stream: BinaryIO, table: Table) -> tuple[_Work, Iterator[Row | Rejected]]:
    where = table.layout
    with place.engine.begin() as conn:
        now = clock.now(conn)
        run, tally = None, Tally()
        if mine.state is UploadState.IMPORTING:
            declarations.enter(conn, place.settings, now)  # rows may name the words that our own form shows
            run, tally = runs.begin(conn, orders.run_of(mine, where.format), secrets.token_bytes(16), now)
        told = _columns(table.header, where.at, format=where.format)
        uploads.recognise(conn, mine, told, run.id if run else None)
        words = by_name(conn)
    rows = table.rows(place.keyring, run.started_at if run else now, words)
    return _Work(place, mine, stream, run, Intake(mine.origin, tally)), rows


def _take(work: _Work, chunk: list[Row | Rejected]) -> None:
    if work.run is None:
        _look(work, chunk)
    else:
        _write(work, chunk, work.run)


def _look(work: _Work, chunk: list[Row | Rejected]) -> None:
    place, tally = work.place, work.intake.tally
    with reading(place.engine).connect() as conn:
        writing.take(conn, chunk, work.intake, clock.now(conn), dry_run=True)
    with place.engine.begin() as conn:
        uploads.advance(conn, work.mine, work.stream.tell(), runs.counts(tally), clock.now(conn))


def _write(work: _Work, chunk: list[Row | Rejected], run: Run) -> None:
    place, mine, intake = work.place, work.mine, work.intake
    with place.engine.begin() as conn:
        now = clock.now(conn)
        pending = writing.take(conn, chunk, intake, now, dry_run=False)
        if mine.how["confirm"]:
            intake.tally.asked += ask(conn, place.settings, place.keyring, pending, mine.origin)
        _advance(conn, run, intake.tally)
        uploads.advance(conn, mine, work.stream.tell(), runs.counts(intake.tally), now)
    run.rows_done = intake.tally.rows


def _advance(conn: Connection, run: Run, tally: Tally) -> None:
    try:
        runs.advance(conn, run, tally)
    except InputRefused:  # somebody takes in the same file, for the same reason: what they have done is done
        raise Overtaken from None


def _rejected(chunk: Sequence[Row | Rejected]) -> list[Rejected]:
    return [row for row in chunk if isinstance(row, Rejected)]

"""A file of addresses that are never to be mailed: dry run and import.

What must stay true: a chunk, and the note that it is taken in, are one transaction; to take one in twice is harmless.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import BinaryIO

from dispatcher.db import clock
from dispatcher.db.terms import UploadState
from dispatcher.domain import suppression_files as files
from dispatcher.domain import uploads
from dispatcher.domain.imports import writing
from dispatcher.domain.imports.rejects import rejects_file
from dispatcher.domain.imports.rows import Rejected
from dispatcher.domain.imports.seen import Seen
from dispatcher.domain.suppression import Entry
from dispatcher.domain.uploads import Upload
from dispatcher.sending.handed_in import orders
from dispatcher.sending.handed_in.place import Place

_COUNTED = ("new", "there", "rejected")


@dataclass(slots=True)
class _Intake:
    """What was counted, and which entries the file named already."""

    counts: dict[str, int]
    seen: Seen = field(default_factory=Seen)

    def sort(self, chunk: Iterable[Entry | Rejected]) -> tuple[list[Entry], list[Rejected]]:
        """Give entries that were not named before, and what cannot be read."""
        entries, rejected = [], []
        for row in chunk:
            if isinstance(row, Rejected):
                rejected.append(row)
            elif self.seen.add(_name(row)):
                entries.append(row)
        return entries, rejected


def work_at(place: Place, mine: Upload, stream: BinaryIO) -> None:
    """Look at a file, or take it in, to its end. Raises InputRefused, Overtaken, Stopping."""
    goes_on = mine.state is UploadState.IMPORTING
    intake = _Intake({name: int(mine.counts.get(name, 0)) if goes_on else 0 for name in _COUNTED})
    with place.engine.begin() as conn:
        uploads.recognise(conn, mine, None, None)
    rows = files.read(stream, place.keyring, orders.default(mine), mine.how["encoding"])
    with rejects_file(place.shelf.make_rejects(mine.stored), ["row"], is_guarded=True) as rejects:
        assert rejects is not None
        for chunk in writing.chunks(islice(rows, sum(intake.counts.values()))):
            place.go_on()
            rejects.write(intake.sort(chunk)[1])
        for chunk in writing.chunks(rows):
            place.go_on()
            entries, rejected = intake.sort(chunk)
            rejects.write(rejected)
            with place.engine.begin() as conn:
                now = clock.now(conn)
                new = files.take(conn, entries, now, dry_run=not goes_on)
                _count(intake.counts, new, len(chunk) - new - len(rejected), len(rejected))
                uploads.advance(conn, mine, stream.tell(), intake.counts, now)
    with place.engine.begin() as conn:
        uploads.finish(conn, mine, intake.counts, clock.now(conn))


def _count(counts: dict[str, int], *more: int) -> None:
    for name, number in zip(_COUNTED, more, strict=True):
        counts[name] += number


def _name(entry: Entry) -> bytes:
    return blake2b(entry.address_hash + f"{entry.scope} {entry.reason}".encode(), digest_size=16).digest()

"""The rows that cannot be read, as a file: where each stood and why, then the row itself. Mended, it can be imported:
the first two columns are passed over then.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dispatcher.domain.imports.columns import REJECTED
from dispatcher.domain.imports.rows import Rejected
from dispatcher.domain.spreadsheets import bare, guarded
from dispatcher.errors import InputRefused


class Rejects:
    """A file of rejected rows. Whatever was written is on the disk when `write` returns."""

    def __init__(self, file: TextIO, path: Path, header: Sequence[str], *, is_guarded: bool) -> None:
        self._file, self._path, self._is_guarded = file, path, is_guarded
        self._writer = csv.writer(file)
        named = [word for word in header if word not in REJECTED]
        self._first = len(header) - len(named)  # a mended file of rejects has the first two columns already
        self._writer.writerow([*REJECTED, *named])
        self.count = 0

    def write(self, rejected: Iterable[Rejected]) -> None:
        """Write rows down. Raises InputRefused when the disk is full."""
        try:
            for row in rejected:
                self._writer.writerow([row.line, row.reason, *map(self._safe, self._own(row.cells))])
                self.count += 1
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def _own(self, cells: Sequence[str]) -> Sequence[str]:
        """Leave out what an earlier file of rejects said of the row. A line that is no CSV is one cell, and whole."""
        return cells[self._first :] if len(cells) > self._first else cells

    def _safe(self, cell: str) -> str:
        return guarded(bare(cell) if self._is_guarded else cell)


@contextmanager
def rejects_file(path: Path | None, header: Sequence[str], *, is_guarded: bool) -> Iterator[Rejects | None]:
    """Give a file to write rejected rows to; None without a path. `is_guarded`: the file they come from was ours."""
    if path is None:
        yield None
        return
    try:
        # With a byte order mark: spreadsheet programs take it for UTF-8 then, and so does the next import.
        file = path.open("w", encoding="utf-8-sig", newline="")
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        yield Rejects(file, path, header, is_guarded=is_guarded)
    finally:
        _close(file)


def _close(file: TextIO) -> None:
    try:
        file.close()
    except OSError:
        return  # a full disk: `write` has said so, and closing says it again


def _unwritable(path: Path, error: OSError) -> InputRefused:
    return InputRefused(f"{path} cannot be written: {error.strerror}", "make room, or name another file with --rejects")

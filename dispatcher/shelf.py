"""The shelf: the folder in which files lie that were handed in, and beside each the rows of it that cannot be read.

What must stay true: nobody but this user reads them; a file's name there is random and says nothing; no file is ever
held in memory. Which ones are still needed is known by the database: whatever no row names goes (`sweep`).
"""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

_REJECTS = ".rejects"
_FRESH = 3600  # seconds in which a file may be younger than its row


class TooLarge(Exception):
    """A file is larger than may be handed in."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that lies on the shelf: as its owner calls it, under which name it lies, how large it is, its hash."""

    file: str
    stored: str
    octets: int
    sha256: bytes


class Kept(NamedTuple):
    """What of a file is to be kept."""

    file: bool
    rejects: bool


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder, and how many octets a file may have."""

    folder: Path
    limit: int

    def begin(self, file: str) -> "Arriving":
        """Begin to take a file in. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Arriving(self, file, secrets.token_hex(16))

    def open(self, stored: str) -> BinaryIO:
        """Open a file to be read. Raises FileNotFoundError."""
        return self.path(stored).open("rb")

    def path(self, stored: str) -> Path:
        """Give where a file lies."""
        return self.folder / stored

    def rejects(self, stored: str) -> Path:
        """Give where its rejected rows lie, or are to be written."""
        return self.folder / f"{stored}{_REJECTS}"

    def make_rejects(self, stored: str) -> Path:
        """Make the file of its rejected rows anew, empty, for this user's eyes only. Raises OSError."""
        path = self.rejects(stored)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        return path

    def drop(self, stored: str) -> None:
        """Let go of a file and its rejected rows."""
        for path in (self.path(stored), self.rejects(stored)):
            path.unlink(missing_ok=True)

    def sweep(self, known: Callable[[Collection[str]], Mapping[str, Kept]]) -> int:
        """Let go of what is not needed any more; give how many files went. `known` is handed names, and says of those
        that a row knows what is kept. What no row knows goes after an hour: its row may not be committed yet.
        """
        try:
            there = sorted(self.folder.iterdir())
        except FileNotFoundError:
            return 0
        rows = known({_stored(path) for path in there}) if there else {}
        gone = [path for path in there if not _is_needed(path, rows.get(_stored(path)))]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)


def _stored(path: Path) -> str:
    return path.name.removesuffix(_REJECTS)


def _is_needed(path: Path, kept: Kept | None) -> bool:
    if kept is not None:
        return kept.rejects if path.name.endswith(_REJECTS) else kept.file
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < _FRESH
    return False


class Arriving:
    """A file on its way in."""

    def __init__(self, shelf: Shelf, file: str, stored: str) -> None:
        self._shelf = shelf
        self._file, self._stored, self._octets = file, stored, 0
        self._hash = hashlib.sha256()
        opened = os.open(shelf.path(stored), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._stream = os.fdopen(opened, "wb")

    def write(self, octets: bytes) -> None:
        """Take the next octets in. Raises TooLarge, OSError."""
        self._octets += len(octets)
        if self._octets > self._shelf.limit:
            raise TooLarge
        self._stream.write(octets)
        self._hash.update(octets)

    def finish(self) -> Arrived:
        """Have it on the disk. Raises OSError."""
        with self._stream as stream:
            stream.flush()
            os.fsync(stream.fileno())
        return Arrived(self._file, self._stored, self._octets, self._hash.digest())

    def drop(self) -> None:
        """Let go of it."""
        with suppress(OSError):
            self._stream.close()
        self._shelf.drop(self._stored)

"""Reading in a process of its own: a large file is parsed on one core, while another judges and writes.

What must stay true: the rows are those of `read_rows`, in order, and an error of the reader comes out at its place. The
reader ends with whoever reads from it, however that ends. It imports no database (`imports/__init__.py`), which would
be two thirds of its memory.

    whoever imports --- stdin: what is to be read ---> reader
                    <-- stdout: rows, a thousand at a time; none at the end; or an error ---
"""

import gc
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from dispatcher.domain.addresses import Address
from dispatcher.domain.imports.columns import Instructions
from dispatcher.domain.imports.reading import read_rows
from dispatcher.domain.imports.rows import Claim, Rejected, Row
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.domain.versions import Version
from dispatcher.errors import InputRefused

WORTH_IT = 4_000_000  # octets of a file: a process takes a while to come up
_ROWS = 1000  # to a message: 170,000 octets
# Octets in the pipe: as many as anybody may ask for. Into one as it comes not a message fits: the reader would wait for
# whoever is busy with a chunk, and that one then for the reader.
_PIPE = 1 << 20

# Not as `-m`: so it runs as a compiled module, too.
_READER = "from dispatcher.domain.imports.beside import main; main()"

_Order = tuple[Path, list[tuple[str, bytes]], datetime, Instructions, Mapping[str, Version]]
_Packed = list[tuple[object, ...]]


class Beside:
    """What another process reads: rows, and the place in the file that it has come to, in octets."""

    def __init__(self, told: IO[bytes]) -> None:
        self._told = told
        self.place = 0

    def rows(self) -> Iterator[Row | Rejected]:
        """Give the rows as `read_rows` does. Raises InputRefused as that does."""
        while True:
            packed = self._next()
            if not packed:
                return
            yield from map(_unpacked, packed)

    def _next(self) -> _Packed:
        try:
            told: tuple[int, _Packed | InputRefused] = pickle.load(self._told)  # noqa: S301  (ours)
        except (EOFError, pickle.UnpicklingError):
            raise InputRefused(
                "the process that read the file was ended", "say the same command again: it goes on from there"
            ) from None
        self.place, packed = told
        if isinstance(packed, InputRefused):
            raise packed
        return packed


@contextmanager
def read_beside(
    path: Path, keyring: Keyring, now: datetime, how: Instructions, words: Mapping[str, Version]
) -> Iterator[Beside]:
    """Let another process read a file."""
    order: _Order = path.absolute(), [(key.id, key.secret) for key in keyring.keys], now, how, words
    argv = [sys.executable, "-c", _READER]
    # A group of its own: Ctrl-C is for the one who listens.
    reader = subprocess.Popen(  # noqa: S603  (ours)
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0, pipesize=_PIPE
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    try:
        with reader.stdout:
            with suppress(BrokenPipeError), reader.stdin as stdin:
                pickle.dump(order, stdin, pickle.HIGHEST_PROTOCOL)
            yield Beside(reader.stdout)
    finally:
        reader.wait()


def main() -> None:
    """Be the reader: until the file ends, or nobody listens any more."""
    gc.disable()  # rows hold no cycles, and the process ends with the file
    order: _Order = pickle.load(sys.stdin.buffer)  # noqa: S301  (ours)
    path, keys, now, how, words = order
    keyring = Keyring(tuple(Key(*key) for key in keys))
    with suppress(BrokenPipeError), open(1, "wb", closefd=False) as told:
        for message in _messages(path, keyring, now, how, words):
            pickle.dump(message, told, pickle.HIGHEST_PROTOCOL)
            told.flush()


def _messages(
    path: Path, keyring: Keyring, now: datetime, how: Instructions, words: Mapping[str, Version]
) -> Iterator[tuple[int, _Packed | InputRefused]]:
    """Give the file's rows, each time with the place that it is read to; none at the end, or why it ends too early."""
    with path.open("rb") as file:
        try:
            rows = read_rows(file, keyring, now, how, words)
            packed: _Packed = [()]
            while packed:
                packed = [_packed(row) for row in islice(rows, _ROWS)]
                yield file.tell(), packed
        except InputRefused as error:
            yield file.tell(), error


def _packed(row: Row | Rejected) -> tuple[object, ...]:
    """Give a row in tuples only: they are pickled in a third of the time."""
    if isinstance(row, Rejected):
        return tuple(row)
    line, address, hashed, name, language, claims, zone = row
    return line, address.mail, address.canonical, hashed, name, language, [tuple(claim) for claim in claims], zone


def _unpacked(packed: tuple[object, ...]) -> Row | Rejected:
    if len(packed) == len(Rejected._fields):
        return Rejected(*packed)  # type: ignore[arg-type]
    line, mail, canonical, hashed, name, language, claims, zone = packed
    told = tuple(map(Claim._make, claims))  # type: ignore[call-overload]
    return Row(line, Address(mail, canonical), hashed, name, language, told, zone)  # type: ignore[arg-type]

"""Reading in a process of its own: a large file is parsed on one core, while another judges and writes.

What must stay true: the rows are those of `read_rows`, in order, and an error of the reader comes out at its place. The
reader ends with whoever reads from it, however that ends.
"""

import gc
import multiprocessing
import pickle
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

from dispatcher.domain.addresses import Address
from dispatcher.domain.declarations import Version
from dispatcher.domain.imports.columns import Instructions
from dispatcher.domain.imports.reading import read_rows
from dispatcher.domain.imports.rows import Claim, Rejected, Row
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused

WORTH_IT = 4_000_000  # octets of a file: a process takes half a second to come up
_ROWS = 1000  # to a message

_Packed = list[tuple[object, ...]]


class Beside:
    """What another process reads: rows, and the place in the file that it has come to, in octets."""

    def __init__(self, receiver: Connection) -> None:
        self._receiver = receiver
        self.place = 0

    def rows(self) -> Iterator[Row | Rejected]:
        """Give the rows as `read_rows` does. Raises InputRefused as that does."""
        while True:
            try:
                told: tuple[int, _Packed | InputRefused] = pickle.loads(self._receiver.recv_bytes())  # noqa: S301  (ours)
            except EOFError:
                raise InputRefused(
                    "the process that read the file was ended", "say the same command again: it goes on from there"
                ) from None
            self.place, packed = told
            if isinstance(packed, InputRefused):
                raise packed
            if not packed:
                return
            yield from map(_unpacked, packed)


@contextmanager
def read_beside(
    path: Path, keyring: Keyring, now: datetime, how: Instructions, words: Mapping[str, Version]
) -> Iterator[Beside]:
    """Let another process read a file."""
    # Not forked: whoever imports has threads and open connections to the database.
    spawning = multiprocessing.get_context("spawn")
    receiver, sender = spawning.Pipe(duplex=False)
    reader = spawning.Process(target=_read, args=(sender, path, keyring, now, how, words), daemon=True)
    reader.start()
    sender.close()  # so that the end of the reader is the end of what comes
    try:
        yield Beside(receiver)
    finally:
        receiver.close()
        reader.join()


def _read(
    sender: Connection,
    path: Path,
    keyring: Keyring,
    now: datetime,
    how: Instructions,
    words: Mapping[str, Version],
) -> None:
    """Read the file to its end, or until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who listens
    gc.disable()  # rows hold no cycles, and the process ends with the file
    with suppress(BrokenPipeError), path.open("rb") as file:
        try:
            rows = read_rows(file, keyring, now, how, words)
            packed: _Packed = [()]
            while packed:
                packed = [_packed(row) for row in islice(rows, _ROWS)]
                sender.send_bytes(pickle.dumps((file.tell(), packed), pickle.HIGHEST_PROTOCOL))
        except InputRefused as error:
            sender.send_bytes(pickle.dumps((file.tell(), error)))


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

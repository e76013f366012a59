"""A file beside the database to which lines are only ever added, by many processes at once.

What must stay true: when `add` returns, its lines are on the disk, whole, or nothing of them stands in the file; a line
that a crash has torn is closed before the next one begins.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

_LONGEST_FIRST = 1000  # octets


def begin(path: Path, first: Callable[[], bytes]) -> bytes:
    """Make the file with this first line, if there is none, for this user's eyes only; give the first line there is.

    Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        return _first_line(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(first())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # of two that begin at once one makes it
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path)
    return _first_line(path)


def size(path: Path) -> int:
    """Give how many octets the file has. Raises OSError."""
    return path.stat().st_size


def add(path: Path, lines: bytes) -> tuple[int, int]:
    """Add lines, have them on the disk, and give the file's octets before and after. Raises OSError: none was added."""
    with path.open("r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed when it is closed
        before = file.seek(0, os.SEEK_END)
        if before and _last_octet(file.fileno(), before) != b"\n":
            lines = b"\n" + lines
        try:
            _write_all(file.fileno(), lines)
            os.fdatasync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), before)
            raise
        return before, before + len(lines)


def read(path: Path, start: int) -> bytes:
    """Give what stands there from octet `start` on. Raises OSError."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read()


def sync_folder(path: Path) -> None:
    """Have the file's name on the disk, too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _first_line(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        line, end, _ = os.pread(descriptor, _LONGEST_FIRST, 0).partition(b"\n")
    finally:
        os.close(descriptor)
    return line + end


def _last_octet(descriptor: int, length: int) -> bytes:
    return os.pread(descriptor, 1, length - 1)


def _write_all(descriptor: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(descriptor, view) :]

"""Files that must not be half written: keys, made once, and papers with a person in them, both for this user's eyes
only; and lists that grow by a line.
"""

import contextlib
import errno
import os
import secrets
from pathlib import Path


def make(path: Path, octets: bytes) -> None:
    """Write a file, unless it is there already; when this returns it is on the disk. Raises OSError.

    Of several processes that come at once one writes it, and no other ever sees half of it. A folder that is made for
    it is closed to others too.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")  # not our number: containers all have the same
    try:
        new.touch(mode=0o600, exist_ok=False)
        with new.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # its name, too, outlives a power cut
    finally:
        os.close(folder)


def write(path: Path, octets: bytes) -> None:
    """Write a file that only this user can read, whole or not at all. Raises OSError.

    What stood there is replaced, a link by a file: neither the rights of the old one nor the place that a link leads to
    decide who reads this one.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(octets)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, in one write; when this returns it is on the disk. Raises OSError.

    It begins with a line's end: what an earlier write left unfinished spoils its own line alone.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        octets = f"\n{line}\n".encode("ascii")
        if os.write(file, octets) < len(octets):  # the disk is full
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file)
    finally:
        os.close(file)

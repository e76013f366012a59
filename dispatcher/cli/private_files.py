"""Files with a person in them, as commands write them."""

from pathlib import Path

from dispatcher import private_files
from dispatcher.errors import InputRefused


def write(file: Path, octets: bytes) -> None:
    """Write a file that only this user can read, whole or not at all. Raises InputRefused."""
    try:
        private_files.write(file, octets)
    except OSError as error:
        raise InputRefused(f"{file} cannot be written: {error.strerror}", "name another file") from None

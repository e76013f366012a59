"""Files with a person in them: for this user's eyes only, from their first octet on."""

import os
import secrets
from pathlib import Path

from dispatcher.errors import InputRefused


def write(file: Path, octets: bytes) -> None:
    """Write a file that only this user can read, whole or not at all. Raises InputRefused.

    What stood there is replaced, a link by a file: neither the rights of the old one nor the place that a link leads to
    decide who reads this one.
    """
    new = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(octets)
        new.replace(file)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise InputRefused(f"{file} cannot be written: {error.strerror}", "name another file") from None

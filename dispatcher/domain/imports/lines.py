"""From octets to lines. What must stay true: a file of any size is read line by line, and what is no text, or not in
the encoding that was named, is refused with the cure.
"""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from dispatcher.errors import InputRefused

LONGEST = 20_000  # characters to a record, line breaks within cells included
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WINDOWS = range(0x80, 0xA0)  # letters and quotes in Windows-1252, control characters in Latin-1


def lines_of(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Give the file's lines, one at a time. A UTF-8 byte order mark wins over `encoding`: it can mean nothing else.

    Raises InputRefused for text that is not in this encoding, and for a line that is longer than any row.
    """
    start = file.read(4)
    known = _encoding(encoding, start)
    stream = io.TextIOWrapper(io.BufferedReader(_Again(start, file)), encoding=known, newline="")
    number = 0
    try:
        while line := stream.readline(LONGEST):
            number += 1
            if len(line) == LONGEST:
                cure = "is it a CSV file? Look at its first thousand characters: head -c 1000 FILE"
                raise InputRefused(f"line {number} is longer than {LONGEST} characters", cure)
            yield line
    except UnicodeError as error:
        raise _not_this(error, number, known) from None


def _encoding(named: str, start: bytes) -> str:
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    known = _look_up(named)
    if known == "utf-8" and (start[:2] in _UTF_16 or b"\0" in start):
        raise InputRefused("the file is in UTF-16, not in UTF-8", "say --encoding utf-16, or save it as CSV UTF-8")
    return known


def _look_up(named: str) -> str:
    try:
        found = codecs.lookup(named)
        "".encode(named)  # base64 and the like are codecs too, but none of text
    except LookupError:
        cure = "use utf-8, windows-1252, latin-1 or utf-16"
        raise InputRefused(f"there is no encoding {named!r}", cure) from None
    return found.name


def _not_this(error: UnicodeError, line: int, encoding: str) -> InputRefused:
    if not isinstance(error, UnicodeDecodeError) or not encoding.startswith("utf-8"):
        return InputRefused(
            f"after line {line} there are bytes that are not {encoding}",
            "say --encoding with the encoding it was saved in, or save it as CSV UTF-8",
        )
    name = "windows-1252" if any(octet in _WINDOWS for octet in error.object[error.start :]) else "latin-1"
    seen = error.object[max(error.start - 20, 0) : error.start + 20].decode("windows-1252", "replace").split()
    word = next((w for w in seen if not w.isascii()), "")[:40]
    return InputRefused(
        f"after line {line} there are bytes that are not UTF-8: as {name} they read {word!r}",
        f"if that looks right, say --encoding {name}; or save it as CSV UTF-8",
    )


class _Again(io.RawIOBase):
    """A stream with its first bytes put back in front: a pipe cannot be rewound."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        data = self._start[: len(buffer)] or self._rest.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

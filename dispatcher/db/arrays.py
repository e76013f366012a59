"""PostgreSQL's arrays: many rows as one parameter a column. Runs for each letter.

Written as text they go anywhere. Packed as PostgreSQL itself packs them (array_send in its source: dimensions, whether
some may be missing, the elements' type, how many, the first one's number; then each with its length before it) they go
past SQLAlchemy only (shortcut.py), and PostgreSQL reads them for a fifth: of text it looks at each character.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import Struct, error


class Packed:
    """An array in octets."""

    __slots__ = ("octets",)

    def __init__(self, octets: bytes) -> None:
        self.octets = octets


class Bigints(Packed):
    """BIGINT[]."""


class Integers(Packed):
    """INTEGER[]."""


class Texts(Packed):
    """TEXT[]."""


def bigints(numbers: Sequence[int | None]) -> Bigints:
    """Pack a BIGINT[]."""
    return Bigints(_numbers(numbers, _BIGINT, 8, "q"))


def integers(numbers: Sequence[int | None]) -> Integers:
    """Pack an INTEGER[]."""
    return Integers(_numbers(numbers, _INTEGER, 4, "i"))


def texts(given: Sequence[str | None]) -> Texts:
    """Pack a TEXT[]."""
    parts = [_HEAD.pack(1, 1, _TEXT, len(given), 1)]
    for text in given:
        if text is None:
            parts.append(_MISSING)
        else:
            octets = text.encode()
            parts.append(len(octets).to_bytes(4, "big"))
            parts.append(octets)
    return Texts(b"".join(parts))


def array_of(numbers: Iterable[object]) -> str:
    """Write a PostgreSQL array of numbers or times."""
    return "{" + ",".join(["NULL" if number is None else str(number) for number in numbers]) + "}"


def array_of_texts(texts: Sequence[str | None]) -> str:
    """Write a PostgreSQL array of texts. Nearly always none is missing and none holds a mark that must be escaped."""
    given = [text for text in texts if text is not None]
    together = "".join(given)
    if given and len(given) == len(texts) and '"' not in together and "\\" not in together:
        return '{"' + '","'.join(given) + '"}'
    return "{" + ",".join(["NULL" if text is None else _quoted(text) for text in texts]) + "}"


def array_of_octets(values: Iterable[bytes | None]) -> str:
    """Write a PostgreSQL array of octets."""
    return "{" + ",".join(["NULL" if octets is None else f'"\\\\x{octets.hex()}"' for octets in values]) + "}"


# The numbers that PostgreSQL has for its types.
_BIGINT, _INTEGER, _TEXT = 20, 23, 25
_HEAD = Struct("!5i")
_BLOCK = 32  # numbers that are packed at once: a layout of all would be another one for each turn, and weigh 8 KB
_MISSING = (-1).to_bytes(4, "big", signed=True)


def _numbers(numbers: Sequence[int | None], of: int, width: int, form: str) -> bytes:
    count = len(numbers)
    fields: list[int | None] = [width] * (2 * count)
    fields[1::2] = numbers
    parts = [_HEAD.pack(1, 0, of, count, 1)]
    try:
        for first in range(0, 2 * count, 2 * _BLOCK):
            some = fields[first : first + 2 * _BLOCK]
            parts.append(_layout(form, len(some) // 2).pack(*some))
    except error:  # one is missing: that is rare, and to look for it each time would cost as much as the rest
        each = _layout(form, 1)
        parts = [_MISSING if number is None else each.pack(width, number) for number in numbers]
        return _HEAD.pack(1, 1, of, count, 1) + b"".join(parts)
    return b"".join(parts)


@lru_cache(maxsize=4 * _BLOCK)
def _layout(form: str, count: int) -> Struct:
    return Struct("!" + f"i{form}" * count)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""Quoted-printable (RFC 2045 section 6.7), cut so that constant text is encoded once and values are put between.

    constant segment  "...Guten Tag =\\r\\n"      ends with a soft break, so what follows starts on a line of its own
    filled value      "J=C3=B6rg=\\r\\n"          likewise; an empty value is nothing at all
    constant segment  ",\\r\\n..."

What must stay true of every physical line: at most 76 columns, pure ASCII, CRLF, no blank at its end, no dot at
its start (dot-stuffing, RFC 5321 4.5.2, has nothing to do), no "From " at its start (mbox writers alter it and
break DKIM); no tab and no two blanks in a row, so that the text is its own relaxed form (RFC 6376 3.4.4) and DKIM
hashes it as it is. Constants hold no brace: Jinja2 reads them as text, whatever the author wrote.
"""

import binascii
import re
from functools import lru_cache
from typing import Final

SOFT: Final = "=\r\n"
_COLUMNS: Final = 75  # one more for the "=" of a soft break
# Without = for one, & < > " ' for the other; neither a dot nor a blank comes first.
_CLEAN: Final = re.compile(r"[!#-%(-\-/-;?-~][ !#-%(-;?-~]{0,74}")


def constant(text: str, *, soft: bool) -> str:
    """Encode a segment of the frozen edition; `soft` closes it with a soft break, for something follows."""
    if not text:
        return ""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    encoded = [_line(line, hard=True) for line in lines[:-1]]
    last = _line(lines[-1], hard=not soft)
    return "\r\n".join([*encoded, last]) + (SOFT if soft and last else "")


def filled(value: str) -> str:
    """Encode one recipient's value as lines of its own. Most are plain or nearly so: those never leave C code."""
    if is_clean(value):
        return value + SOFT
    if not value:
        return ""
    short = binascii.b2a_qp(value.encode(), istext=False).decode("ascii")
    if len(short) > _COLUMNS or short.startswith((".", "From ")) or "\n" in short or "  " in short or "\t" in short:
        return _line(value, hard=False) + SOFT
    return short + SOFT


def is_clean(value: str) -> bool:
    """True where neither quoted-printable nor HTML would alter a value, and it fits into a line."""
    return "  " not in value and not value.startswith("From ") and _CLEAN.fullmatch(value) is not None


def _line(text: str, *, hard: bool) -> str:
    """Encode one logical line, cut by soft breaks; `hard`: a real line end follows, so no blank may be last."""
    units = [_unit(character) for character in text]
    _spell_blanks(units, hard=hard)
    pieces: list[str] = []
    piece = ""
    for at, unit in enumerate(units):
        if piece and len(piece) + len(unit) > _COLUMNS:
            pieces.append(piece)
            piece = ""
        piece += unit if piece else _first(unit, text[at : at + 5])
    return SOFT.join([*pieces, piece])


def _spell_blanks(units: list[str], *, hard: bool) -> None:
    for at in range(1, len(units)):
        if units[at] == units[at - 1] == " ":
            units[at] = "=20"
    if hard and units and units[-1] == " ":
        units[-1] = "=20"


def _first(unit: str, ahead: str) -> str:
    if unit == ".":
        return "=2E"
    return "=46" if ahead == "From " else unit


@lru_cache(maxsize=1024)  # single characters: no one's data
def _unit(character: str) -> str:
    if character == " " or ("!" <= character <= "~" and character not in "={}"):
        return character
    return "".join(f"={octet:02X}" for octet in character.encode())

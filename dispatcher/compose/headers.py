"""Header fields as they stand on the wire: ASCII, folded by our own hand, and closed to injection.

Each function gives the value of one field, or refuses. What must stay true:

1. No value with CR, LF or NUL gets through. This is the last of two checks; the first stands at the input.
2. A line is at most 76 columns wide where it can be broken. URIs are never broken and never made into
   RFC 2047 words: a mail program that finds `=?utf-8?q?=3Chttps` shows no unsubscribe button.
3. RFC 2047 words hold whole characters and are at most 75 long (RFC 2047 sections 2 and 5).
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from dispatcher.errors import InputRefused

WIDTH: Final = 76
HARD_LIMIT: Final = 998  # RFC 5322 2.1.1
FOLD: Final = "\r\n "

_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_FOLDABLE: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
_Q_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")  # RFC 2047 5 (3)
_Q_SHORT: Final = "".join([*sorted(_Q_SAFE), " "]).encode()  # one character each; every other octet takes three
_ADDRESS: Final = re.compile(r"[^\x00-\x20\x7f<>]{1,640}@[!-;=?-~]{1,255}")
_URL: Final = re.compile(r"https?://[!-;=?-~]{1,900}")  # leaves room for the field's name in a line of 998
_USUAL_PART = "[!#-%(-;?A-~]"  # neither a blank nor @ = & < > " '
_USUAL: Final = re.compile(
    " ".join([f"{_USUAL_PART}{{1,64}}@{_USUAL_PART}{{1,255}}"] * 3 + [f"https?://{_USUAL_PART}{{1,66}}"] * 3)
)
_WORD_OPEN: Final = "=?utf-8?"
_WORD_CLOSE: Final = "?="
_WORD_LONGEST: Final = 75
_OVERHEAD: Final = len(_WORD_OPEN + "q?" + _WORD_CLOSE)


def are_usual(made: str) -> bool:
    """Claim of three addresses and three links, a blank between each, that they are made as usual: then each may stand
    as it is in a header, in HTML and in quoted-printable. One look instead of eight.
    """
    return _USUAL.fullmatch(made) is not None


def guard(field: str, value: str) -> str:
    """Give `value` back, or refuse it for what would start a new header line or end the message."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise InputRefused(f"{field} holds a line break or a NUL", "Give it in one line.")
    return value


def field(name: str, value: str) -> str:
    """Give one complete field, line end included."""
    longest = max(len(line) for line in f"{name}: {value}".split("\r\n"))
    if longest > HARD_LIMIT:
        raise InputRefused(f"{name} has a line of {longest} characters", f"A line may have {HARD_LIMIT} (RFC 5322).")
    return f"{name}: {value}\r\n"


def subject(text: str) -> str:
    """Give the value of Subject: folded at spaces, or as RFC 2047 words."""
    guard("Subject", text)
    return _unstructured(text, used=len("Subject: "))


def mailbox(header: str, name: str, address: str) -> str:
    """Give `name <address>` for From or To; the address alone where there is no name.

    A local part outside ASCII stays raw UTF-8 (RFC 6532); such a letter needs SMTPUTF8.
    """
    check_address(header, address)
    if not name:
        return address
    phrase = _phrase(guard(header, name), used=len(header) + 2)
    return phrase + _gap(header, phrase, len(address) + 2) + f"<{address}>"


def check_address(header: str, address: str) -> str:
    """Give `address` back if it is local@domain with the domain in ASCII (A-labels)."""
    if not _ADDRESS.fullmatch(address):
        raise InputRefused(
            f"{header} is not an address that can be written", "Give local@domain, the domain as A-label."
        )
    return address


def list_unsubscribe(url: str, address: str) -> str:
    """Give the value of List-Unsubscribe (RFC 2369, 8058): the web link first, for some programs read only one."""
    if not _URL.fullmatch(url):
        raise InputRefused("the unsubscribe link cannot stand in a header", "Give a whole https URL, percent-encoded.")
    mailto = f"mailto:{check_address('the unsubscribe address', address)}"
    if not mailto.isascii():
        raise InputRefused("the unsubscribe address is not ASCII", "Use an address that every server takes.")
    return unsubscribe_by(url, mailto)


def unsubscribe_by(url: str, mailto: str) -> str:
    """Give the value of List-Unsubscribe for what was looked at already."""
    one_line = len("List-Unsubscribe: ") + len(url) + len(mailto) + len("<>, <>") <= WIDTH
    return f"<{url}>,{' ' if one_line else FOLD}<{mailto}>"


def list_id(title: str, label: str, domain: str) -> str:
    """Give the value of List-Id (RFC 2919): the list's title in words, then its identifier."""
    identifier = f"<{guard('List-Id', f'{label}.{domain}')}>"
    if not _FOLDABLE.fullmatch(identifier):
        raise InputRefused("List-Id is not ASCII", "Give the domain as A-label.")
    phrase = _phrase(guard("List-Id", title), used=len("List-Id: "))
    return phrase + _gap("List-Id", phrase, len(identifier)) + identifier


def message_id(value: str) -> str:
    """Give `<value>` if it is left@right (RFC 5322 3.6.4)."""
    if not check_address("Message-ID", value).isascii():
        raise InputRefused("Message-ID is not ASCII", "Give left@right in ASCII.")
    return f"<{value}>"


def _gap(header: str, phrase: str, width: int) -> str:
    before = len(phrase) - phrase.rfind("\n") - 1
    if "\n" not in phrase:
        before += len(header) + 2
    return " " if before + 1 + width <= WIDTH else FOLD


def _unstructured(text: str, *, used: int) -> str:
    plain = not text or (_FOLDABLE.fullmatch(text) and "=?" not in text)
    if plain and all(len(word) < WIDTH - used for word in text.split(" ")):
        return _fold(text.split(" "), used)
    return _words(text, used)


def _fold(words: Iterable[str], used: int) -> str:
    lines, line, room = [], "", WIDTH - used
    for word in words:
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line, room = word, WIDTH - 1
        else:
            line = f"{line} {word}" if line else word
    return FOLD.join([*lines, line])


def _phrase(text: str, *, used: int) -> str:
    """A display name: bare atoms, a quoted string (RFC 5322 3.2.4), or RFC 2047 words."""
    if len(text) < WIDTH - used - 2 and "=?" not in text:
        if _ATOMS.fullmatch(text):
            return text
        quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if len(quoted) <= WIDTH - used and text.isascii() and text.isprintable():
            return quoted
    return _words(text, used)


def _words(text: str, used: int) -> str:
    """RFC 2047 words on a line each; Q where it is shorter and so readable, B else."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise InputRefused("a header value holds half a character", "Give well-formed Unicode.") from None
    if len(raw) + 2 * len(raw.translate(None, _Q_SHORT)) <= (len(raw) + 2) // 3 * 4:
        return FOLD.join(_q_words([_q(character) for character in text], used))
    if len(raw) <= (WIDTH - used - _OVERHEAD) // 4 * 3:  # most names
        return _b_word(raw)
    return FOLD.join(_b_words(text, used))


def _q_words(units: Iterable[str], used: int) -> Iterator[str]:
    word, room = "", WIDTH - used - _OVERHEAD
    for unit in units:
        if word and len(word) + len(unit) > room:
            yield f"{_WORD_OPEN}q?{word}{_WORD_CLOSE}"
            word, room = "", _WORD_LONGEST - _OVERHEAD
        word += unit
    yield f"{_WORD_OPEN}q?{word}{_WORD_CLOSE}"


def _b_words(text: str, used: int) -> Iterator[str]:
    chunk, room = b"", (WIDTH - used - _OVERHEAD) // 4 * 3
    for character in text:
        raw = character.encode()
        if chunk and len(chunk) + len(raw) > room:
            yield _b_word(chunk)
            chunk, room = b"", (_WORD_LONGEST - _OVERHEAD) // 4 * 3
        chunk += raw
    yield _b_word(chunk)


def _b_word(raw: bytes) -> str:
    return f"{_WORD_OPEN}b?{binascii.b2a_base64(raw, newline=False).decode('ascii')}{_WORD_CLOSE}"


@lru_cache(maxsize=1024)  # single characters: no one's data
def _q(character: str) -> str:
    if character in _Q_SAFE:
        return character
    return "_" if character == " " else "".join(f"={octet:02X}" for octet in character.encode())

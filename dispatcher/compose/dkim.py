"""DKIM (RFC 6376): the field by which receivers know that a letter is ours and that nobody altered it.

    letter --head--> relaxed, bottom up --+
           --body--> SHA-256 = bh --------+--> one DKIM-Signature per key, in front of the letter

What must stay true
- Signing is the last step: what is signed are the octets that leave, and nothing touches them afterwards.
- Each name of SIGNED stands in h= once more often than it stands in the letter: who adds another Subject, or takes the
  one-click field away, breaks the signature (RFC 6376 8.15; RFC 8058 4 asks for both unsubscribe fields in h=).
- No l=, so nothing can be appended; no x=, so a letter that was long under way still counts.

It costs little more than the bare signature: all but two tags of the field is written once, and the body of our letters
is its own relaxed form (quoted_printable.py), so it is hashed as it is.
"""

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from dispatcher.compose.headers import FOLD, WIDTH

if TYPE_CHECKING:  # whoever signs nothing needs no cryptography: it weighs 7 MB in every process
    from dispatcher.compose.dkim_key import SigningKey

# What a reader sees, what a mail program acts upon, and how the body is read. Not Sender: who passes mail on adds it.
SIGNED = (
    "From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post",
    "List-Id", "Feedback-ID", "Precedence", "Auto-Submitted", "Content-Language", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding",
)  # fmt: skip
_RELAXED: Final = {name.encode(): f"{name.lower()}:".encode() for name in SIGNED}
_FIELD = "DKIM-Signature"
_RUN: Final = re.compile(rb" {2,}")
_BLANKS: Final = re.compile(rb"[ \t]+")
_WIRE_FOLD: Final = FOLD.encode()
_END: Final = b"\r\n\r\n"  # of the head
_UP_TO_HERE_THE_SAME: Final = b"\r\nTo:"  # in all letters of an edition and a second (freezing.py),
_FROM_HERE_ON_THE_SAME: Final = b"\r\nList-Unsubscribe-Post:"  # in all its newsletters
# What is between holds data of a person. It is taken apart as it stands: no copy is made, and the same search finds
# where it ends. A name in quotes goes the slow way: it may hold tabs, and blanks in a row.
_OWN: Final = re.compile(
    rb'To: ([^"\r\n]*[^" \r\n](?:\r\n [^"\r\n]*[^" \r\n])*)\r\n'
    rb"Subject: ([^\r\n]*[^ \r\n](?:\r\n [^\r\n]*[^ \r\n])*)\r\nMessage-ID: (.*[^ \r\n])\r\n"
    rb"List-Unsubscribe: (<.*>),(?:\r\n)? (<.*>)(?=\r\nList-Unsubscribe-Post:)"
).match
_OWN_NAMES: Final = (b"list-unsubscribe:", b"message-id:", b"subject:", b"to:")
_FRAMES_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class _Form:
    """One key's field for letters with the same fields, in three pieces: behind the first goes t=, behind the second
    bh=, and behind the last what b= says, which `cut` cuts into lines."""

    sign: Callable[[bytes], bytes]
    wire: tuple[bytes, bytes, bytes]
    relaxed: tuple[bytes, bytes, bytes]
    cut: Callable[[bytes], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all newsletters of an edition and a second share: their head above To and below List-Unsubscribe (with the
    empty line), as it is and relaxed, and the forms of their fields.
    """

    above: bytes
    below: bytes
    relaxed_above: bytes
    relaxed_below: bytes
    forms: list[_Form]


_NO_FRAME: Final = _Frame(_END, _END, b"", b"", [])  # no letter begins with empty lines


class Signer:
    """Signs letters with each of its keys. Share it among all letters of a process; it keeps nothing of any."""

    def __init__(self, keys: "Sequence[SigningKey]") -> None:
        self.keys = tuple(keys)
        self._known: dict[tuple[bytes, ...], list[_Form]] = {}
        self._frames: dict[tuple[bytes, bytes], _Frame] = {}
        self._frame = _NO_FRAME  # of the letter before, which most often is that of the next,
        self._now: datetime | None = None  # and its moment: letters composed between two turns of the gate share it
        self._stamp = b""

    def sign(self, letter: bytes, now: datetime, *, is_relaxed: bool) -> bytes:
        """Give the letter with its signatures in front. `is_relaxed`: its body is its own relaxed form."""
        return self.signatures(letter, now, is_relaxed=is_relaxed) + letter

    def signatures(self, letter: bytes, now: datetime, *, is_relaxed: bool) -> bytes:
        """Give the fields that are to stand in front of the letter."""
        starts, head, forms = self._head(letter)
        body = memoryview(letter)[starts:]
        digest = _base64(sha256(body if is_relaxed else relaxed_body(bytes(body))).digest())
        if now is not self._now:
            self._now, self._stamp = now, b"%d" % int(now.timestamp())
        return b"".join([_field(form, head, self._stamp, digest) for form in forms])

    def _head(self, letter: bytes) -> tuple[int, bytes, list[_Form]]:
        """Give where the body starts, the signed fields in their relaxed form (RFC 6376 3.4.2), and the forms for them.

        All bottom up, for of fields with the same name the last is signed first (5.4.2). The head is of our own hand:
        names as in SIGNED, folds as in headers.py. That of nearly every letter is a frame with four fields in it.
        """
        frame = self._frame
        if not letter.startswith(frame.above):
            if (other := self._find_frame(letter)) is None:  # a letter around consent
                return self._any_head(letter)
            frame = self._frame = other
        if (own := _OWN(letter, len(frame.above))) is None:
            return self._any_head(letter)
        if not letter.startswith(frame.below, own.end()):  # another edition of the same second
            if (other := self._find_frame(letter)) is None:
                return self._any_head(letter)
            frame = self._frame = other
        to, subject, message_id, by_web, by_mail = own.groups()
        lines = (
            frame.relaxed_below, b"list-unsubscribe:", by_web, b", ", by_mail, b"\r\nmessage-id:", message_id,
            b"\r\nsubject:", subject.replace(_WIRE_FOLD, b" "),
            b"\r\nto:", to.replace(_WIRE_FOLD, b" "), b"\r\n", frame.relaxed_above,
        )  # fmt: skip
        return own.end() + len(frame.below), b"".join(lines), frame.forms

    def _any_head(self, letter: bytes) -> tuple[int, bytes, list[_Form]]:
        end = letter.index(_END)
        names, head = _relaxed_fields(letter[:end])
        return end + len(_END), head, self._forms(names)

    def _find_frame(self, letter: bytes) -> _Frame | None:
        end = letter.index(_END)
        begins = letter.find(_UP_TO_HERE_THE_SAME, 0, end) + len(b"\r\n")
        ends = letter.find(_FROM_HERE_ON_THE_SAME, begins, end)
        if not 1 < begins < ends:
            return None
        above, below = letter[:begins], letter[ends : end + len(_END)]
        frame = self._frames.get((above, below))
        if frame is None:
            if len(self._frames) >= _FRAMES_KEPT:
                self._frames.clear()
            frame = self._frames[above, below] = self._add_frame(above, below)
        return frame

    def _add_frame(self, above: bytes, below: bytes) -> _Frame:
        upper_names, upper = _relaxed_fields(above)
        lower_names, lower = _relaxed_fields(below)
        return _Frame(above, below, upper, lower, self._forms(lower_names + _OWN_NAMES + upper_names))

    def _forms(self, names: tuple[bytes, ...]) -> list[_Form]:
        if (forms := self._known.get(names)) is None:
            listed = [*names, *_RELAXED.values()]  # each once more than there is of it
            forms = self._known[names] = [_form(key, [name.decode("ascii") for name in listed]) for key in self.keys]
        return forms


def relaxed_body(body: bytes) -> bytes:
    """Give a body's relaxed form (RFC 6376 3.4.4)."""
    text = _BLANKS.sub(b" ", body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n ")
    return text + b"\r\n" if text else b""


def _relaxed_fields(head: bytes) -> tuple[tuple[bytes, ...], bytes]:
    text = _RUN.sub(b" ", head.replace(b"\t", b" ").replace(_WIRE_FOLD, b" "))
    names, lines = [], []
    for line in reversed(text.split(b"\r\n")):
        name, _, value = line.partition(b":")
        if (relaxed := _RELAXED.get(name)) is not None:
            names.append(relaxed)
            lines.append(relaxed + value.strip(b" "))
    lines.append(b"")
    return tuple(names), b"\r\n".join(lines)


def _field(form: _Form, head: bytes, stamp: bytes, digest: bytes) -> bytes:
    before, between, behind = form.relaxed
    signature = _base64(form.sign(b"".join((head, before, stamp, between, digest, behind))))
    before, between, behind = form.wire
    return b"".join((before, stamp, between, digest, behind, _WIRE_FOLD.join(form.cut(signature)), b"\r\n"))


def _form(key: "SigningKey", listed: list[str]) -> _Form:
    lines = [
        f"v=1; a={key.algorithm}-sha256; c=relaxed/relaxed;",
        *_folded([f"d={key.domain}; ", f"s={key.selector};"]),
        "t=\0; bh=\0;",
        *_folded([f"h={listed[0]}", *listed[1:-1], listed[-1].replace(":", ";")]),
        "b=",
    ]
    wire = f"{_FIELD}: {FOLD.join(lines)}"
    relaxed = f"{_FIELD.lower()}:{' '.join(lines)}"
    return _Form(key.sign, _in_three(wire), _in_three(relaxed), _cutter(len(_base64(key.sign(b"")))))


def _in_three(field: str) -> tuple[bytes, bytes, bytes]:
    before, between, behind = field.encode("ascii").split(b"\0")
    return before, between, behind


def _cutter(length: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Give what cuts a base64 text of `length` to be folded behind b=."""
    starts = [0, *range(WIDTH - len(" b="), length, WIDTH - 1)]
    return itemgetter(*(slice(*ends) for ends in pairwise([*starts, length])))


def _folded(pieces: list[str]) -> Iterator[str]:
    """Put pieces into lines that are not too wide with the blank before them."""
    line = ""
    for piece in pieces:
        if line and len(f" {line}{piece}".rstrip()) > WIDTH:
            yield line.rstrip()
            line = ""
        line += piece
    yield line


def _base64(octets: bytes) -> bytes:
    return b2a_base64(octets, newline=False)

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
from functools import lru_cache
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
_UP_TO_HERE_THE_SAME: Final = b"\r\nTo:"  # in all letters of an edition and a second (freezing.py),
_FROM_HERE_ON_THE_SAME: Final = b"\r\nList-Unsubscribe-Post:"  # in all its newsletters
# What is between in a newsletter, once it is unfolded: the fields that hold data of a person. A name in quotes is left
# to the slow way: it may hold tabs, and blanks in a row.
_OWN: Final = re.compile(
    rb'To: ([^"\r\n]*[^" \r\n])\r\nSubject: (.*[^ \r\n])\r\n'
    rb"Message-ID: (.*[^ \r\n])\r\nList-Unsubscribe: (.*[^ \r\n])"
).fullmatch
_OWN_NAMES: Final = (b"list-unsubscribe:", b"message-id:", b"subject:", b"to:")


@dataclass(frozen=True, slots=True)
class _Form:
    """One key's field for letters with the same fields, in three pieces: behind the first goes t=, behind the second
    bh=, and behind the last what b= says, which `cut` cuts into lines."""

    sign: Callable[[bytes], bytes]
    wire: tuple[bytes, bytes, bytes]
    relaxed: tuple[bytes, bytes, bytes]
    cut: Callable[[bytes], tuple[bytes, ...]]


class Signer:
    """Signs letters with each of its keys. Share it among all letters of a process; it keeps nothing of any."""

    def __init__(self, keys: "Sequence[SigningKey]") -> None:
        self.keys = tuple(keys)
        self._known: dict[tuple[bytes, ...], list[_Form]] = {}
        self._names: tuple[bytes, ...] = ()  # of the letter before, which most often are those of the next,
        self._forms: list[_Form] = []
        self._now: datetime | None = None  # and its moment: letters composed between two turns of the gate share it
        self._stamp = b""

    def sign(self, letter: bytes, now: datetime, *, is_relaxed: bool) -> bytes:
        """Give the letter with its signatures in front. `is_relaxed`: its body is its own relaxed form."""
        return self.signatures(letter, now, is_relaxed=is_relaxed) + letter

    def signatures(self, letter: bytes, now: datetime, *, is_relaxed: bool) -> bytes:
        """Give the fields that are to stand in front of the letter."""
        end = letter.index(b"\r\n\r\n")
        body = memoryview(letter)[end + 4 :]
        digest = _base64(sha256(body if is_relaxed else relaxed_body(bytes(body))).digest())
        names, head = _relaxed_head(letter, end)
        if names != self._names:
            self._names, self._forms = names, self._known.get(names) or self._add_forms(names)
        if now is not self._now:
            self._now, self._stamp = now, b"%d" % int(now.timestamp())
        return b"".join([_field(form, head, self._stamp, digest) for form in self._forms])

    def _add_forms(self, names: tuple[bytes, ...]) -> list[_Form]:
        listed = [*names, *_RELAXED.values()]  # each once more than there is of it
        self._known[names] = forms = [_form(key, [name.decode("ascii") for name in listed]) for key in self.keys]
        return forms


def relaxed_body(body: bytes) -> bytes:
    """Give a body's relaxed form (RFC 6376 3.4.4)."""
    text = _BLANKS.sub(b" ", body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n ")
    return text + b"\r\n" if text else b""


def _relaxed_head(letter: bytes, end: int) -> tuple[tuple[bytes, ...], bytes]:
    """Give the names of the signed fields, each with its colon, and the relaxed form of all (RFC 6376 3.4.2).

    Both bottom up, for of fields with the same name the last is signed first (5.4.2). The head, up to `end`, is of our
    own hand: names as in SIGNED, folds as in headers.py.
    """
    begins = letter.find(_UP_TO_HERE_THE_SAME, 0, end)
    ends = letter.find(_FROM_HERE_ON_THE_SAME, 0, end)
    if not 0 < begins < ends:  # a letter around consent
        return _relaxed_fields(letter[:end])
    upper_names, upper = _same_for_all(letter[:begins])
    names, own = _relaxed_own(letter[begins + 2 : ends])
    lower_names, lower = _same_for_all(letter[ends:end])
    return lower_names + names + upper_names, b"".join((lower, own, upper))


def _relaxed_own(head: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Do what `_relaxed_fields` does, in a third of the time, for what stands between in nearly every letter."""
    if (found := _OWN(head.replace(_WIRE_FOLD, b" "))) is None:
        return _relaxed_fields(head)
    to, subject, message_id, unsubscribe = found.groups()
    lines = (
        b"list-unsubscribe:", unsubscribe, b"\r\nmessage-id:", message_id, b"\r\nsubject:", subject, b"\r\nto:", to,
        b"\r\n",
    )  # fmt: skip
    return _OWN_NAMES, b"".join(lines)


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


_same_for_all = lru_cache(maxsize=256)(_relaxed_fields)  # of editions: no one's data


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

"""What a server answers: replies (RFC 5321 4.2) with their enhanced codes (RFC 2034, RFC 3463), out of bytes.

What must stay true
- Any split of the same bytes gives the same replies, and the same fault at the same place.
- Memory is bounded whatever the server sends: 4,096 octets a line (RFC 5321 4.5.3.1.5 asks for 512), 200 lines
  and 64 KiB a reply.
- The text holds no control character and nothing that reverses or hides text: it goes into logs, tables and pages.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn

_LINE_LIMIT = 4096
_LINES_LIMIT = 200
_REPLY_LIMIT = 64 * 1024

_LINE = re.compile(
    rb"([2-5][0-9][0-9])"  # the code, then nothing, or a space or hyphen and text,
    rb"(?:[ -]\s*(?:([245])\.[0-9]{1,3}\.[0-9]{1,3}(?=\s|\Z))?(.*)|\r?)\Z",  # which may begin with an enhanced code
    re.DOTALL,
)


class ProtocolError(Exception):
    """The server said something that is no SMTP, or not at this place. The connection is of no further use."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `text` is readable and on one line; `lines` keeps the lines of a longer reply (EHLO) apart."""

    code: int
    enhanced: str | None
    text: str
    lines: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


class ReplyReader:
    """Bytes in with `feed`, replies out with `next`. After a fault every further call names the same fault."""

    __slots__ = ("_at", "_buffer", "_fault", "_lines", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._lines: list[Reply] = []
        self._size = 0
        self._fault = ""

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def next(self) -> Reply | None:
        """Give the next complete reply; None when more bytes are needed. Raises ProtocolError for nonsense."""
        if self._fault:
            raise ProtocolError(self._fault)
        while (end := self._buffer.find(b"\n", self._at)) >= 0:
            line = self._buffer[self._at : end]
            self._at = end + 1
            if (reply := self._take(line)) is not None:
                return reply
        if len(self._buffer) - self._at > _LINE_LIMIT:
            self._fail("a reply line without an end")
        return None

    @property
    def has_rest(self) -> bool:
        """Claim that bytes lie here which belong to no reply given out so far."""
        return self._at < len(self._buffer) or bool(self._lines)

    def _take(self, line: bytes) -> Reply | None:
        if len(line) > _LINE_LIMIT:
            self._fail("a reply line without an end")
        try:
            reply = _read_line(line)
        except ProtocolError as error:
            self._fail(str(error))
        goes_on = line[3:4] == b"-"
        if not goes_on and not self._lines:
            return reply
        self._lines.append(reply)
        self._size += len(line) + 1
        if len(self._lines) > _LINES_LIMIT or self._size > _REPLY_LIMIT:
            self._fail("a reply without an end")
        if reply.code != self._lines[0].code:
            self._fail("a reply whose lines bear different codes")
        return None if goes_on else self._join()

    def _join(self) -> Reply:
        lines, self._lines, self._size = self._lines, [], 0
        texts = tuple(line.text for line in lines)
        enhanced = next((line.enhanced for line in lines if line.enhanced), None)
        return Reply(lines[0].code, enhanced, " ".join(filter(None, texts)), texts)

    def _fail(self, why: str) -> NoReturn:
        self._fault = why
        raise ProtocolError(why)


# Servers repeat themselves: three of the four replies to a letter are the same bytes each time.
@lru_cache(maxsize=256)
def _read_line(line: bytes) -> Reply:
    found = _LINE.match(line)
    if found is None:
        raise ProtocolError(f"not an SMTP reply: {_readable(line[:40])!r}")
    code, kind, text = found.groups()
    if kind is None:
        return Reply(int(code), None, _readable(text or b""))
    # The class of the enhanced code must be that of the code (RFC 2034 section 4); otherwise it stays text.
    if kind[0] != code[0]:
        return Reply(int(code), None, _readable(line[4:]))
    return Reply(int(code), line[found.start(2) : found.start(3)].decode(), _readable(text))


def _readable(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    text = text.strip()
    if text.isprintable():
        return text
    spaced = "".join(" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if char.isprintable()).strip()

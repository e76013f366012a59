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
_GOES_ON = ord("-")

_LINE = re.compile(
    rb"([2-5][0-9][0-9])"  # the code, then nothing, or a space or hyphen and text,
    rb"(?:[ -]\s*(?:([245])\.[0-9]{1,3}\.[0-9]{1,3}(?=\s|\Z))?(.*)|\r?)\Z",  # which may begin with an enhanced code
    re.DOTALL,
)


class ProtocolError(Exception):
    """The server said something that is no SMTP, or not at this place. The connection is of no further use."""


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Reply:
    """One reply. `text` is readable and on one line; `lines` keeps the lines of a longer reply (EHLO) apart; `words` is
    the whole as it is written down.
    """

    code: int
    enhanced: str | None
    text: str
    lines: tuple[str, ...] = field(repr=False, compare=False)
    words: str = field(init=False, repr=False, compare=False)

    def __init__(self, code: int, enhanced: str | None, text: str, lines: tuple[str, ...] = ()) -> None:
        self.code = code
        self.enhanced = enhanced
        self.text = text
        self.lines = lines
        self.words = f"{code} {enhanced}" if enhanced else str(code)
        if text:
            self.words += " " + text

    def __str__(self) -> str:
        return self.words


class ReplyReader:
    """Bytes in, replies out. After a fault, which `fault` names, nothing more is read."""

    __slots__ = ("_lines", "_rest", "_size", "fault")

    def __init__(self) -> None:
        self.fault = ""
        self._rest = b""
        self._lines: list[Reply] = []
        self._size = 0

    def read(self, data: bytes) -> list[Reply]:
        """Take what arrived; give the replies which that completes."""
        replies: list[Reply] = []
        if self.fault:
            return replies
        buffer, start = self._rest + data, 0
        try:
            while (end := buffer.find(b"\n", start)) >= 0:
                reply = read_line(buffer[start:end]) if end - start <= _LINE_LIMIT else _endless_line()
                if buffer[start + 3] == _GOES_ON or self._lines:
                    self._collect(reply, buffer[start:end], replies)
                else:
                    replies.append(reply)
                start = end + 1
            if len(buffer) - start > _LINE_LIMIT:
                _endless_line()
        except ProtocolError as error:
            self.fault = str(error)
        self._rest = buffer[start:]
        return replies

    @property
    def has_rest(self) -> bool:
        """Claim that bytes lie here which belong to no reply given out so far."""
        return bool(self._rest or self._lines)

    def _collect(self, reply: Reply, line: bytes, replies: list[Reply]) -> None:
        self._lines.append(reply)
        self._size += len(line) + 1
        if len(self._lines) > _LINES_LIMIT or self._size > _REPLY_LIMIT:
            raise ProtocolError("a reply without an end")
        if reply.code != self._lines[0].code:
            raise ProtocolError("a reply whose lines bear different codes")
        if line[3:4] != b"-":
            replies.append(_join(self._lines))
            self._lines, self._size = [], 0


def _join(lines: list[Reply]) -> Reply:
    texts = tuple(line.text for line in lines)
    enhanced = next((line.enhanced for line in lines if line.enhanced), None)
    return Reply(lines[0].code, enhanced, " ".join(filter(None, texts)), texts)


def _endless_line() -> NoReturn:
    raise ProtocolError("a reply line without an end")


# Servers repeat themselves: three of the four replies to a letter are the same bytes each time.
@lru_cache(maxsize=256)
def read_line(line: bytes) -> Reply:
    """Read one line without its LF. Raises ProtocolError."""
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

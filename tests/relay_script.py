"""What a script for the relay (tests/relay.py) is made of: when it is asked, what it may do, what is recorded."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Act:
    """What to do instead of the usual.

    `reply` None: the usual reply. `silent`: no reply at all. `delay`: seconds before anything of this happens.
    `accept` (DOT only) None: as the reply says. `close`: after the reply. `hang`: do nothing more.
    `stop_reading`: nor even read, so that the sender's buffers fill.
    """

    reply: str | bytes | None = None
    silent: bool = False
    delay: float = 0.0
    accept: bool | None = None
    close: bool = False
    hang: bool = False
    stop_reading: bool = False


def say(reply: str | bytes, *, close: bool = False, delay: float = 0.0) -> Act:
    """Answer `reply`: text gets its CRLF, bytes go out as they are."""
    return Act(reply=reply, close=close, delay=delay)


def drop() -> Act:
    """Close without a word; at DOT, the letter is not taken."""
    return Act(silent=True, close=True)


def accept_then_drop() -> Act:
    """At DOT: take the letter over, then close without a word."""
    return Act(silent=True, accept=True, close=True)


def stall() -> Act:
    """Never answer, nor anything after it."""
    return Act(silent=True, hang=True)


def tarpit() -> Act:
    """Stop reading and never answer; the end of the connection is not noticed either."""
    return Act(silent=True, hang=True, stop_reading=True)


@dataclass(frozen=True, slots=True)
class Ask:
    """The moment a script is asked about. `letter` counts the letters of this connection, `connection` all of them."""

    verb: str
    argument: str
    sender: str
    recipient: str
    connection: int
    letter: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A letter that was taken over. `accepted_at` is monotonic, `wall` is Unix time; `raw` is without dot-stuffing."""

    message_id: str
    sender: str
    recipient: str
    raw: bytes
    size: int
    accepted_at: float
    wall: float
    connection: int

    def as_row(self) -> dict[str, Any]:
        row = {name: getattr(self, name) for name in self.__slots__}
        return {**row, "raw": self.raw.decode("latin-1")}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Accepted":
        return cls(**{**row, "raw": row["raw"].encode("latin-1")})


@dataclass(frozen=True, slots=True)
class Settings:
    """What all connections of a relay have in common. `cut_after`: octets of the dialogue, then the line breaks."""

    extensions: tuple[str, ...]
    starttls: ssl.SSLContext | None
    users: dict[str, str]
    log_ins: str
    keep_raw: bool
    keep_lines: bool
    cut_after: int | None = None


Script = Callable[[Ask], Act | None] | Mapping[Any, Act | list[Act]]

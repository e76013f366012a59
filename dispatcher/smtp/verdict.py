"""What became of one letter at one relay: a pure table from reply to verdict.

    moment of loss or answer                                    verdict
    lost before the dot was written                             NotSent
    a refusal that is about us (421, no AUTH, our sender)       NotSent, about_us
    4xx to MAIL, RCPT, DATA or the dot; 421 to the dot          Deferred
    5xx about this recipient or this letter                     Refused
    5xx that says we are out of step, before the dot            NotSent
    2xx to the dot                                              Sent
    dot written, even partly, and no reply                      Unknown

What must stay true: only an answer that was read makes a letter Sent, Deferred or Refused; and NotSent means that
the relay has no message, so that the letter may go out again freely. (RFC 5321 4.2.1, 4.5.3.2.6; RFC 1047)
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from dispatcher.smtp.reply import ProtocolError, Reply


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Sent:
    """The relay has taken the letter over: 2xx to the dot."""

    reply: Reply

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: the relay has no message, a later attempt may pass."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Refused:
    """Not at all: the relay refuses this recipient or this letter. The bounce rules judge the code."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Unknown:
    """The dot was written, perhaps only in part, and no reply came. Nobody can tell; never send again unasked."""

    why: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """The relay has no message and said nothing about the address. `about_us`: it does not want us, here or now."""

    why: str
    about_us: bool


Verdict = Sent | Deferred | Refused | Unknown | NotSent


class Step(StrEnum):
    """The commands of a letter's dialogue that are answered."""

    RESET = "RSET"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    DOT = "the final dot"
    LONE_DOT = "the dot of an empty message"


# In Python 3.11 a member looked up on its class costs as much as all else that is done for a reply.
_MAIL, _RCPT, _DATA, _DOT = Step.MAIL, Step.RCPT, Step.DATA, Step.DOT

CLOSING = 421  # the relay ends the connection; may stand in for any reply (RFC 5321 3.8)

# AUTH required or refused (RFC 4954 section 6): whatever it answers, it is about our log-in.
_LOG_IN = frozenset({530, 534, 535, 538})

# 5xx to MAIL FROM is about us and our sender, except for these: recipient unknown, mailbox, size, content.
_NOT_ABOUT_THE_SENDER = re.compile(r"5\.(1\.(1|2|3|6|10)|2\.\d+|3\.4|6\.\d+)")

# "No such command" and "not in this order" say nothing of a recipient: the relay is out of step with us.
_OUT_OF_STEP = frozenset({500, 502, 503})

_GO_ON = 354
_TOO_MUCH = 552


def judge(step: Step, reply: Reply) -> Verdict | None:
    """Give the verdict that `reply` to `step` means; None: the dialogue goes on. Raises ProtocolError out of place."""
    if reply.code in _LOG_IN:
        return NotSent(f"{step}: {reply}", about_us=True)
    match reply.code // 100:
        case 2 if step is _DOT:
            return Sent(reply)
        case 2 if step is not _DATA:
            return None
        case 3 if step is _DATA and reply.code == _GO_ON:
            return None
        case 4:
            return _temporary(step, reply)
        case 5:
            return _permanent(step, reply)
        case _:
            raise ProtocolError(f"answered out of place: {reply}")


def lost(why: str, *, dot_written: bool, about_us: bool = False) -> Unknown | NotSent:
    """Give the verdict for a connection that ended without an answer."""
    return Unknown(why) if dot_written else NotSent(why, about_us)


def _temporary(step: Step, reply: Reply) -> Verdict:
    if reply.code == CLOSING and step is not _DOT:
        return NotSent(f"{step}: {reply}", about_us=True)
    return Deferred(reply)


def _permanent(step: Step, reply: Reply) -> Verdict:
    # 552 on RCPT once meant "too many recipients": treat as temporary (RFC 5321 4.5.3.1.10).
    if step is _RCPT and reply.code == _TOO_MUCH:
        return Deferred(reply)
    if reply.code in _OUT_OF_STEP and (step is _RCPT or step is _DATA):
        return NotSent(f"{step}: {reply}", about_us=False)
    if step is _MAIL and not _is_about_the_letter(reply):
        return NotSent(f"{step}: {reply}", about_us=True)
    return Refused(reply)


def _is_about_the_letter(reply: Reply) -> bool:
    if reply.enhanced is None:
        return reply.code == _TOO_MUCH  # with SIZE (RFC 1870 6.1) it can only be the size
    return _NOT_ABOUT_THE_SENDER.fullmatch(reply.enhanced) is not None

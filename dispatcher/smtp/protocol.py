"""The dialogue of letters without sockets: bytes in, events out, bytes to send out.

One letter, with PIPELINING (RFC 2920); the relay is waited for at two places only:

    offer(a)     ->  MAIL RCPT DATA                             <-  250 250 354      Invited: a's body may go
    release(b)   ->  dot of a, MAIL RCPT DATA of b: one write   <-  250 250 250 354  Answered(a), Invited: b's body
    release()    ->  dot of b                                   <-  250              Answered(b)

Content may be the first of a group (RFC 2920 3.1), so a letter costs one round trip, and yet at most one dot is out.
Without PIPELINING each command waits for the reply to the one before.

What must stay true
- At most one dot is unanswered at any time, and none is written by anything but `release` (and, where RCPT was
  refused but DATA was not, an empty message's that no recipient can get).
- Replies are paired with commands in order. What does not fit its command, and what nobody asked for, ends the
  dialogue: an unanswered dot is then Unknown, anything else NotSent.
- Once ended, no more bytes are given out and no more events come.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dispatcher.smtp.envelope import DATA, DOT, RESET, Offers, Parcel, commands
from dispatcher.smtp.reply import ProtocolError, Reply, ReplyReader, read_line
from dispatcher.smtp.verdict import CLOSING, NotSent, Sent, Step, Verdict, judge, lost


@dataclass(frozen=True, slots=True)
class Invited:
    """354 came and the envelope stands: the body may be written, without the dot."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The envelope, or DATA, was not taken; no body goes."""

    verdict: Verdict


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Answered:
    """What became of the letter whose dot was written."""

    verdict: Verdict

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is of no further use: close it. `verdict` is for a letter whose dot has not been written."""

    verdict: NotSent


Event = Invited | Declined | Answered | Ended

_INVITED: Final = Invited()
_MAIL: Final = Step.MAIL
_RCPT: Final = Step.RCPT
_DATA: Final = Step.DATA
_DOT: Final = Step.DOT
_OK: Final = 250
_ENVELOPE: Final[tuple[Step, ...]] = (_MAIL, _RCPT, _DATA)
_GROUP: Final = 1 + len(_ENVELOPE)  # replies: to a dot, and to the envelope behind it
_TAKEN: Final = b"250 "
_LONGEST: Final = 512  # octets of a reply line (RFC 5321 4.5.3.1.5)
# MAIL and RCPT taken, content invited.
_INVITING: Final = re.compile(rb"(?:250[ ][^\r\n]{0,506}\r\n){2}354[ ][^\r\n]{0,506}\r\n").fullmatch


class _Stage(Enum):
    IDLE = auto()  # no envelope; a dot may be out
    ENVELOPE = auto()  # MAIL to DATA under way
    CONTENT = auto()  # 354 came; the body is being written, or its dot is held back


class Dialogue:
    """One connection after greeting and log-in. Not for re-use once ended."""

    def __init__(self, offers: Offers) -> None:
        self.offers = offers
        self._reader = ReplyReader()
        self._due: list[Step] = []  # five at most: a list weighs 56 octets in a lane, a deque 624
        self._later: list[tuple[Step, str]] = []  # commands held back for want of PIPELINING
        self._out = ""
        self._stage = _Stage.IDLE
        self._refusal: Verdict | None = None
        self._recipient_refused = False
        self._reset_due = False
        self._ended: NotSent | None = None
        # What this relay says to an envelope and to a letter: in the same words each time, or nearly.
        self._usual: bytes | None = None
        self._said = b""
        self._taken: Answered | None = None  # by what it said

    @property
    def moment(self) -> str:
        """Name what is under way, for whoever reads of its loss."""
        if self._due:
            return self._due[0]
        return "the body" if self._stage is _Stage.CONTENT else "between letters"

    @property
    def is_idle(self) -> bool:
        """Claim that QUIT would be understood as a command now."""
        return self._ended is None and self._stage is _Stage.IDLE and not self._due

    def offer(self, parcel: Parcel) -> None:
        """Begin `parcel`'s envelope; then `take` what there is to send."""
        assert self._stage is _Stage.IDLE
        assert self._ended is None
        mail, rcpt = commands(parcel, self.offers)
        self._stage = _Stage.ENVELOPE
        self._refusal = None
        self._recipient_refused = False
        if self.offers.pipelining:
            self._send_together(f"{mail}{rcpt}{DATA}")
            return
        if self._reset_due:
            self._later.append((Step.RESET, RESET))
        self._later.extend(zip(_ENVELOPE, (mail, rcpt, DATA), strict=True))
        self._reset_due = False
        self._send_next()

    def release(self, following: Parcel | None = None) -> None:
        """End the content with the dot and begin `following`, which needs PIPELINING; then `take` what to send."""
        assert self._stage is _Stage.CONTENT
        assert self._ended is None
        self._stage = _Stage.IDLE
        self._due.append(_DOT)
        self._out += DOT
        if following is not None:
            assert self.offers.pipelining
            self.offer(following)

    def take(self) -> bytes:
        """Give the bytes that are to be written now."""
        if not self._out:
            return b""
        out, self._out = self._out, ""
        return out.encode()

    def receive(self, data: bytes) -> list[Event]:
        """Take what arrived; give what it means, in order."""
        if self._is_group_due and (taken := self._usual_answer(data)) is not None:
            return self._take_usual(taken)
        events: list[Event] = []
        try:
            for reply in self._reader.read(data):
                if self._ended is not None:
                    return events
                self._hear(reply, events)
        except ProtocolError as error:
            events += self.lose(f"{self.moment}: {error}")
        if self._reader.fault:
            events += self.lose(f"{self.moment}: {self._reader.fault}")
        return events

    def lose(self, why: str, *, about_us: bool = False) -> list[Event]:
        """Take note that the connection is lost or must be given up; give what that means for what was under way."""
        if self._ended is not None:
            return []
        events: list[Event] = []
        if self._due and self._due[0] is _DOT:
            events.append(Answered(lost(why, dot_written=True)))
        self._ended = NotSent(why, about_us)
        if self._stage is _Stage.ENVELOPE:
            # A refusal that was read stays true, whatever came after it.
            events.append(Declined(self._refusal or self._ended))
        events.append(Ended(self._ended))
        self._due.clear()
        self._later.clear()
        self._out = ""
        return events

    @property
    def _is_group_due(self) -> bool:
        """Claim that the replies to a whole group are due, and nothing else lies here."""
        return len(self._due) == _GROUP and self._due[0] is _DOT and not self._reader.has_rest

    def _usual_answer(self, data: bytes) -> bytes | None:
        """Give the line that answers the dot, if these are four good replies and nothing else."""
        said, _, inviting = data.partition(b"\n")
        if len(said) >= _LONGEST or said[:4] != _TAKEN:
            return None
        if inviting != self._usual:
            if _INVITING(inviting) is None:
                return None
            self._usual = inviting
        return said

    def _take_usual(self, said: bytes) -> list[Event]:
        """Take four good replies at once: what a relay says to nearly every letter. To read each by itself would cost
        as much as to render the letter, and come to the same.
        """
        self._due.clear()
        self._stage = _Stage.CONTENT
        if self._taken is None or said != self._said:
            self._said, self._taken = said, Answered(Sent(read_line(said)))
        return [self._taken, _INVITED]

    def _send_together(self, envelope: str) -> None:
        if self._reset_due:
            self._due.append(Step.RESET)
            self._out += RESET
            self._reset_due = False
        self._due += _ENVELOPE
        self._out += envelope

    def _send_next(self) -> None:
        if self._later:
            step, command = self._later.pop(0)
            self._due.append(step)
            self._out += command

    def _hear(self, reply: Reply, events: list[Event]) -> None:
        if not self._due:
            events += self.lose(f"{self.moment}: the relay said unasked: {reply}", about_us=reply.code == CLOSING)
            return
        step = self._due[0]
        if reply.code == _OK and self.offers.pipelining and (step is _MAIL or step is _RCPT):
            self._due.pop(0)  # what most replies are; judge would say the same
            return
        verdict = judge(step, reply)  # may raise: then the step is still due, and lost
        self._due.pop(0)
        if step is _DOT:
            assert verdict is not None
            events.append(Answered(verdict))
        if reply.code == CLOSING:
            events += self.lose(f"{step}: {reply}", about_us=True)
        elif step is _DATA:
            self._conclude(verdict, events)
        elif step is _MAIL or step is _RCPT:
            self._go_on(step, verdict, events)
        elif step is Step.RESET:
            self._after_reset(reply, verdict)

    def _go_on(self, step: Step, verdict: Verdict | None, events: list[Event]) -> None:
        self._refusal = self._refusal or verdict
        self._recipient_refused = step is _RCPT and verdict is not None
        if self.offers.pipelining:
            return  # the rest of the group is answered as well
        if verdict is None:
            self._send_next()
        else:
            self._decline(verdict, events)

    def _conclude(self, verdict: Verdict | None, events: list[Event]) -> None:
        refusal = self._refusal or verdict
        if refusal is None:
            self._stage = _Stage.CONTENT
            events.append(_INVITED)
        elif verdict is not None:
            self._decline(refusal, events)
        elif self._recipient_refused:
            # 354 although nobody is left to get it: an empty message, which the relay refuses (RFC 2920 3.1).
            self._out += DOT
            self._due.append(Step.LONE_DOT)
            self._decline(refusal, events)
        else:
            # MAIL refused, RCPT and DATA taken: a dot might send something. Leave instead.
            events += self.lose("the relay wants content after it refused MAIL")

    def _decline(self, verdict: Verdict, events: list[Event]) -> None:
        self._stage = _Stage.IDLE
        self._later.clear()
        self._reset_due = True  # goes in front of the next MAIL: no round trip of its own
        events.append(Declined(verdict))

    def _after_reset(self, reply: Reply, verdict: Verdict | None) -> None:
        if verdict is not None:
            raise ProtocolError(f"{Step.RESET} was answered with {reply}")
        self._send_next()

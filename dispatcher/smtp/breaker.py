"""Which relay may a line be opened to now? One breaker per relay, and all relays of a process in order of preference.

    closed     lines are opened as they are wanted
       |  a new line is refused, or letters are lost (more than one in five)
       v
    open       no further line until its time has come; then one, the probe     5 s, doubled up to 10 min
       |  ^
       v  |  the probe fails
    half-open  one line is being tried
       |  the probe's first letter is answered
       v
    closed

A relay may be well and yet take no more lines ("421 too many connections"). So an open breaker lets as many lines live,
and be replaced, as were well when it opened: `_limit`, 0 if the relay is away altogether.

What is held against whom
- A line on which no letter has been answered yet and that is refused opens the breaker at once.
- On a line that has carried letters a refusal says nothing: relays end lines after so many letters. The next one tells.
- A letter that is lost, before its dot or after, weighs as much as four that are answered. So a relay that answers
  every dot with nonsense leaves a handful of letters in doubt, and not an audience; and one bad letter closes nothing.

What must stay true
- Never more than one probe a relay; and never stuck: when its time has come and none is under way, one is admitted.
- Each line that `admit` gave is `ended` once, whatever happened on it (finally).
- No clock, no randomness, no network: `now` is in seconds of a steady clock, `jitter` from 0 to 1. For one thread.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from dispatcher.smtp.relays import Relay
from dispatcher.smtp.verdict import CLOSING, Deferred, NotSent, Refused, Sent, Unknown, Verdict

_FIRST_BREAK = 5.0  # seconds
_LONGEST_BREAK = 600.0
_MOST_LOSSES = 5.0  # more than a single bad letter can cause (see MAX_LOSSES in sending/drain.py)
_FORGIVEN = 0.25  # of a loss, by each answer


class Position(StrEnum):
    """Where a breaker stands; the drawing is above."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(slots=True, eq=False)
class Line:
    """A line that may be opened to `relay`. `is_proven`: a letter was answered on it, and it has not failed since."""

    relay: Relay
    rank: int
    is_probe: bool
    is_proven: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How a breaker stands, in facts. `since`, `next_try`: None while it is closed; moments of the steady clock.
    `has_answered`: a letter was answered since the last time this was asked for, or lines are up that proved well.
    """

    relay: str
    position: Position
    lines_up: int
    kept_to: int | None  # lines without a probe
    since: float | None
    next_try: float | None
    failures: int
    why: str
    has_answered: bool


def back_off(times: int, jitter: float) -> float:
    """Give the seconds to leave a relay alone that failed `times` times running: 5 s doubled up to 10 min.

    `jitter` (0 to 1) adds up to a quarter, so that the processes of a house do not come back together.
    """
    doubled: float = _FIRST_BREAK * 2 ** min(max(times - 1, 0), 10)
    return min(doubled, _LONGEST_BREAK) * (1 + 0.25 * jitter)


class Breaker:
    """What is known of one relay, and the lines that are up to it."""

    def __init__(self, relay: Relay, rank: int = 0) -> None:
        self.relay = relay
        self._rank = rank
        self._lines: set[Line] = set()
        self._proven = 0  # of these lines
        self._limit: int | None = None  # lines that may be up without a probe; None: closed
        self._since = self._until = 0.0
        self._has_answered = False
        self._probe: Line | None = None
        self._openings = 0  # without having been closed
        self._losses = 0.0
        self._failures = 0  # since it was closed
        self._why = ""

    @property
    def position(self) -> Position:
        """Say where it stands."""
        if self._limit is None:
            return Position.CLOSED
        return Position.OPEN if self._probe is None else Position.HALF_OPEN

    def may_open(self, now: float) -> bool:
        """Claim that one more line may be opened now."""
        return (at := self.next_try(now)) is not None and at <= now

    def next_try(self, now: float) -> float | None:
        """Give the moment from which one more line may be opened; None: not before a line has ended or was answered."""
        if len(self._lines) >= self.relay.lanes:
            return None
        if self._limit is None or len(self._lines) < self._limit:
            return now
        return None if self._probe is not None else max(now, self._until)

    def admit(self, now: float) -> Line:
        """Give a line to open; only where `may_open`."""
        assert self.may_open(now)
        is_probe = self._limit is not None and len(self._lines) >= self._limit
        line = Line(self.relay, self._rank, is_probe)
        self._lines.add(line)
        if is_probe:
            self._probe = line
        return line

    def answered(self, line: Line) -> None:
        """Note that the relay gave a letter on `line` an answer that can be understood: it is well."""
        self._losses = max(0.0, self._losses - _FORGIVEN) if self._losses else 0.0
        if line.is_proven:
            return
        line.is_proven = self._has_answered = True
        self._proven += 1
        if self._limit is not None:
            self._limit = max(self._limit, self._proven)
            if line is self._probe or self._limit >= self.relay.lanes:
                self._close()

    def refused(self, line: Line, now: float, why: str, jitter: float) -> None:
        """Note that the relay does not want us: the line could not be opened, or a letter met a refusal about us."""
        if line.is_proven:
            self._disprove(line)
            return
        self._fail(line, now, why, jitter, losses=_MOST_LOSSES)

    def lost(self, line: Line, now: float, why: str, jitter: float) -> None:
        """Note that a letter was lost on `line`: it broke, fell silent or spoke nonsense."""
        self._disprove(line)
        self._fail(line, now, why, jitter, losses=1.0)

    def ended(self, line: Line) -> None:
        """Note that `line` is closed; of a probe that found nothing out, another takes the place."""
        self._disprove(line)
        self._lines.discard(line)
        if line is self._probe:
            self._probe = None

    def words(self, now: float, wall: datetime) -> str:
        """Say in plain words how it stands; `wall` is the time of day at `now`, in the reader's time zone."""
        name, up, lanes = self.relay.name, len(self._lines), self.relay.lanes
        after = f"after {self._failures} failure{'' if self._failures == 1 else 's'}: {self._why}"
        if self._limit is None:
            return f"relay {name}: well, {up} of {lanes} lines are up"
        if self._probe is not None:
            return f"relay {name}: being tried with one line {after}"
        if now >= self._until:
            return f"relay {name}: to be tried with one line {after}"
        until = f"{wall + timedelta(seconds=self._until - now):%H:%M:%S}"
        if self._limit:
            return f"relay {name}: kept to {self._limit} of {lanes} lines by the breaker until {until} {after}"
        return f"relay {name}: closed by the breaker until {until} {after}"

    def hurry(self, now: float) -> None:
        """End the pause: somebody wants it to be tried at once. The next failure is answered as it would have been."""
        self._until = min(self._until, now)

    def standing(self) -> Standing:
        """Give how it stands."""
        is_closed, has_answered = self._limit is None, self._has_answered or self._proven > 0
        self._has_answered = False
        return Standing(
            self.relay.name, self.position, len(self._lines), self._limit, None if is_closed else self._since,
            None if is_closed else self._until, self._failures, self._why, has_answered,
        )  # fmt: skip

    def _fail(self, line: Line, now: float, why: str, jitter: float, *, losses: float) -> None:
        self._why = why.removeprefix(f"relay {self.relay.name}, ")
        self._failures += 1
        self._losses += losses
        was_probe = line is self._probe
        if was_probe:
            self._probe = None
        if self._limit is not None:
            self._limit = min(self._limit, self._proven)
        # What fails beside the probe was opened before, or in the place of a line that was well: no new evidence.
        if was_probe or (self._limit is None and self._losses >= _MOST_LOSSES):
            self._since = self._since if self._openings else now
            self._openings += 1
            self._limit = self._proven
            self._until = now + back_off(self._openings, jitter)

    def _close(self) -> None:
        self._limit, self._probe = None, None
        self._openings, self._failures, self._losses, self._why = 0, 0, 0.0, ""

    def _disprove(self, line: Line) -> None:
        self._proven -= int(line.is_proven)
        line.is_proven = False


class Breakers:
    """The relays of a process, the preferred one first."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        self.relays = tuple(relays)
        self._breakers = tuple(Breaker(relay, rank) for rank, relay in enumerate(relays))

    def lanes(self, now: float) -> int:
        """Give how many lines the most preferred relay takes that may be tried now, or else the first."""
        first = self._breakers[0]
        return next((b for b in self._breakers if b.may_open(now)), first).relay.lanes

    def admit(self, now: float) -> Line | None:
        """Give a line to open to the most preferred relay that may be tried now; None: see `next_try`."""
        for breaker in self._breakers:
            if breaker.may_open(now):
                return breaker.admit(now)
        return None

    def prefers_another(self, line: Line, now: float) -> bool:
        """Claim that a relay before that of `line` may be tried now: close the line, and `admit` gives that relay."""
        return any(breaker.may_open(now) for breaker in self._breakers[: line.rank])

    def next_try(self, now: float) -> float | None:
        """Give the next moment at which a line may be opened; None: not before a line ended or was answered."""
        return min((at for breaker in self._breakers if (at := breaker.next_try(now)) is not None), default=None)

    def down(self, line: Line, now: float, why: str, jitter: float) -> None:
        """Note that `line` could not be opened (RelayDown)."""
        self._breakers[line.rank].refused(line, now, why, jitter)

    def answered(self, line: Line) -> None:
        """Note that a letter on `line` was taken: what `hear` says of it, without a clock."""
        self._breakers[line.rank].answered(line)

    def hear(self, line: Line, verdict: Verdict, now: float, jitter: float) -> None:
        """Note what became of a letter on `line`."""
        breaker = self._breakers[line.rank]
        match verdict:
            case Deferred(reply) if reply.code == CLOSING:
                breaker.refused(line, now, str(reply), jitter)
            case Sent() | Refused() | Deferred():
                breaker.answered(line)
            case NotSent(why, about_us=True):
                breaker.refused(line, now, why, jitter)
            case NotSent(why) | Unknown(why):
                breaker.lost(line, now, why, jitter)
            case other:
                assert_never(other)

    def ended(self, line: Line) -> None:
        """Note that `line` is closed, or was never opened."""
        self._breakers[line.rank].ended(line)

    def position(self, line: Line) -> Position:
        """Say where the breaker of a line's relay stands."""
        return self._breakers[line.rank].position

    def words(self, now: float, wall: datetime) -> list[str]:
        """Say in plain words how each relay stands; `wall` is the time of day at `now`, in the reader's time zone."""
        return [breaker.words(now, wall) for breaker in self._breakers]

    def hurry(self, names: Collection[str], now: float) -> None:
        """End the pauses of these relays: somebody wants them to be tried at once."""
        for breaker in self._breakers:
            if breaker.relay.name in names:
                breaker.hurry(now)

    def standings(self) -> list[Standing]:
        """Give how each relay stands, in facts."""
        return [breaker.standing() for breaker in self._breakers]

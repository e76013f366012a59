"""The lines of a drain: to which relay each goes, what is learned of the relays, and who waits for one to come back."""

import asyncio
import contextlib
import random
from datetime import UTC, datetime

import structlog

from dispatcher.db.clock import steady
from dispatcher.errors import RelayDown
from dispatcher.smtp import breaker
from dispatcher.smtp.breaker import Breakers, Position
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.verdict import NotSent, Sent, Unknown, Verdict

log = structlog.get_logger()
_PATIENCE = 2.0  # seconds: whoever would have to wait longer for a relay goes home, and the batch waits instead
_LOOK_AGAIN = 1.0


class Berth:
    """An open line, its place with the breakers, and its relay's name."""

    __slots__ = ("lane", "place", "relay")

    def __init__(self, lane: Lane, place: breaker.Line) -> None:
        self.lane = lane
        self.place = place
        self.relay: str = place.relay.name


class Lines:
    """What the lanes of a drain share about relays. `problem`: the last one there was, in words."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers
        self._changed = asyncio.Event()
        self._careful: set[str] = set()  # relays that broke off in the middle of a letter
        self._taking: set[str] = set()  # relays that have answered a letter
        self.problem: str | None = None

    @property
    def preferred(self) -> str:
        """Name the relay to which a new line would most likely go."""
        return self._breakers.relays[0].name

    def may_open(self) -> bool:
        """Claim that a line may be opened to some relay now."""
        at = self._breakers.next_try(steady())
        return at is not None and at <= steady()

    async def open(self) -> Berth | None:
        """Open a line to the most preferred relay that takes us; None: none does now."""
        while (place := self._breakers.admit(steady())) is not None:
            if (berth := await self._open_at(place)) is not None:
                return berth
        return None

    async def _open_at(self, place: breaker.Line) -> Berth | None:
        """Open a line to this relay; None: it is down, and the breakers know."""
        lane = Lane(place.relay, careful=place.relay.name in self._careful)
        with contextlib.ExitStack() as called_off:
            called_off.callback(self._end, place)
            try:
                await lane.open()
            except RelayDown as error:
                log.warning("relay.down", relay=place.relay.name, error=error.what)
                self.problem = error.what
                was = self._breakers.position(place)
                self._breakers.down(place, steady(), error.what, _jitter())
                self._tell_of(place, was)
                return None
            called_off.pop_all()
        return Berth(lane, place)

    def hear(self, berth: Berth, verdict: Verdict) -> None:
        """Note what became of a letter."""
        was_proven = berth.place.is_proven
        if was_proven and isinstance(verdict, Sent):  # nearly always: nothing changes, and no clock need be asked
            self._breakers.answered(berth.place)
            return
        was = self._breakers.position(berth.place)
        self._breakers.hear(berth.place, verdict, steady(), _jitter())
        self._tell_of(berth.place, was)
        if isinstance(verdict, (NotSent, Unknown)):
            self.problem = f"relay {berth.relay}, {verdict.why}"
        if isinstance(verdict, Unknown):
            self._careful.add(berth.relay)
        if berth.place.is_proven is not was_proven:
            if not was_proven:
                self._taking.add(berth.relay)
            self._stir()

    def has_taken(self, relay: str) -> bool:
        """Claim that a letter has been answered by this relay, over any of these lines."""
        return relay in self._taking

    def is_better_elsewhere(self, berth: Berth) -> bool:
        """Claim that a relay that goes before this line's is to be tried again."""
        return berth.place.rank > 0 and self._breakers.prefers_another(berth.place, steady())

    async def close(self, berth: Berth) -> None:
        """Close a line."""
        try:
            await berth.lane.close()
        finally:
            self._end(berth.place)

    async def wait(self) -> bool:
        """Wait until a line may be had, or for a moment. False: none can be had for a while."""
        now = steady()
        at = self._breakers.next_try(now)
        if at is not None and at - now > _PATIENCE:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN if at is None else max(at - now, 0.0)):
                await self._changed.wait()
        return True

    def seconds_away(self) -> float:
        """Give the seconds until a relay may be tried again."""
        at = self._breakers.next_try(steady())
        return max(at - steady(), 0.0) if at is not None else 0.0

    def _tell_of(self, place: breaker.Line, was: Position) -> None:
        if (now := self._breakers.position(place)) is not was:
            say = log.info if now is Position.CLOSED else log.warning
            say("relay.breaker", says=self._breakers.words(steady(), datetime.now(UTC))[place.rank])

    def _end(self, place: breaker.Line) -> None:
        self._breakers.ended(place)
        self._stir()

    def _stir(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _jitter() -> float:
    return random.random()  # noqa: S311  (spreads tries, guards nothing)

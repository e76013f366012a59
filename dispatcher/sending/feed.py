"""What the lanes draw from: people of the claimed batches in turn, as errands whose letters are composed.

    claims      batches are claimed as they are needed, and closed after their last errand         (claims.py)
    pressroom   what is known of their campaigns; letters are composed                             (pressroom.py)
    feed        who is at hand, in whose turn; who of them has a permit                            (pace.py)

What must stay true: an errand is either handed in (its record told to the gate), put back, or dropped because its batch
is not to be served any more; when the last errand of a claim has come to one of these ends, the claim is closed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

from jinja2 import TemplateError

from dispatcher.db.terms import CampaignKind
from dispatcher.domain.delivery.batches import NOTHING_CLOSED
from dispatcher.domain.delivery.passage import TAKEN_OVER
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.errors import DispatcherError
from dispatcher.sending.claims import Claims
from dispatcher.sending.errands import Errand, Held
from dispatcher.sending.gate import Gate
from dispatcher.sending.pace import Pace
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.sending.pressroom import SPOILT, Pressroom
from dispatcher.smtp.envelope import Parcel

_LONGEST_WAIT = 0.25  # seconds between two looks while all wait for permits
_MOST_HELD = 16  # batches that wait for permits at the same time
_MOST_AHEAD = 32  # letters that are composed before a lane draws them


class Feed:
    """Has batches claimed as the lanes need them, and each letter composed when it is drawn, or before."""

    def __init__(
        self,
        gate: Gate,
        pace: Pace,
        kinds: Sequence[CampaignKind],
        stationery: Stationery,
        look: Callable[[], None],
        low: int = 0,
    ) -> None:
        """`look` is called now and then while all wait. With fewer than `low` recipients at hand more are asked for."""
        self._gate = gate
        self._pace = pace
        self._look = look
        self._low = low
        self._pressroom = Pressroom(gate, stationery)
        self._claims = Claims(gate, self._pressroom, kinds)
        self._queues: dict[Held, deque[tuple[Recipient, int]]] = {}  # in the order in which they take turns
        self._until_permit = 0.0  # seconds, as `draw_ready` last found
        self._waiting: dict[str, asyncio.Lock] = {}  # by relay: of those who wait for its permits one asks for all
        self._claiming: asyncio.Task[bool] | None = None  # one asks for all
        self._is_dry = False  # the last claim found nothing, and nothing was put back since
        self.closed = False  # no new batch is claimed, no new errand drawn
        self.drawn = 0

    async def draw(self, relay: str) -> Errand | None:
        """Give the next errand that may go over `relay` now, its letter composed. None: there is no work, or the feed
        is closed.
        """
        if (errand := self.draw_ready(relay)) is not None:
            return errand
        async with self._waiting.setdefault(relay, asyncio.Lock()):
            while not self.closed:
                errand = self.draw_ready(relay)
                if errand is not None:
                    return errand
                await self._pressroom.pause_those_due()
                await self._claims.close_ended()
                is_more = await self._more()
                if not is_more and not self._queues:
                    return None
                if not is_more:
                    await self._wait()
        return None

    def draw_ready(self, relay: str) -> Errand | None:
        """Give the next errand if one is at hand, without asking the database and without waiting for a permit."""
        self._until_permit = _LONGEST_WAIT
        for held in list(self._queues.keys()):
            while (queue := self._queues.get(held)) is not None and not self.closed:
                if self._gate.has_lost(held.claim):
                    self.halt(held, TAKEN_OVER)
                    break
                wait = self._pace.take(relay, held.claim)
                if wait:
                    self._until_permit = min(self._until_permit, wait)
                    break
                errand = self._next_of(held, queue)
                if errand is not None:
                    return errand
        return None

    def compose_ahead(self) -> bool:
        """Compose the next letter that is not composed yet, for whoever draws it; False: there are enough of them. Not
        where letters may have to wait for permits, and would grow old.
        """
        held = next(iter(self._queues), None)
        if held is None or self.closed or not self._pace.is_free:
            return False
        queue, ahead = self._queues[held], held.ahead
        if len(ahead) >= min(len(queue), _MOST_AHEAD):
            return False
        try:
            ahead.append(self._pressroom.parcel(held.claim, queue[len(ahead)][0]))
        except (DispatcherError, TemplateError):
            return False  # whoever draws it sees to that
        return True

    def is_stale(self, errand: Errand) -> bool:
        """Claim that an errand drawn before is not to be begun now: its claim is over, or its campaign is another."""
        if errand.held.halted is not None:
            return True
        now = self._gate.campaigns[errand.of.id]
        return now is not errand.of and now.epoch != errand.of.epoch

    async def finish(self, errand: Errand) -> None:
        """Note that an errand's end was told to the gate; close its claim after the last."""
        errand.held.left -= 1
        if errand.held.left <= 0:
            await self._claims.close(errand.held)

    async def put_back(self, errand: Errand, *, lost: int) -> None:
        """Note that an errand was not sent and is to be tried again: by another lane, or by a later claim. `lost`: the
        connections that it cost.
        """
        if self.closed or errand.held.halted is not None:
            errand.held.is_whole = False
            await self.finish(errand)
            return
        self._queues.setdefault(errand.held, deque()).append((errand.to, errand.losses + lost))
        self._is_dry = False

    def halt(self, held: Held, reason: str) -> None:
        """Serve no more of this claim: its campaign stands still, or it is another worker's."""
        held.halted = reason
        held.is_whole = False
        if reason == TAKEN_OVER:
            self._is_dry = False  # whoever took it may have given it back
        self._claims.end(held, len(self._queues.pop(held, ())))

    async def refresh(self, campaign_id: int) -> None:
        """Go by the campaign as it is now: its rate, its content, how long its prices are good."""
        await self._pressroom.refresh(campaign_id)
        for held in self._queues:
            held.ahead.clear()  # they may come from the edition before
        await self._pace.look()

    def hold_stale(self) -> None:
        """Have every campaign paused whose prices are too old, before more is claimed."""
        self._pressroom.hold_stale()

    def press_of(self, errand: Errand) -> CampaignPress:
        """Give the press that an errand's letter came from."""
        return self._pressroom.press_of(errand.held.claim)

    async def close_all(self, problem: str | None, wait: timedelta = timedelta()) -> None:
        """Give back every claim that is still held, with what is left of it; because of a problem, for this long.
        Raises DBAPIError; called again, it goes on where it stopped. One with a letter whose fate is open, because its
        lane was called off, is left to its lease: whoever claims it then settles that letter first.
        """
        self.closed = True
        claiming, self._claiming = self._claiming, None
        if claiming is not None:
            await claiming
        await self._pressroom.pause_those_due()
        await self._claims.close_ended()
        for held in list(self._queues):
            if not self._gate.has_out(held.claim):
                await self._claims.give_back(held, problem, wait)
            del self._queues[held]

    def _next_of(self, held: Held, queue: deque[tuple[Recipient, int]]) -> Errand | None:
        to, losses = queue.popleft()
        if not queue:
            del self._queues[held]
        elif not self._pace.is_free:  # the others have their turn first
            self._queues[held] = self._queues.pop(held)
        if self._is_low(queue):
            self._ask_ahead()
        parcel = held.ahead.popleft() if held.ahead else self._compose(held, to)
        if parcel is None:
            return None
        self.drawn += 1
        return Errand(held, self._gate.campaigns[held.claim.campaign_id], to, parcel, losses)

    def _compose(self, held: Held, to: Recipient) -> Parcel | None:
        """Compose; a letter that cannot be composed has failed for this person, and for nobody else."""
        try:
            return self._pressroom.parcel(held.claim, to)
        except (DispatcherError, TemplateError) as error:
            if self._pressroom.note_failure(held.claim, to, error):
                self.halt(held, SPOILT)
            self._claims.end(held, 1)  # behind it: then it may be the last, and its claim is over
            return None

    def _is_low(self, queue: deque[tuple[Recipient, int]]) -> bool:
        """Claim that more people are to be claimed. What is at hand of all batches counts, unless some have to wait for
        permits: then others may have none to wait for.
        """
        if len(queue) >= self._low or len(self._queues) >= _MOST_HELD:
            return False
        at_hand = 0
        if self._pace.is_free:
            for each in self._queues.values():
                at_hand += len(each)
        return at_hand < self._low

    async def _wait(self) -> None:
        """Wait for the next permit, or for work that has none to wait for."""
        self._look()
        self._is_dry = self._is_dry and self._pace.is_free
        await asyncio.sleep(min(self._until_permit, _LONGEST_WAIT))

    async def _more(self) -> bool:
        """Wait for the next batch; False: there is none. All who wait while one is being claimed wait for that one."""
        if not self._is_dry:
            self._ask_ahead()
        if self._claiming is None:
            return False
        return await asyncio.shield(self._claiming)

    def _ask_ahead(self) -> None:
        """Have the next batch claimed before the last one is through, so that no lane waits for it."""
        if self._claiming is None and not self._is_dry and not self.closed:
            self._claiming = asyncio.get_running_loop().create_task(self._claim())
            self._claiming.add_done_callback(_is_heard)

    async def _claim(self) -> bool:
        """Claim a batch. Raises DBAPIError; the failed attempt stays, so that whoever waits next hears of it."""
        closed = NOTHING_CLOSED
        if not self._pace.is_free:
            closed = self._pace.closed([held.claim for held in self._queues], self._gate.now())
        taken = await self._claims.take(closed)
        self._claiming = None
        if taken is None:
            self._is_dry = True
            return False
        held, people = taken
        if people:
            self._queues[held] = deque((to, 0) for to in people)
        return True


def _is_heard(claiming: asyncio.Task[bool]) -> None:
    """A claim that failed need not be waited for: with the database away the drain ends, and says so itself."""
    if not claiming.cancelled():
        claiming.exception()

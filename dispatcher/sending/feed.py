"""What the lanes draw from: errands out of claimed batches, and the bookkeeping of which claims are finished.

What must stay true: an errand is either handed in (its record told to the gate), put back, or dropped because its batch
is not to be served any more; when the last errand of a claim has come to one of these ends, the claim is closed.
"""

import asyncio
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from jinja2 import TemplateError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dispatcher.db.terms import CampaignKind, CampaignState, Outcome
from dispatcher.domain import endings
from dispatcher.domain.delivery import batches, poison, recipients
from dispatcher.domain.delivery.batches import NOTHING_CLOSED, Claim, Closed
from dispatcher.domain.delivery.passage import TAKEN_OVER
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.ledger import Final
from dispatcher.domain.newsletters import campaigns, freshness
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.rates import relay_days
from dispatcher.errors import DispatcherError
from dispatcher.sending import press as presses
from dispatcher.sending import renewal
from dispatcher.sending.errands import Errand, Held
from dispatcher.sending.gate import Gate
from dispatcher.sending.pace import Pace
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.smtp.lane import Parcel

log = structlog.get_logger()
_LONGEST_WAIT = 0.25  # seconds between two looks while all wait for permits
_MOST_HELD = 16  # batches that wait for permits at the same time
_MOST_AHEAD = 32  # letters that are composed before a lane draws them
FEW_FAILURES, MOST_FAILURES = 5, 0.05  # letters that cannot be composed: so many pause nothing; a larger share does
SPOILT = "more than 5 % of the letters could not be composed: see who, and why, with `campaigns missing`"


class Feed:
    """Claims batches as the lanes need them; composes each letter when it is drawn."""

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
        self._until_permit = 0.0
        self._worker = uuid.uuid4().hex
        self._kinds = kinds
        self._stationery = stationery
        self._queues: dict[Held, deque[tuple[Recipient, int]]] = {}  # in the order in which they take turns
        self._waiting: dict[str, asyncio.Lock] = {}  # by relay: of those who wait for its permits one asks for all
        self._presses: dict[tuple[int, int | None], CampaignPress] = {}  # by campaign and subject
        self._claiming: asyncio.Task[bool] | None = None  # one asks for all
        self._ended: list[Held] = []  # claims whose last errand ended while nobody could wait for the database
        self._is_dry = False  # the last claim found nothing, and nothing was put back since
        self._taken: Counter[int] = Counter()  # people claimed, by campaign,
        self._failed: Counter[int] = Counter()  # and of these, whose letter could not be composed
        self._spoilt: set[int] = set()  # campaigns to be paused because that was too many
        self._is_stale = False  # some are to be held because of their prices
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
                await self._pause_those_due()
                await self._close_ended()
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
            ahead.append(self._presses[held.claim.edition].parcel(queue[len(ahead)][0], self._gate.about_now()))
        except (DispatcherError, TemplateError):
            return False  # whoever draws it sees to that
        return True

    async def _wait(self) -> None:
        """Wait for the next permit, or for work that has none to wait for."""
        self._look()
        self._is_dry = self._is_dry and self._pace.is_free
        await asyncio.sleep(min(self._until_permit, _LONGEST_WAIT))

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
            await self._close(errand.held)

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
        self._end(held, len(self._queues.pop(held, ())))

    async def refresh(self, campaign_id: int) -> None:
        """Go by the campaign as it is now: its rate, its content, how long its prices are good."""
        now = await self._gate.transact(partial(self._look_again, campaign_id))
        self._gate.campaigns[campaign_id] = now
        for held in self._queues:
            held.ahead.clear()  # they may come from the edition before
        await self._pace.look()

    def hold_stale(self) -> None:
        """Have every campaign paused whose prices are too old, before more is claimed."""
        self._is_stale = True

    async def close_all(self, problem: str | None, wait: timedelta = timedelta()) -> None:
        """Give back every claim that is still held, with what is left of it; because of a problem, for this long.
        Raises DBAPIError; called again, it goes on where it stopped. One with a letter whose fate is open, because its
        lane was called off, is left to its lease: whoever claims it then settles that letter first.
        """
        self.closed = True
        claiming, self._claiming = self._claiming, None
        if claiming is not None:
            await claiming
        await self._pause_those_due()
        await self._close_ended()
        for held in list(self._queues):
            if not self._gate.has_out(held.claim):
                await self._give_back(held, problem, wait)
            del self._queues[held]

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

    async def _claim(self) -> bool:
        """Claim a batch. Raises DBAPIError; the failed attempt stays, so that whoever waits next hears of it."""

        closed = NOTHING_CLOSED
        if not self._pace.is_free:
            closed = self._pace.closed([held.claim for held in self._queues], self._gate.now())
        got = await self._gate.transact(partial(self._claim_in, closed))
        if got is not None and self._gate.campaigns[got[0].campaign_id].kind is CampaignKind.NEWSLETTER:
            await self._gate.transact(_prove)
        self._claiming = None
        if got is None:
            self._is_dry = True
            return False
        claim, people = got
        self._taken[claim.campaign_id] += len(people)
        held = Held(claim, left=len(people))
        self._gate.hold(claim)
        if not people:
            await self._close(held)
        if people:
            self._queues[held] = deque((to, 0) for to in people)
        return True

    def _claim_in(self, closed: Closed, conn: Connection, now: datetime) -> tuple[Claim, list[Recipient]] | None:
        while (claim := batches.claim(conn, self._worker, self._kinds, now, closed)) is not None:
            of = self._load(conn, claim)
            if of is None:
                continue
            if of.kind is CampaignKind.NEWSLETTER:  # a restore has to know whose letters may have gone
                endings.note(conn, [endings.Claimed(of.id, claim.no, now)])
            people = recipients.to_serve(conn, claim, of, now)
            if of.renews is not None:
                people = renewal.requests_for(conn, self._stationery, of, people, now)
            if poison.weigh(conn, claim, [to.subscriber_id for to in people], now):
                return claim, people
        return None

    def _load(self, conn: Connection, claim: Claim) -> Campaign | None:
        """Give a claimed batch's campaign, its press ready. One that cannot be composed is paused, not to stand in the
        way of the others.
        """
        of = self._gate.campaigns.get(claim.campaign_id)
        if of is not None and claim.edition in self._presses:
            return of
        of = campaigns.get(conn, claim.campaign_id)
        try:
            self._presses[claim.edition] = presses.load(conn, of, self._stationery, of.edition_of(claim.variant))
        except (DispatcherError, LookupError, ValueError) as error:
            log.error("edition.unusable", campaign=of.id, error=type(error).__name__)
            problem = error.what if isinstance(error, DispatcherError) else "the stored letter cannot be read"
            campaigns.move(conn, of.id, CampaignState.PAUSED, problem=problem)
            batches.give_back(conn, claim, None, problem)
            return None
        # Known already, and loaded for one subject more: what its letters go by stays until `refresh`.
        return self._gate.campaigns.setdefault(of.id, of)

    def _look_again(self, campaign_id: int, conn: Connection, _now: datetime) -> Campaign:
        of = campaigns.get(conn, campaign_id)
        if of.edition_no != self._gate.campaigns[campaign_id].edition_no:
            for of_id, variant in [known for known in self._presses if known[0] == campaign_id]:
                renewed = presses.load(conn, of, self._stationery, of.edition_of(variant))
                self._presses[of_id, variant] = renewed
        return of

    def _compose(self, held: Held, to: Recipient) -> Parcel | None:
        """Compose; a letter that cannot be composed has failed for this person, and for nobody else."""
        try:
            return self._presses[held.claim.edition].parcel(to, self._gate.about_now())
        except (DispatcherError, TemplateError) as error:
            log.error("compose.failed", campaign=held.claim.campaign_id, subscriber=to.subscriber_id)
            self._gate.tell(
                Final(
                    held.claim.campaign_id, to.subscriber_id, Outcome.FAILED, None, None,
                    f"could not be composed: {error}", None,
                ),
                held.claim,
            )  # fmt: skip
            self._count_failure(held)  # before its end is noted: then it may be the last, and its claim is over
            self._end(held, 1)
            return None

    def _count_failure(self, held: Held) -> None:
        """One letter that cannot be composed is that person's bad luck; many are the campaign's fault: it is paused."""
        campaign_id = held.claim.campaign_id
        self._failed[campaign_id] += 1
        if self._failed[campaign_id] > max(FEW_FAILURES, MOST_FAILURES * self._taken[campaign_id]):
            self._spoilt.add(campaign_id)
            self.halt(held, SPOILT)

    async def _pause_those_due(self) -> None:
        while self._spoilt:
            of = next(iter(self._spoilt))
            await self._gate.transact(
                lambda conn, _now, of=of: campaigns.move(conn, of, CampaignState.PAUSED, problem=SPOILT)  # type: ignore[misc]
            )
            self._spoilt.discard(of)
        if self._is_stale:
            await self._gate.transact(freshness.hold_stale)
            self._is_stale = False

    def press_of(self, errand: Errand) -> CampaignPress:
        """Give the press that an errand's letter came from."""
        return self._presses[errand.held.claim.edition]

    def _end(self, held: Held, errands: int) -> None:
        held.left -= errands
        if held.left <= 0:
            self._ended.append(held)

    async def _close_ended(self) -> None:
        while self._ended:
            await self._close(self._ended.pop())

    async def _close(self, held: Held) -> None:
        """Settle a claim, or give it back. Raises DBAPIError; then it stays to be closed."""
        try:
            await self._gate.conclude(held.claim, partial(_leave, held))
        except DBAPIError:
            self._ended.append(held)
            raise
        self._gate.let_go(held.claim)

    async def _give_back(self, held: Held, problem: str | None, wait: timedelta) -> None:
        held.is_whole = False
        await self._gate.conclude(held.claim, partial(_leave, held, problem=problem, wait=wait))
        self._gate.let_go(held.claim)


def _leave(
    held: Held, conn: Connection, now: datetime, *, problem: str | None = None, wait: timedelta = timedelta()
) -> None:
    relay_days.count(conn, held.counted(), now)
    if held.is_whole:
        batches.settle(conn, held.claim)
    else:
        batches.give_back(conn, held.claim, now + wait if problem else None, problem)


def _prove(conn: Connection, now: datetime) -> None:
    """Write behind the line of a claim another one, which proves that the claim was committed. Without it nobody could
    tell it from one that a kill cut off, and a database that is put back to the moment before would mail the batch
    again.
    """
    endings.note(conn, [endings.Witness(now)])

"""What the lanes draw from: errands out of claimed batches, and the bookkeeping of which claims are finished.

What must stay true: an errand is either handed in (its record told to the gate), put back, or dropped because its batch
is not to be served any more; when the last errand of a claim has come to one of these ends, the claim is closed.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from jinja2 import TemplateError
from sqlalchemy import Connection

from dispatcher.db.terms import CampaignKind, CampaignState, Outcome
from dispatcher.domain import batches, campaigns, poison, recipients
from dispatcher.domain.batches import Claim
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.ledger import Final
from dispatcher.domain.recipients import Recipient
from dispatcher.errors import DispatcherError
from dispatcher.sending import press as presses
from dispatcher.sending.gate import Gate
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.smtp.lane import Parcel

log = structlog.get_logger()
FEW_FAILURES, MOST_FAILURES = 5, 0.05  # letters that cannot be composed: so many pause nothing; a larger share does
SPOILT = "more than 5 % of the letters could not be composed: see who, and why, with `campaigns missing`"


@dataclass(slots=True)
class Held:
    """A claim under way: how many of its errands have not come to an end, and why it shall not go on."""

    claim: Claim
    left: int
    halted: str | None = None
    is_whole: bool = True  # False: something of it was put back, so the batch is not done


@dataclass(slots=True)
class Errand:
    """One letter to one person, on its way through a lane."""

    held: Held
    of: Campaign
    to: Recipient
    parcel: Parcel = field(repr=False)
    losses: int = 0  # connections lost under it before its dot


class Feed:
    """Claims batches as the lanes need them; composes each letter when it is drawn."""

    def __init__(
        self, gate: Gate, worker: str, kinds: Sequence[CampaignKind], stationery: Stationery, low: int = 0
    ) -> None:
        """`low`: with fewer recipients than these at hand, the next batch is asked for."""
        self._gate = gate
        self._low = low
        self._worker = worker
        self._kinds = kinds
        self._stationery = stationery
        self._queue: deque[tuple[Held, Recipient, int]] = deque()
        self._presses: dict[int, CampaignPress] = {}
        self._claiming: asyncio.Task[bool] | None = None  # one asks for all
        self._ended: list[Held] = []  # claims whose last errand ended while nobody could wait for the database
        self._is_dry = False  # the last claim found nothing, and nothing was put back since
        self._taken: Counter[int] = Counter()  # people claimed, by campaign,
        self._failed: Counter[int] = Counter()  # and of these, whose letter could not be composed
        self._spoilt: list[int] = []  # campaigns to be paused because that was too many
        self.closed = False  # no new batch is claimed, no new errand drawn
        self.drawn = 0

    async def draw(self) -> Errand | None:
        """Give the next errand, its letter composed; None: there is no work, or the feed is closed."""
        while not self.closed:
            errand = self.draw_ready()
            if errand is not None:
                return errand
            await self._pause_spoilt()
            await self._close_ended()
            if not self._queue and not await self._more():
                return None
        return None

    def draw_ready(self) -> Errand | None:
        """Give the next errand if one is at hand without asking the database."""
        while self._queue and not self.closed:
            held, to, losses = self._queue.popleft()
            if self._gate.has_lost(held.claim):
                self._queue.appendleft((held, to, losses))
                self.halt(held, "the batch was claimed by another worker")
                continue
            if len(self._queue) < self._low:
                self._ask_ahead()
            parcel = self._compose(held, to)
            if parcel is not None:
                self.drawn += 1
                return Errand(held, self._gate.campaigns[held.claim.campaign_id], to, parcel, losses)
        return None

    async def finish(self, errand: Errand) -> None:
        """Note that an errand's end was told to the gate; close its claim after the last."""
        errand.held.left -= 1
        if errand.held.left <= 0:
            await self._close(errand.held)

    async def put_back(self, errand: Errand, *, lost: bool) -> None:
        """Note that an errand was not sent and is to be tried again: by another lane, or by a later claim."""
        if self.closed or errand.held.halted is not None:
            errand.held.is_whole = False
            await self.finish(errand)
            return
        self._queue.append((errand.held, errand.to, errand.losses + int(lost)))
        self._is_dry = False

    def halt(self, held: Held, reason: str) -> None:
        """Serve no more of this claim: its campaign stands still, or it is another worker's."""
        held.halted = reason
        held.is_whole = False
        kept = deque(entry for entry in self._queue if entry[0] is not held)
        self._end(held, len(self._queue) - len(kept))
        self._queue = kept

    async def close_all(self, problem: str | None, wait: timedelta = timedelta()) -> None:
        """Give back every claim that is still held, with what is left of it; because of a problem, for this long."""
        self.closed = True
        if self._claiming is not None:
            await self._claiming
        await self._pause_spoilt()
        await self._close_ended()
        queued = {id(held): held for held, _, _ in self._queue}
        self._queue.clear()
        for held in queued.values():
            await self._give_back(held, problem, wait)

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

        def work(conn: Connection, now: datetime) -> tuple[Claim, list[Recipient]] | None:
            while (claim := batches.claim(conn, self._worker, self._kinds, now)) is not None:
                of = self._load(conn, claim)
                if of is None:
                    continue
                people = recipients.to_serve(conn, claim, of, now)
                if poison.weigh(conn, claim, [to.subscriber_id for to in people], now):
                    return claim, people
            return None

        got = await self._gate.transact(work)
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
        self._queue.extend((held, to, 0) for to in people)
        return True

    def _load(self, conn: Connection, claim: Claim) -> Campaign | None:
        """Give a claimed batch's campaign, its press ready. One that cannot be composed is paused, not to stand in the
        way of the others.
        """
        of = self._gate.campaigns.get(claim.campaign_id)
        if of is not None:
            return of
        of = campaigns.get(conn, claim.campaign_id)
        try:
            self._presses[of.id] = presses.load(conn, of, self._stationery)
        except (DispatcherError, LookupError, ValueError) as error:
            log.error("edition.unusable", campaign=of.id, error=type(error).__name__)
            problem = error.what if isinstance(error, DispatcherError) else "the stored letter cannot be read"
            campaigns.move(conn, of.id, CampaignState.PAUSED, problem=problem)
            batches.give_back(conn, claim, None, problem)
            return None
        self._gate.campaigns[of.id] = of
        return of

    def _compose(self, held: Held, to: Recipient) -> Parcel | None:
        """Compose; a letter that cannot be composed has failed for this person, and for nobody else."""
        try:
            return self._presses[held.claim.campaign_id].parcel(to, self._gate.about_now())
        except (DispatcherError, TemplateError) as error:
            log.error("compose.failed", campaign=held.claim.campaign_id, subscriber=to.subscriber_id)
            self._gate.tell(
                Final(
                    held.claim.campaign_id, to.subscriber_id, Outcome.FAILED, None, None,
                    f"could not be composed: {error}", None,
                ),
                held.claim,
            )  # fmt: skip
            self._end(held, 1)
            self._count_failure(held)
            return None

    def _count_failure(self, held: Held) -> None:
        """One letter that cannot be composed is that person's bad luck; many are the campaign's fault: it is paused."""
        campaign_id = held.claim.campaign_id
        self._failed[campaign_id] += 1
        if self._failed[campaign_id] > max(FEW_FAILURES, MOST_FAILURES * self._taken[campaign_id]):
            self._spoilt.append(campaign_id)
            self.halt(held, SPOILT)

    async def _pause_spoilt(self) -> None:
        while self._spoilt:
            of = self._spoilt.pop()
            await self._gate.transact(
                lambda conn, _now, of=of: campaigns.move(conn, of, CampaignState.PAUSED, problem=SPOILT)  # type: ignore[misc]
            )

    def press_of(self, errand: Errand) -> CampaignPress:
        """Give the press that an errand's letter came from."""
        return self._presses[errand.of.id]

    def _end(self, held: Held, errands: int) -> None:
        held.left -= errands
        if held.left <= 0:
            self._ended.append(held)

    async def _close_ended(self) -> None:
        while self._ended:
            await self._close(self._ended.pop())

    async def _close(self, held: Held) -> None:
        if not held.is_whole:
            await self._give_back(held, None, timedelta())
            return
        await self._gate.conclude(lambda conn, _now: batches.settle(conn, held.claim))
        self._gate.let_go(held.claim)

    async def _give_back(self, held: Held, problem: str | None, wait: timedelta) -> None:
        await self._gate.conclude(
            lambda conn, now: batches.give_back(conn, held.claim, now + wait if problem else None, problem)
        )
        self._gate.let_go(held.claim)

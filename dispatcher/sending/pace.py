"""What holds a drain to the rates: the limits as last looked at, the permits at hand, and what providers' answers ask.

What must stay true: a letter that has a rate is composed only with a permit in hand; what is paused is not begun. A
limit that is changed holds from the next look on, a campaign's own rate from the next turn of the gate.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dispatcher.db.clock import steady
from dispatcher.domain.delivery import workers
from dispatcher.domain.delivery.batches import Claim, Closed
from dispatcher.domain.rates import slowdowns
from dispatcher.domain.rates.slowdowns import Advice, Place
from dispatcher.sending import limits
from dispatcher.sending.advice import advice
from dispatcher.sending.buckets import Buckets
from dispatcher.sending.gate import Gate
from dispatcher.sending.limits import Limits
from dispatcher.sending.reporter import Draft, Reporter
from dispatcher.sending.supply import Supply
from dispatcher.smtp.relays import Relay
from dispatcher.smtp.verdict import Deferred, Refused, Verdict

log = structlog.get_logger()
LOOK_EVERY = 2.0  # seconds between two looks at the limits
_PAUSED = 0.25  # seconds until whoever finds a provider paused asks again


class Pace:
    """For one drain. `run` beside its lanes."""

    def __init__(self, gate: Gate, buckets: Buckets, relays: Sequence[Relay], reporter: Reporter | None = None) -> None:
        """`reporter`: says at these looks how the process fares, and hears what is asked of it."""
        self._gate = gate
        self._relays = relays
        self._reporter = reporter
        self._supply = Supply(buckets)
        self._limits = Limits({})
        self._heard: dict[Place, Advice] = {}
        self._wake = asyncio.Event()
        self._ending = False
        self.is_free = True  # nothing is limited

    async def look(self) -> None:
        """Look at the limits, and write down what was heard. Raises DBAPIError."""
        heard, self._heard = self._heard, {}
        draft = self._reporter.due() if self._reporter is not None else None
        try:
            self._limits, wishes = await self._gate.transact(lambda conn, now: self._look(conn, heard, draft, now))
        except DBAPIError:
            self._heard = heard | self._heard  # for the next look
            raise
        if self._reporter is not None:
            self._reporter.heed(wishes)
        self._supply.pacer.set_rates(self._limits.rates)
        self.is_free = not self._limits.rates and not self._limits.paused

    async def run(self) -> None:
        """Keep limits and permits up to date until `end`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supply.run())
            group.create_task(self._keep_looking())

    def end(self) -> None:
        """Let `run` return."""
        self._ending = True
        self._wake.set()
        self._supply.end()

    def look_now(self) -> None:
        """Look at the limits without waiting for the next look."""
        self._wake.set()

    def take(self, relay: str, claim: Claim) -> float:
        """Take a letter's permits. Give 0, or the seconds until to ask again."""
        if self.is_free:
            return 0.0
        if self._limits.paused and not self._limits.is_open(relay, claim.provider, self._gate.now()):
            return _PAUSED
        return self._supply.pacer.take(limits.keys(relay, claim.provider, claim.campaign_id), steady())

    def closed(self, waiting: Iterable[Claim], now: datetime) -> Closed:
        """Give what no batch is to be claimed of: what is paused, and what has enough people waiting for permits."""
        held = list(waiting)
        paused = self._limits.closed(self._relays, now).providers if self._limits.paused else frozenset()
        slow = {claim.campaign_id for claim in held if f"campaign:{claim.campaign_id}" in self._limits.rates}
        others = {claim.provider for claim in held if claim.campaign_id not in slow}
        return Closed(paused | others, frozenset(slow))

    def hear(self, relay: str, provider: str, verdict: Verdict) -> None:
        """Note what a provider's answer asks of the rate there."""
        if isinstance(verdict, (Deferred, Refused)) and (asked := advice(provider, verdict.reply)) is not None:
            self._heard[Place(relay, provider)] = asked
            self.look_now()

    def _look(
        self, conn: Connection, heard: dict[Place, Advice], draft: Draft | None, now: datetime
    ) -> tuple[Limits, dict[str, datetime]]:
        for place, asked in sorted(heard.items(), key=lambda pair: (pair[0].relay, pair[0].provider)):
            if slowdowns.heed(conn, place, asked, self._limits.usual.get(place.provider), now):
                log.warning("provider.slowed", relay=place.relay, provider=place.provider)
        if self._reporter is not None and draft is not None:
            self._reporter.write(conn, draft, now)
        return limits.load(conn, self._relays, now), workers.wishes(conn) if self._reporter is not None else {}

    async def _keep_looking(self) -> None:
        while not self._ending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY)
            self._wake.clear()
            try:
                await self.look()
            except DBAPIError as error:
                log.warning("limits.unread", error=type(error.orig).__name__)

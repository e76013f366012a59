"""The batches of a drain: how it claims one, and how each claim is closed.

    take     -> `Held`: so many errands are left
    an errand is handed in, put back for a later claim, or dropped        one less
    none is left                               -> close      settled, or given back with what was put back
    the drain ends while some are at hand      -> give_back  with what is left

What must stay true: a claim is closed once, after its last errand has come to an end, and what of it is still to be
recorded is written in the same transaction. One that cannot be closed because the database is away stays to be closed.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dispatcher.db.terms import CampaignKind
from dispatcher.domain import endings
from dispatcher.domain.delivery import batches, poison, recipients
from dispatcher.domain.delivery.batches import Claim, Closed
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.rates import relay_days
from dispatcher.sending import renewal
from dispatcher.sending.errands import Held
from dispatcher.sending.gate import Gate
from dispatcher.sending.pressroom import Pressroom


class Claims:
    """For one drain, under a name of its own. Whatever waits for the database raises DBAPIError."""

    def __init__(self, gate: Gate, pressroom: Pressroom, kinds: Sequence[CampaignKind]) -> None:
        self._gate = gate
        self._pressroom = pressroom
        self._kinds = kinds
        self._worker = uuid.uuid4().hex
        self._ended: list[Held] = []  # their last errand ended while nobody could wait for the database

    async def take(self, closed: Closed) -> tuple[Held, list[Recipient]] | None:
        """Claim the next batch of what is not `closed`; give it with whom of it is still to be served, which may be
        nobody: then it is closed already. None: there is none.
        """
        got = await self._gate.transact(partial(self._claim, closed))
        if got is None:
            return None
        claim, people = got
        if self._gate.campaigns[claim.campaign_id].kind is CampaignKind.NEWSLETTER:
            await self._gate.transact(_prove)
        self._pressroom.note_claimed(claim, len(people))
        self._gate.hold(claim)
        held = Held(claim, left=len(people))
        if not people:
            await self.close(held)
        return held, people

    def end(self, held: Held, errands: int) -> None:
        """Note that so many errands of a claim have ended; after the last it is closed by `close_ended`."""
        held.left -= errands
        if held.left <= 0:
            self._ended.append(held)

    async def close_ended(self) -> None:
        """Close those of which every errand has ended."""
        while self._ended:
            await self.close(self._ended.pop())

    async def close(self, held: Held) -> None:
        """Close a claim of which every errand has ended: settled, or given back if some were put back."""
        try:
            await self._gate.conclude(held.claim, partial(_leave, held))
        except DBAPIError:
            self._ended.append(held)
            raise
        self._gate.let_go(held.claim)

    async def give_back(self, held: Held, problem: str | None, wait: timedelta) -> None:
        """Close a claim with what is left of it; because of a problem, not to be claimed for this long."""
        held.is_whole = False
        await self._gate.conclude(held.claim, partial(_leave, held, problem=problem, wait=wait))
        self._gate.let_go(held.claim)

    def _claim(self, closed: Closed, conn: Connection, now: datetime) -> tuple[Claim, list[Recipient]] | None:
        while (claim := batches.claim(conn, self._worker, self._kinds, now, closed)) is not None:
            of = self._pressroom.make_ready(conn, claim)
            if of is None:
                continue
            if of.kind is CampaignKind.NEWSLETTER:  # a restore has to know whose letters may have gone
                endings.note(conn, [endings.Claimed(of.id, claim.no, now)])
            people = recipients.to_serve(conn, claim, of, now)
            if of.renews is not None:
                people = renewal.requests_for(conn, self._pressroom.stationery, of, people, now)
            if poison.weigh(conn, claim, [to.subscriber_id for to in people], now):
                return claim, people
        return None


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

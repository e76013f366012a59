"""The heart: claim, compose, hold at the dot, pass the gate, release, record.

For each letter a lane does this, and nothing else does it anywhere:

    1. draw an errand                          feed    a recipient of a batch that is ours; the letter is composed
    2. offer: MAIL RCPT DATA, body, no dot     lane    whatever goes wrong here, nothing was sent
    3. ask                                     gate    one transaction: still ours? running? consent? suppressed?
    4. release: the dot, with the next         gate,   from here to the reply the fate is open: one letter per lane
       letter's MAIL RCPT DATA behind it       lane
    5. tell                                    gate    the answer goes into the next transaction

A lane that loses its connection puts the errand back (before the dot) or tells `unknown` (after it).
"""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.db.clock import steady
from dispatcher.db.terms import CampaignKind, Outcome, UnknownPolicy
from dispatcher.domain.ledger import Deferral, Final, Proof
from dispatcher.domain.passage import Halted, Intent, Withheld
from dispatcher.errors import RelayDown
from dispatcher.sending import retry
from dispatcher.sending.feed import Errand, Feed
from dispatcher.sending.gate import DATABASE_AWAY, LEASE_OVER, Gate
from dispatcher.sending.press import Stationery
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.relays import Relay
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown, Verdict

log = structlog.get_logger()
MAX_LOSSES = 3  # connections one letter may lose before its dot until it waits like a deferred one


@dataclass(frozen=True, slots=True)
class Orders:
    """What a drain works with. `until` is a moment on `steady()` after which no new letter is begun."""

    kinds: Sequence[CampaignKind]
    relays: Sequence[Relay]
    stationery: Stationery
    until: float
    stop: Callable[[], bool] = field(default=lambda: False)


@dataclass(slots=True)
class Report:
    """What a drain did. `problem`: why no lane could go on, in words."""

    letters: int = 0
    problem: str | None = None


async def drain(engine: Engine, orders: Orders) -> Report:
    """Serve claimable batches over the relays until there is no more work, or time is up, or no relay can be used."""
    lanes = max(relay.lanes for relay in orders.relays)
    shift = _Shift(orders)
    gate = Gate(engine, lanes, shift.look)
    feed = Feed(gate, uuid.uuid4().hex, orders.kinds, orders.stationery, low=2 * lanes)
    report = Report()
    try:
        async with asyncio.TaskGroup() as group:  # should the gate fail, no lane waits at it for ever
            group.create_task(gate.run())
            async with asyncio.TaskGroup() as serving:
                for slot in range(lanes):
                    serving.create_task(_Lane(slot, gate, feed, orders, shift, report).serve())
            gate.end()
    finally:
        await _wind_up(gate, feed, report)
    report.letters = feed.drawn
    return report


async def _wind_up(gate: Gate, feed: Feed, report: Report) -> None:
    """Record what is known, give back what is not served. With the database away the lease does it later."""
    try:
        await gate.flush()
        await feed.close_all(report.problem)
    except DBAPIError as error:
        log.warning("drain.left_to_the_lease", error=type(error.orig).__name__)
        report.problem = DATABASE_AWAY
    finally:
        gate.close()


class _Shift:
    """How long new letters are begun, and what was learned of the relays meanwhile."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.is_over = False
        self.careful: set[str] = set()  # relays that broke off in the middle of a letter
        self.look()

    def look(self) -> None:
        """Look whether it is over: once for all lanes, at each turn of the gate, for to ask may cost a system call."""
        self.is_over = self._orders.stop() or steady() > self._orders.until


class _Lane:
    """One connection, strictly serial, and what it carries."""

    def __init__(self, slot: int, gate: Gate, feed: Feed, orders: Orders, shift: _Shift, report: Report) -> None:
        self._slot, self._gate, self._feed, self._orders, self._report = slot, gate, feed, orders, report
        self._shift = shift
        self._line: Lane | None = None
        self._relay = orders.relays[0]
        self._following: Errand | None = None

    async def serve(self) -> None:
        """Carry errands until there are none, or no relay takes the line."""
        try:
            while (errand := self._following or await self._next()) is not None:
                self._following = None
                if errand.held.halted is not None:
                    await self._feed.put_back(errand, lost=False)
                elif not await self._carry(errand):
                    break
        except DBAPIError as error:
            log.warning("lane.database_away", error=type(error.orig).__name__)
            self._report.problem = DATABASE_AWAY
            self._feed.closed = True
        finally:
            if self._line is not None:
                await self._line.close()
        if self._following is not None:
            await self._feed.put_back(self._following, lost=False)

    async def _next(self) -> Errand | None:
        if self._shift.is_over:
            self._feed.closed = True
        return await self._feed.draw()

    async def _carry(self, errand: Errand) -> bool:
        """Take one errand to its end. False: this lane cannot go on."""
        line = self._line
        if line is None or not line.is_fit:
            line = await self._open_line()
        if line is None:
            await self._feed.put_back(errand, lost=False)
            return False
        verdict = await line.offer(errand.parcel)
        if verdict is not None:
            return await self._settle(errand, verdict, None)
        if not self._shift.is_over:
            self._following = self._feed.draw_ready()
        claim, to = errand.held.claim, errand.to
        intent = Intent(claim, to.subscriber_id, to.attempt, self._relay.name)
        question = self._gate.ask(intent, line, self._following.parcel if self._following else None)
        answer = await question.answer  # between these two words the gate lets the dot go, or not
        if isinstance(answer, Withheld | Halted):
            await line.abandon()
            await self._turned_away(errand, answer)
            return True
        if isinstance(answer, NotSent):
            self._gate.recall(claim, to.subscriber_id)
        elif isinstance(answer, Unknown):
            self._shift.careful.add(self._relay.name)
        return await self._settle(errand, answer, question.consent_event_id)

    async def _turned_away(self, errand: Errand, answer: Withheld | Halted) -> None:
        if isinstance(answer, Withheld):
            await self._feed.finish(errand)
            return
        if answer.reason != LEASE_OVER:
            self._feed.halt(errand.held, answer.reason)
        await self._feed.put_back(errand, lost=False)
        if answer.reason == DATABASE_AWAY:
            self._report.problem = DATABASE_AWAY
            self._feed.closed = True

    async def _settle(self, errand: Errand, verdict: Verdict, consent_event_id: int | None) -> bool:
        """Put the errand back or tell the gate its end. False: the relay refuses us, not them; this lane is over."""
        if isinstance(verdict, NotSent):
            if verdict.about_us:
                self._report.problem = f"{self._relay.name}: {verdict.why}"
            if verdict.about_us or errand.losses + 1 < MAX_LOSSES:
                await self._feed.put_back(errand, lost=not verdict.about_us)
                return not verdict.about_us
        self._tell(errand, verdict, consent_event_id)
        await self._feed.finish(errand)
        return True

    def _tell(self, errand: Errand, verdict: Verdict, consent_event_id: int | None) -> None:
        """Tell the gate what the verdict means for this person."""
        match verdict:
            case Sent(reply=reply):
                said = str(reply)
                self._final(errand, Outcome.SENT, consent_event_id, reply.code, said)
                if errand.of.request_id is not None:
                    self._prove(errand, errand.of.request_id, said)
            case Refused(reply=reply):
                self._final(errand, Outcome.FAILED, consent_event_id, reply.code, str(reply))
            case Deferred(reply=reply):
                self._defer(errand, Outcome.FAILED, None, reply.code, str(reply))
            case Unknown(why=why) if errand.of.unknown_policy is UnknownPolicy.HOLD:
                self._final(errand, Outcome.UNKNOWN, consent_event_id, None, why)
            case Unknown(why=why):
                self._defer(errand, Outcome.UNKNOWN, consent_event_id, None, why)
            case NotSent(why=why):
                self._defer(errand, Outcome.FAILED, None, None, why)
            case other:
                assert_never(other)

    def _final(self, errand: Errand, outcome: Outcome, event: int | None, code: int | None, reply: str) -> None:
        self._gate.tell(
            Final(
                errand.of.id, errand.to.subscriber_id, outcome, event, code, reply[:500], self._relay.name,
                errand.to.attempt > 1,
            ),
            errand.held.claim,
        )  # fmt: skip

    def _defer(self, errand: Errand, at_the_end: Outcome, event: int | None, code: int | None, reply: str) -> None:
        """Have it tried again later; once its time is over, that is its outcome `at_the_end`."""
        now = self._gate.now()
        began = errand.of.launched_at or errand.of.created_at
        expires = began + timedelta(seconds=errand.of.expires_after_s)
        at = retry.next_attempt(errand.to.attempt, now, expires, random.random())  # noqa: S311  (jitter)
        if at is None:
            self._final(errand, at_the_end, event, code, f"gave up after {errand.to.attempt} attempts: {reply}")
            return
        self._gate.tell(
            Deferral(
                errand.of.id, errand.to.subscriber_id, errand.held.claim.no, errand.to.attempt, at, code,
                reply[:500], self._relay.name,
            ),
            errand.held.claim,
        )  # fmt: skip

    def _prove(self, errand: Errand, request_id: int, reply: str) -> None:
        """A confirmation mail that was taken is part of the proof of the consent it asks for."""
        press = self._feed.press_of(errand)
        self._gate.tell(
            Proof(
                errand.to.subscriber_id, request_id, press.edition_sha256(errand.to),
                hashlib.sha256(errand.parcel.body).digest(), press.message_id(errand.to), reply,
            ),
            errand.held.claim,
        )  # fmt: skip

    async def _open_line(self) -> Lane | None:
        """Give a new line, to the first relay that takes us."""
        if self._line is not None:
            await self._line.close()
        for relay in self._orders.relays:
            if self._slot >= relay.lanes:
                continue
            line = Lane(relay, careful=relay.name in self._shift.careful)
            try:
                await line.open()
            except RelayDown as error:
                log.warning("relay.down", relay=relay.name, error=error.what)
                self._report.problem = error.what
                continue
            self._line, self._relay = line, relay
            return line
        self._line = None
        return None

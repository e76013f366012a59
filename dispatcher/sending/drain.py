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
import contextlib
import hashlib
import random
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.db.clock import steady
from dispatcher.db.terms import CampaignKind, Outcome, UnknownPolicy
from dispatcher.domain.delivery.passage import CHANGED, STALE, Halted, Intent, Withheld
from dispatcher.domain.ending_marks import Tide
from dispatcher.domain.ledger import Deferral, Final, Proof, Released
from dispatcher.sending import retry
from dispatcher.sending.buckets import Buckets
from dispatcher.sending.discretion import unnamed
from dispatcher.sending.errands import Errand
from dispatcher.sending.feed import Feed
from dispatcher.sending.gate import DATABASE_AWAY, DATABASE_REFUSED, LEASE_OVER, Gate, problem_of
from dispatcher.sending.lines import Berth, Lines
from dispatcher.sending.pace import Pace
from dispatcher.sending.press import Stationery
from dispatcher.sending.reporter import Reporter
from dispatcher.smtp.breaker import Breakers
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown, Verdict

log = structlog.get_logger()
MAX_LOSSES = 3  # connections one letter may lose before its dot until it waits like a deferred one
_MAY_BE_ITS_DOING = 2  # losses: an answer about us from a relay that has taken other letters meanwhile
_SENT: typing.Final = Outcome.SENT  # looked up once: told of each letter
_AGAIN = 0.5  # seconds between two tries to write down what is known


@dataclass(frozen=True, slots=True)
class Orders:
    """What a drain works with. `until`: a moment on `steady()` after which no new letter is begun. `breakers` know the
    relays; they, the `buckets`, the `tide` and the `reporter` live longer than a drain. `patience`: seconds for which
    it tries to write down what it knows while the database is away.
    """

    kinds: Sequence[CampaignKind]
    breakers: Breakers
    buckets: Buckets
    stationery: Stationery
    until: float
    stop: Callable[[], bool] = field(default=lambda: False)
    patience: float = 20.0
    tide: Tide = field(default_factory=Tide)
    reporter: Reporter | None = None


@dataclass(slots=True)
class Report:
    """What a drain did. `problem`: why no lane could go on, in words."""

    letters: int = 0
    problem: str | None = None


async def drain(engine: Engine, orders: Orders) -> Report:
    """Serve claimable batches over the relays until there is no more work, or time is up, or no relay can be used."""
    lanes = orders.breakers.lanes(steady())
    shift = _Shift(orders)
    gate = Gate(engine, lanes, shift.look, orders.tide)
    pace = Pace(gate, orders.buckets, orders.breakers.relays, orders.reporter)
    lines = Lines(orders.breakers)
    report = Report()

    def look() -> None:
        shift.look()
        feed.closed = feed.closed or shift.is_over

    # Four letters a lane are what goes out in a tenth of a second: to claim the next batch takes less.
    feed = Feed(gate, pace, orders.kinds, orders.stationery, look, low=4 * lanes)
    gate.at_leisure = feed.compose_ahead
    try:
        await pace.look()
        async with asyncio.TaskGroup() as group:  # should the gate fail, no lane waits at it for ever
            group.create_task(gate.run())
            group.create_task(pace.run())
            async with asyncio.TaskGroup() as serving:
                for _ in range(lanes):
                    serving.create_task(_Lane(gate, feed, lines, pace, shift, report).serve())
            gate.end()
            pace.end()
    except DBAPIError as error:
        report.problem = problem_of(error)
        log.warning("drain.stopped", error=type(error.orig).__name__, problem=report.problem)
    finally:
        await _wind_up(gate, feed, lines, orders, report)
    report.letters = feed.drawn
    return report


async def _wind_up(gate: Gate, feed: Feed, lines: Lines, orders: Orders, report: Report) -> None:
    """Record what is known, give back what is not served. With the database away it is tried again for a while: each
    answer that is not written down leaves its letter in doubt. After that, and at once if the database refuses it, the
    lease gives back the rest.
    """
    until = steady() + orders.patience
    try:
        while (error := await _put_in_order(gate, feed, lines, report)) is not None:
            report.problem = problem_of(error)
            if orders.stop() or steady() > until or report.problem == DATABASE_REFUSED:
                log.warning("drain.left_to_the_lease", error=type(error.orig).__name__, problem=report.problem)
                return
            await asyncio.sleep(_AGAIN)
    finally:
        gate.close()


async def _put_in_order(gate: Gate, feed: Feed, lines: Lines, report: Report) -> DBAPIError | None:
    """Give None once nothing is left to write, or the database's error."""
    try:
        await gate.flush()
        await feed.close_all(report.problem, timedelta(seconds=lines.seconds_away()))
    except DBAPIError as error:
        return error
    return None


class _Shift:
    """How long new letters are begun."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.is_over = False
        self.look()

    def look(self) -> None:
        """Look whether it is over: once for all lanes, at each turn of the gate, for to ask may cost a system call."""
        self.is_over = self._orders.stop() or steady() > self._orders.until


class _Lane:
    """One connection, strictly serial, and what it carries."""

    def __init__(self, gate: Gate, feed: Feed, lines: Lines, pace: Pace, shift: _Shift, report: Report) -> None:
        self._gate, self._feed, self._lines, self._pace = gate, feed, lines, pace
        self._shift, self._report = shift, report
        self._berth: Berth | None = None
        self._following: Errand | None = None

    async def serve(self) -> None:
        """Carry errands until there are none, or no relay takes the line."""
        try:
            while (errand := self._following or await self._next()) is not None:
                self._following = None
                if self._feed.is_stale(errand):
                    await self._leave()  # its envelope may be under way, behind which no other letter can follow
                    await self._feed.put_back(errand, lost=0)
                else:
                    await self._carry(errand)
        except DBAPIError as error:
            self._report.problem = problem_of(error)
            log.warning("lane.stopped", error=type(error.orig).__name__, problem=self._report.problem)
            self._feed.closed = True
        finally:
            await self._leave()
        if self._following is not None:
            with contextlib.suppress(DBAPIError):  # its claim is closed with those that are left
                await self._feed.put_back(self._following, lost=0)

    async def _has_hope(self) -> bool:
        """Wait for a line that may be opened, if there is none; False: not for a while, or it is over."""
        while self._berth is None and not self._lines.may_open():
            if self._shift.is_over:
                return False
            if not await self._lines.wait():
                self._report.problem = self._lines.problem
                return False
        return True

    async def _next(self) -> Errand | None:
        """Wait for an errand; None: there is none, or no line for it."""
        if not await self._has_hope():
            return None
        if self._shift.is_over:
            self._feed.closed = True
        return await self._feed.draw(self._berth.relay if self._berth else self._lines.preferred)

    async def _carry(self, errand: Errand) -> None:
        """Take one errand to its end, or put it back."""
        berth = self._berth
        if berth is None or not berth.lane.is_fit or self._lines.is_better_elsewhere(berth):
            berth = await self._moor()
        if berth is None:
            await self._feed.put_back(errand, lost=0)
            return
        verdict = await berth.lane.offer(errand.parcel)
        if verdict is None:
            await self._stand_at_the_gate(errand, berth)
        else:
            await self._settle(errand, berth, verdict, None)

    async def _stand_at_the_gate(self, errand: Errand, berth: Berth) -> None:
        """Ask whether the dot may go, and see to what became of it. The next letter is drawn first: its envelope leaves
        together with the dot.
        """
        if not self._shift.is_over:
            self._following = self._feed.draw_ready(berth.relay)
        claim, to = errand.held.claim, errand.to
        intent = Intent(claim, to.subscriber_id, to.attempt, berth.relay)
        following = self._following.parcel if self._following else None
        question = self._gate.ask(intent, errand.of.epoch, berth.lane, following)
        answer = await question.answer  # between these two words the gate lets the dot go, or not
        if isinstance(answer, (Withheld, Halted)):
            await berth.lane.abandon()
            await self._turned_away(errand, answer)
            return
        if isinstance(answer, NotSent):
            self._gate.recall(claim, to.subscriber_id)
        await self._settle(errand, berth, answer, question.consent_event_id)

    async def _turned_away(self, errand: Errand, answer: Withheld | Halted) -> None:
        if isinstance(answer, Withheld):
            await self._feed.finish(errand)
            return
        if answer.reason == CHANGED:
            await self._feed.refresh(errand.of.id)
        elif answer.reason != LEASE_OVER:
            self._feed.halt(errand.held, answer.reason)
        if answer.reason == STALE:
            self._feed.hold_stale()
        await self._feed.put_back(errand, lost=0)
        if answer.reason in (DATABASE_AWAY, DATABASE_REFUSED):
            self._report.problem = answer.reason
            self._feed.closed = True

    async def _settle(self, errand: Errand, berth: Berth, verdict: Verdict, consent_event_id: int | None) -> None:
        """Put the errand back, or tell the gate its end."""
        verdict = unnamed(verdict, errand.to.address)
        self._lines.hear(berth, verdict)
        self._pace.hear(berth.relay, errand.held.claim.provider, verdict)
        if isinstance(verdict, NotSent):
            if verdict.about_us:  # the relay refuses us, not them: what another line is told, the breaker decides
                await self._leave()
            lost = self._loss(errand, berth, verdict)
            if errand.losses + lost < MAX_LOSSES:
                await self._feed.put_back(errand, lost=lost)
                return
        self._tell(errand, berth.relay, verdict, consent_event_id)
        await self._feed.finish(errand)

    def _loss(self, errand: Errand, berth: Berth, verdict: NotSent) -> int:
        """Give what an answer costs a letter. One about us costs nothing, unless the letter seems to be its cause: then
        it must not be tried for ever, each time closing the relay for all others.
        """
        if not verdict.about_us:
            return 1
        if self._gate.about_now() > errand.of.expires_at(errand.held.claim.due_at):
            return MAX_LOSSES
        return _MAY_BE_ITS_DOING if self._lines.has_taken(berth.relay) else 0

    def _tell(self, errand: Errand, relay: str, verdict: Verdict, consent_event_id: int | None) -> None:
        """Tell the gate what the verdict means for this person."""
        match verdict:
            case Sent():  # and no more is looked up in the pattern: it is nearly every letter
                said = verdict.reply.words
                self._final(errand, relay, _SENT, consent_event_id, verdict.reply.code, said)
                if errand.of.request_id is not None or errand.of.renews is not None:
                    self._prove(errand, said)
            case Refused(reply=reply):
                self._final(errand, relay, Outcome.FAILED, consent_event_id, reply.code, str(reply))
            case Deferred(reply=reply):
                self._defer(errand, relay, Outcome.FAILED, None, reply.code, str(reply))
            case Unknown(why=why) if errand.of.unknown_policy is UnknownPolicy.HOLD:
                self._final(errand, relay, Outcome.UNKNOWN, consent_event_id, None, why)
            case Unknown(why=why):
                self._defer(errand, relay, Outcome.UNKNOWN, consent_event_id, None, why)
            case NotSent(why=why):
                self._defer(errand, relay, Outcome.FAILED, None, None, why)
            case other:
                assert_never(other)

    def _final(
        self, errand: Errand, relay: str, outcome: Outcome, event: int | None, code: int | None, reply: str
    ) -> None:
        errand.held.count(relay, outcome)
        if errand.of.renews is not None and outcome in (Outcome.SENT, Outcome.UNKNOWN):
            self._gate.tell(Released(errand.of.id, errand.to.subscriber_id), errand.held.claim)
        self._gate.tell(
            Final(
                errand.of.id, errand.to.subscriber_id, outcome, event, code, reply[:500], relay,
                errand.to.attempt > 1, errand.edition_no,
            ),
            errand.held.claim,
        )  # fmt: skip

    def _defer(
        self, errand: Errand, relay: str, at_the_end: Outcome, event: int | None, code: int | None, reply: str
    ) -> None:
        """Have it tried again later; once its time is over, that is its outcome `at_the_end`."""
        expires = errand.of.expires_at(errand.held.claim.due_at)
        at = retry.next_attempt(errand.to.attempt, self._gate.now(), expires, random.random())  # noqa: S311  (jitter)
        if at is None:
            self._final(errand, relay, at_the_end, event, code, f"gave up after {errand.to.attempt} attempts: {reply}")
            return
        errand.held.count(relay, None)
        self._gate.tell(
            Deferral(
                errand.of.id, errand.to.subscriber_id, errand.held.claim.no, errand.to.attempt, at, code,
                reply[:500], relay, event,
            ),
            errand.held.claim,
        )  # fmt: skip

    def _prove(self, errand: Errand, reply: str) -> None:
        """A mail that asks for consent and was taken is part of the proof of it."""
        request_id = errand.to.asking.request_id if errand.to.asking is not None else errand.of.request_id
        assert request_id is not None
        press = self._feed.press_of(errand)
        self._gate.tell(
            Proof(
                errand.to.subscriber_id, request_id, press.edition_sha256(errand.to),
                hashlib.sha256(errand.parcel.octets()).digest(), press.message_id(errand.to), reply,
            ),
            errand.held.claim,
        )  # fmt: skip

    async def _moor(self) -> Berth | None:
        """Open a new line in the place of the one there was."""
        await self._leave()
        self._berth = await self._lines.open()
        return self._berth

    async def _leave(self) -> None:
        berth, self._berth = self._berth, None
        if berth is not None:
            await self._lines.close(berth)

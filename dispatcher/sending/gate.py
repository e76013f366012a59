"""The gate: one transaction for all lanes of a process that hold a letter back at its dot.

    lanes ask ----\\                          /--> Pass: write the dot
    lanes ask -----> [ one transaction, COMMIT ] --> Withheld: close in DATA, recorded
    answers -------/                          \\--> Halted: close in DATA, nothing happened

While one transaction commits, the next askers gather: the more lanes, the more of them share a commit. The transaction
runs in a thread of its own, the only one of the engine that talks to the database.

What must stay true: no dot leaves before the COMMIT of the transaction that allowed it, nor after the lease that it
renewed may have ended. If the transaction fails, nobody passes and what was to be recorded is kept for the next one.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.db.clock import DatabaseClock, steady
from dispatcher.db.clock import now as database_now
from dispatcher.domain import batches, ledger, passage
from dispatcher.domain.batches import Claim, Flight
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.ledger import Proof, Record
from dispatcher.domain.passage import Decision, Halted, Intent, Pass

log = structlog.get_logger()
T = TypeVar("T")

MARGIN = 10.0  # seconds before the lease ends after which no dot leaves
HEARTBEAT = 15.0  # seconds
DATABASE_AWAY = "the database did not answer at the gate"


@dataclass(frozen=True, slots=True)
class Permit:
    """What the gate said, and until when (on `steady()`) a dot may follow it."""

    decision: Decision
    deadline: float

    @property
    def is_good(self) -> bool:
        """Say whether the dot may leave at this very moment."""
        return isinstance(self.decision, Pass) and steady() < self.deadline


@dataclass(slots=True)
class _Question:
    intent: Intent
    answer: asyncio.Future[Permit]


class Gate:
    """The engine's one way into the database while lanes are open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._line: Connection | None = None  # kept for statements that are a transaction of their own
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gate")
        self._records: list[Record] = []
        self._questions: list[_Question] = []
        self._wake = asyncio.Event()
        self._ending = False
        self._held: dict[tuple[int, int], Claim] = {}
        self._lost: set[tuple[int, int]] = set()
        self._out: dict[tuple[int, int], tuple[int, Flight]] = {}  # by campaign and person: batch, and what is out
        self.campaigns: dict[int, Campaign] = {}
        self.clock: DatabaseClock | None = None

    async def transact(self, work: Callable[[Connection, datetime], T]) -> T:
        """Run `work(conn, now)` in a transaction of its own, in the gate's thread, by the database's clock."""

        def in_thread() -> T:
            with self._engine.begin() as conn:
                moment = database_now(conn)
                self.clock = DatabaseClock(moment)
                return work(conn, moment)

        return await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)

    def now(self) -> datetime:
        """Give the database's time without asking it again."""
        assert self.clock is not None  # set by the first claim
        return self.clock.now()

    def hold(self, claim: Claim) -> None:
        """Take a claimed batch under the heartbeat."""
        self._held[claim.key] = claim

    def let_go(self, claim: Claim) -> None:
        """Take it out again."""
        self._held.pop(claim.key, None)

    def has_lost(self, claim: Claim) -> bool:
        """Say whether the batch was found to be another worker's."""
        return claim.key in self._lost

    def tell(self, answered: Record) -> None:
        """Hand in what became of a letter; the next transaction writes it down."""
        self._records.append(answered)

    def recall(self, intent: Intent) -> None:
        """Take note that a letter which had passed was not released after all."""
        self._out.pop((intent.claim.campaign_id, intent.subscriber_id), None)

    async def ask(self, intent: Intent) -> Permit:
        """Wait for the transaction that decides about this intent."""
        question = _Question(intent, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        self._wake.set()
        return await question.answer

    async def run(self) -> None:
        """Serve until `end`. A turn that has begun is finished, so that nothing it was told is forgotten."""
        beat = steady()
        while not self._ending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 1.0)
            self._wake.clear()
            if self._questions or self._records:
                await self._turn()
            if steady() - beat > HEARTBEAT:  # a batch may wait for slow answers while others pass the gate
                beat = steady()
                await self._heartbeat()

    def end(self) -> None:
        """Let `run` return after its turn."""
        self._ending = True
        self._wake.set()

    async def flush(self) -> None:
        """Write down what is still to be recorded. Raises DBAPIError when the database is away."""
        records, self._records = self._records, []
        if not records:
            return
        try:
            await self.transact(lambda conn, now: ledger.record(conn, records, now))
        except DBAPIError:
            self._records[:0] = records
            raise

    def close(self) -> None:
        """End the gate's thread."""
        self._thread.submit(self._hang_up)
        self._thread.shutdown(wait=True)

    async def _turn(self) -> None:
        questions, self._questions = self._questions, []
        records, self._records = self._records, []
        intents = [q.intent for q in questions]
        began = steady()
        try:
            decisions: Sequence[Decision] = await self._pass(records, intents)
        except DBAPIError as error:
            log.warning("gate.failed", error=type(error.orig).__name__, waiting=len(questions))
            self._records[:0] = records
            decisions = [Halted(DATABASE_AWAY)] * len(questions)
        deadline = began + batches.LEASE.total_seconds() - MARGIN
        for question, decision in zip(questions, decisions, strict=True):
            if isinstance(decision, Pass):
                self._note_out(question.intent, decision)
            if not question.answer.done():
                question.answer.set_result(Permit(decision, deadline))

    async def _pass(self, records: list[Record], intents: list[Intent]) -> list[Decision]:
        out = self._still_out(records)

        def in_thread() -> list[Decision]:
            if passage.is_one_statement(self._engine.dialect.name, records, intents):
                return self._in_one_statement(records, intents, out)
            with self._engine.begin() as conn:
                return passage.pass_gate(conn, self.campaigns, records, intents, out, self.now())

        decisions = await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)
        for answered in records:
            if not isinstance(answered, Proof):
                self._out.pop((answered.campaign_id, answered.subscriber_id), None)
        return decisions

    def _in_one_statement(self, records: list[Record], intents: list[Intent], out: passage.Out) -> list[Decision]:
        """Spare BEGIN and COMMIT their round trips. Runs in the gate's thread."""
        if self._line is None:
            self._line = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            return passage.pass_gate(self._line, self.campaigns, records, intents, out, self.now())
        except DBAPIError:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _still_out(self, records: list[Record]) -> passage.Out:
        """Give, by batch, the letters whose dots may be out and whose answer these records do not hold."""
        answered = {(r.campaign_id, r.subscriber_id) for r in records if not isinstance(r, Proof)}
        out: dict[tuple[int, int], list[Flight]] = {}
        for key, (no, flight) in self._out.items():
            if key not in answered:
                out.setdefault((key[0], no), []).append(flight)
        return out

    def _note_out(self, intent: Intent, passed: Pass) -> None:
        flight = Flight(intent.subscriber_id, intent.attempt, passed.consent_event_id, intent.relay)
        self._out[intent.claim.campaign_id, intent.subscriber_id] = (intent.claim.no, flight)

    async def _heartbeat(self) -> None:
        held = list(self._held.values())
        try:
            kept = await self.transact(lambda conn, now: batches.renew(conn, held, now))
        except DBAPIError as error:
            log.warning("heartbeat.failed", error=type(error.orig).__name__)
            return
        self._lost |= {claim.key for claim in held if claim.key not in kept}

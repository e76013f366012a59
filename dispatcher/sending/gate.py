"""The gate: one transaction for all lanes of a process that hold a letter back at its dot.

    lanes ask ----\\                          /--> Pass: the gate itself releases the dot
    lanes ask -----> [ one transaction, COMMIT ] --> Withheld: close in DATA, recorded
    answers -------/                          \\--> Halted: close in DATA, nothing happened

While one transaction commits, the next askers gather: the more lanes, the more of them share a commit. The transaction
runs in a thread of its own, the only one of the engine that talks to the database.

What must stay true: no dot leaves before the COMMIT of the transaction that allowed it, nor after the lease that it
renewed may have ended. If the transaction fails, nobody passes and what was to be recorded is kept for the next one.
A letter is `out` from its Pass until its answer is told, or until it is known that its dot did not leave.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from dispatcher.db.clock import DatabaseClock, steady
from dispatcher.db.clock import now as database_now
from dispatcher.domain import batches, ending_marks, ledger, passage
from dispatcher.domain.batches import Claim, Flight
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.ending_marks import Tide, WentBack
from dispatcher.domain.ledger import Record
from dispatcher.domain.passage import Decision, Halted, Intent, Known, Pass, Withheld
from dispatcher.smtp.lane import Lane, Parcel
from dispatcher.smtp.verdict import Verdict

log = structlog.get_logger()
T = TypeVar("T")

MARGIN = 10.0  # seconds before the lease ends after which no dot leaves
HEARTBEAT = 15.0  # seconds
GATHER = 0.001  # seconds that askers wait for company while fewer than half of the lanes ask
DATABASE_AWAY = "the database did not answer at the gate"
LEASE_OVER = "the lease may have ended before the dot could leave"


@dataclass(slots=True)
class Question:
    """A letter held back at its dot. `answer` is given the relay's verdict on it, or the gate's refusal."""

    intent: Intent
    line: Lane
    following: Parcel | None  # whose envelope shares the dot's write
    answer: "asyncio.Future[Verdict | Withheld | Halted]"
    consent_event_id: int | None = None  # under which the dot was released


class Gate:
    """The engine's one way into the database while lanes are open."""

    def __init__(
        self, engine: Engine, lanes: int = 1, each_turn: Callable[[], None] = lambda: None, tide: Tide | None = None
    ) -> None:
        """`tide`: how far the process has seen the database come."""
        self._engine = engine
        self._tide = tide or Tide()
        self._lanes = lanes
        self._each_turn = each_turn
        self._line: Connection | None = None  # kept for transactions of several statements,
        self._short_line: Connection | None = None  # and for statements that are a transaction of their own
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gate")
        self._records: list[Record] = []
        self._questions: list[Question] = []
        self._last_turn = 0  # how many asked
        self._wake = asyncio.Event()
        self._ending = False
        self._held: dict[tuple[int, int], Claim] = {}
        self._lost: set[tuple[int, int, int]] = set()  # claims, by batch and token: the same batch may be ours again
        self._out: dict[tuple[int, int], dict[int, Flight]] = {}  # by batch and person
        self.campaigns: dict[int, Campaign] = {}
        self.clock: DatabaseClock | None = None
        self._moment: datetime | None = None

    async def transact(self, work: Callable[[Connection, datetime], T]) -> T:
        """Run `work(conn, now)` in a transaction of its own, in the gate's thread, by the database's clock."""

        def in_thread() -> T:
            with self._transaction() as conn:
                moment = database_now(conn)
                self.clock = DatabaseClock(moment)
                self._require_no_older(conn)
                return work(conn, moment)

        return await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)

    def _require_no_older(self, conn: Connection) -> None:
        """A database that was put back under us counts as away: nothing is claimed, and answers are kept for it."""
        try:
            ending_marks.look(conn, self._tide)
        except WentBack as error:
            raise OperationalError("look at the marks of endings", None, error) from error

    def now(self) -> datetime:
        """Give the database's time without asking it again."""
        assert self.clock is not None  # set by the first claim
        return self.clock.now()

    def about_now(self) -> datetime:
        """Give the database's time as of the last turn, about a second ago at most: good enough for a Date."""
        return self._moment or self.now()

    def hold(self, claim: Claim) -> None:
        """Take a claimed batch under the heartbeat."""
        self._held[claim.key] = claim

    def let_go(self, claim: Claim) -> None:
        """Take it out again, unless the batch is ours anew by a later claim."""
        held = self._held.get(claim.key)
        if held is not None and held.token == claim.token:
            del self._held[claim.key]
            self._out.pop(claim.key, None)

    def has_lost(self, claim: Claim) -> bool:
        """Say whether the batch was found to be another worker's."""
        return bool(self._lost) and (claim.campaign_id, claim.no, claim.token) in self._lost

    def tell(self, answered: Record, claim: Claim) -> None:
        """Hand in what became of a letter; the next transaction writes it down."""
        self._records.append(answered)
        self.recall(claim, answered.subscriber_id)

    def recall(self, claim: Claim, subscriber_id: int) -> None:
        """Take note that the dot of a letter is not out any more."""
        out = self._out.get(claim.key)
        if out is not None:
            out.pop(subscriber_id, None)

    def ask(self, intent: Intent, line: Lane, following: Parcel | None) -> Question:
        """Enter a letter for the next transaction; wait for the question's `answer`."""
        question = Question(intent, line, following, asyncio.get_running_loop().create_future())
        self._questions.append(question)
        self._wake.set()
        return question

    async def run(self) -> None:
        """Serve until `end`. A turn that has begun is finished, so that nothing it was told is forgotten."""
        beat = steady()
        while not self._ending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 1.0)
            if self._is_company_near():
                await asyncio.sleep(GATHER)
            self._wake.clear()
            self._each_turn()
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
        if self._records:
            await self.conclude(lambda _conn, _now: None)

    async def conclude(self, work: Callable[[Connection, datetime], T]) -> T:
        """Write down what is still to be recorded, and do `work` in the same transaction. Raises DBAPIError."""
        records, self._records = self._records, []

        def both(conn: Connection, now: datetime) -> T:
            ledger.record(conn, records, now)
            return work(conn, now)

        try:
            return await self.transact(both)
        except DBAPIError:
            self._records[:0] = records
            raise

    def close(self) -> None:
        """End the gate's thread."""
        self._thread.submit(self._hang_up)
        self._thread.shutdown(wait=True)

    def _is_company_near(self) -> bool:
        """Claim that more lanes will ask at once: few ask yet, and the last turn had many. With a relay that is slow to
        answer few ever ask together, and each would wait for nothing.
        """
        return 0 < len(self._questions) * 2 < self._lanes and self._last_turn * 4 > self._lanes

    async def _turn(self) -> None:
        questions, self._questions = self._questions, []
        self._last_turn = len(questions)
        records, self._records = self._records, []
        began = steady()
        try:
            decisions: Sequence[Decision] = await self._pass(records, [q.intent for q in questions])
        except DBAPIError as error:
            log.warning("gate.failed", error=type(error.orig).__name__, waiting=len(questions))
            self._records[:0] = records
            decisions = [Halted(DATABASE_AWAY)] * len(questions)
        deadline = began + batches.LEASE.total_seconds() - MARGIN
        for question, decision in zip(questions, decisions, strict=True):
            if question.answer.done():  # whoever waited was called off, and the line with it
                continue
            if not isinstance(decision, Pass):
                question.answer.set_result(decision)
            elif steady() < deadline:
                self._release(question, decision)
            else:
                question.answer.set_result(Halted(LEASE_OVER))

    def _release(self, question: Question, passed: Pass) -> None:
        """Let the dot leave, under this consent."""
        question.consent_event_id = passed.consent_event_id
        intent = question.intent
        flight = Flight(intent.subscriber_id, intent.attempt, passed.consent_event_id, intent.relay)
        self._out.setdefault(intent.claim.key, {})[intent.subscriber_id] = flight
        question.line.release(question.following, question.answer)  # type: ignore[arg-type]

    async def _pass(self, records: list[Record], intents: list[Intent]) -> list[Decision]:
        self._moment = self.now()
        out = {key: list(self._out[key].values()) for key in {i.claim.key for i in intents} if key in self._out}
        known = Known(out, self._tide)

        def in_thread() -> list[Decision]:
            if passage.is_one_statement(self._engine.dialect.name, records, intents):
                return self._in_one_statement(records, intents, known)
            with self._transaction() as conn:
                return passage.pass_gate(conn, self.campaigns, records, intents, known, self.now())

        return await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Begin on the connection that is kept. Runs in the gate's thread."""
        if self._line is None:
            self._line = self._engine.connect()
        try:
            with self._line.begin():
                yield self._line
        except DBAPIError:
            self._hang_up()
            raise

    def _in_one_statement(self, records: list[Record], intents: list[Intent], known: Known) -> list[Decision]:
        """Spare BEGIN and COMMIT their round trips. Runs in the gate's thread."""
        if self._short_line is None:
            self._short_line = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            return passage.pass_gate(self._short_line, self.campaigns, records, intents, known, self.now())
        except DBAPIError:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        lines, self._line, self._short_line = (self._line, self._short_line), None, None
        for line in lines:
            if line is not None:
                line.close()

    async def _heartbeat(self) -> None:
        held = list(self._held.values())
        try:
            kept = await self.transact(lambda conn, now: batches.renew(conn, held, now))
        except DBAPIError as error:
            log.warning("heartbeat.failed", error=type(error.orig).__name__)
            return
        self._lost |= {(c.campaign_id, c.no, c.token) for c in held if c.key not in kept}

"""The gate: one transaction for all lanes of a process that hold a letter back at its dot.

    lanes ask ----\\                          /--> Pass: the gate itself releases the dot
    lanes ask -----> [ one transaction, COMMIT ] --> Withheld: close in DATA, recorded
    answers -------/                          \\--> Halted: close in DATA, nothing happened

While one transaction commits, the next askers gather: the more lanes, the more of them share a commit. It runs in a
thread of its own. Claims, settlements and whatever else the engine asks the database run beside it, in a second one
with a connection of its own: a turn that had to wait for them would let all lanes wait.

What must stay true: no dot leaves before the COMMIT of the transaction that allowed it, nor after the lease that it
renewed may have ended, nor that of a letter that was composed for the campaign as it was before. If the transaction
fails, nobody passes and what was to be recorded is kept for the next one.
A letter is `out` from its Pass until its answer is told, or until it is known that its dot did not leave. An answer is
written down by the gate itself, or by what closes its claim after the last of its letters, and by nothing else: the
turn that drops a letter from its batch's `in_flight` must be the one that records it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from time import process_time
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from dispatcher.db.clock import DatabaseClock, steady
from dispatcher.domain import ending_marks, ledger
from dispatcher.domain.delivery import batches, passage
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.delivery.flights import Entry, entry
from dispatcher.domain.delivery.passage import CHANGED, Decision, Halted, Intent, Known, Pass, Withheld
from dispatcher.domain.ending_marks import Tide, WentBack
from dispatcher.domain.ledger import Record
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.sending.clerk import Clerk
from dispatcher.sending.crowding import Crowding
from dispatcher.sending.leisure import Leisure
from dispatcher.smtp.lane import Lane, Parcel
from dispatcher.smtp.verdict import Verdict

log = structlog.get_logger()
T = TypeVar("T")

MARGIN = 10.0  # seconds before the lease ends after which no dot leaves
HEARTBEAT = 15.0  # seconds
STRIKE = 1.0  # seconds between two looks about while nobody asks
_ROUNDS = 3  # of the loop before a turn: in them others come whose answers lie there already
_COMPANY = 0.75  # share of the lanes: while fewer ask, a process without time to waste waits for more,
GATHER, _TIMES = 0.001, 4  # so many seconds, so many times at most
DATABASE_AWAY = "the database did not answer at the gate"
DATABASE_REFUSED = "the database refused what was to be written: a fault of dispatcher, which no waiting mends"
LEASE_OVER = "the lease may have ended before the dot could leave"


def problem_of(error: DBAPIError) -> str:
    """Say what an error of the database means for the letters: it is away, or it answers and refuses a row."""
    # By the name that every driver gives it (PEP 249), whoever wraps it: to ask by class would load both drivers.
    is_refusal = any(kind.__name__ == "IntegrityError" for kind in type(error.orig).__mro__)
    return DATABASE_REFUSED if is_refusal else DATABASE_AWAY


class Question:
    """A letter held back at its dot. `answer` is given the relay's verdict on it, or the gate's refusal."""

    __slots__ = ("answer", "consent_event_id", "epoch", "following", "intent", "line")

    def __init__(
        self,
        intent: Intent,
        epoch: int,
        line: Lane,
        following: Parcel | None,
        answer: "asyncio.Future[Verdict | Withheld | Halted]",
    ) -> None:
        """`epoch`: of the campaign for which it was composed; `following`: the letter whose envelope shares the dot's
        write.
        """
        self.intent = intent
        self.epoch = epoch
        self.line = line
        self.following = following
        self.answer = answer
        self.consent_event_id: int | None = None  # under which the dot was released


class Gate:
    """The engine's way into the database while lanes are open."""

    def __init__(
        self, engine: Engine, lanes: int = 1, each_turn: Callable[[], None] = lambda: None, tide: Tide | None = None
    ) -> None:
        """`tide`: how far the process has seen the database come."""
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._lanes = lanes
        self._each_turn = each_turn
        self._clerk = Clerk(engine, "gate")
        # SQLite has one writer at a time: a second one would only wait for the first, and less patiently.
        self._beside = Clerk(engine, "gate, claims") if engine.dialect.name == "postgresql" else self._clerk
        # Each goes by what it saw itself: of two that look at once, the one that is told later may have looked earlier.
        tide = tide or Tide()
        self._tides = {self._beside: Tide(tide.seen), self._clerk: tide}
        self._told: list[tuple[Record, Claim]] = []  # and not yet written down
        self._turning = asyncio.Lock()
        self._questions: list[Question] = []
        self._crowding = Crowding()
        self._leisure = Leisure()
        self.at_leisure: Callable[[], bool] = lambda: False  # called while there is time, until it gives False
        self._asked_since: float | None = None  # since when somebody waits; None: nobody
        self._wake = asyncio.Event()
        self._ending = False
        self._held: dict[tuple[int, int], Claim] = {}
        self._lost: set[tuple[int, int, int]] = set()  # claims, by batch and token: the same batch may be ours again
        self._out: dict[tuple[int, int], dict[int, Entry]] = {}  # by batch and person
        self.campaigns: dict[int, Campaign] = {}
        self.clock: DatabaseClock | None = None
        self._moment: datetime | None = None

    async def transact(self, work: Callable[[Connection, datetime], T]) -> T:
        """Run `work(conn, now)` in a transaction of its own, beside the gate's turns, by the database's clock."""
        return await self._beside.do(partial(self._in_transaction, self._beside, work))

    def now(self) -> datetime:
        """Give the database's time without asking it again."""
        assert self.clock is not None  # set by the first claim
        return self.clock.now()

    def about_now(self) -> datetime:
        """Give the database's time as of the last turn or strike, a second ago at most: good enough for a Date."""
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
        self._told.append((answered, claim))
        self.recall(claim, answered.subscriber_id)

    def recall(self, claim: Claim, subscriber_id: int) -> None:
        """Take note that the dot of a letter is not out any more."""
        out = self._out.get(claim.key)
        if out is not None:
            out.pop(subscriber_id, None)

    def has_out(self, claim: Claim) -> bool:
        """Claim that the dot of a letter of this claim is out, and nobody has told its answer."""
        return bool(self._out.get(claim.key))

    def ask(self, intent: Intent, epoch: int, line: Lane, following: Parcel | None) -> Question:
        """Enter a letter for the next transaction; wait for the question's `answer`."""
        question = Question(intent, epoch, line, following, self._loop.create_future())
        if self._asked_since is None:
            self._asked_since = steady()
        if not self._questions:  # whoever came before has seen to it
            self._wake.set()
        self._questions.append(question)
        return question

    async def run(self) -> None:
        """Serve until `end`. A turn that has begun is finished, so that nothing it was told is forgotten."""
        beat = steady()
        clock = self._loop.create_task(self._strike())
        try:
            while not self._ending:
                await self._gather()
                self._each_turn()
                if self._questions or self._told:
                    await self._turn()
                if steady() - beat > HEARTBEAT:  # a batch may wait for slow answers while others pass the gate
                    beat = steady()
                    await self._heartbeat()
        finally:
            clock.cancel()

    def end(self) -> None:
        """Let `run` return after its turn."""
        self._ending = True
        self._wake.set()

    async def flush(self) -> None:
        """Write down what is still to be recorded. Raises DBAPIError when the database is away."""
        await self._clerk.do(lambda: None)  # were `run` called off, its last turn might still be under way
        if self._told:
            await self._write_down(self._clerk, self._take_told(), lambda _conn, _now: None)

    async def conclude(self, claim: Claim, work: Callable[[Connection, datetime], T]) -> T:
        """Write down what of a claim is still to be recorded, now that all its letters have come to an end, and do
        `work` in the same transaction, beside the gate's turns. Raises DBAPIError.
        """
        async with self._turning:  # the turn under way may be writing down some of it, which `work` has to find
            told = self._take_told(claim)
        return await self._write_down(self._beside, told, work)

    def close(self) -> None:
        """End the threads."""
        for clerk in {self._beside, self._clerk}:
            clerk.close()

    async def _strike(self) -> None:
        """Wake the gate once a second: also while nobody asks it looks about, and writes down what it was told."""
        while True:
            await asyncio.sleep(STRIKE)
            self._moment = self.now()
            self._wake.set()

    async def _gather(self) -> None:
        """Wait until somebody asks, and for company: larger turns cost PostgreSQL less."""
        while self._leisure.is_there and not self._wake.is_set() and self.at_leisure():
            await asyncio.sleep(0)  # whoever comes meanwhile comes first
        await self._wake.wait()
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        for _ in range(_TIMES):
            if self._is_company_wanted():
                await asyncio.sleep(GATHER)
        self._wake.clear()

    def _take_told(self, claim: Claim | None = None) -> list[tuple[Record, Claim]]:
        """Take what was told, of one claim or all."""
        told, self._told = self._told, []
        if claim is not None:
            self._told = [pair for pair in told if pair[1] is not claim]
            told = [pair for pair in told if pair[1] is claim]
        return told

    async def _write_down(
        self, clerk: Clerk, told: list[tuple[Record, Claim]], work: Callable[[Connection, datetime], T]
    ) -> T:
        records = [record for record, _ in told]
        try:
            return await clerk.do(partial(self._in_transaction, clerk, partial(_record_and, records, work)))
        except DBAPIError:
            self._told[:0] = told
            raise

    def _in_transaction(self, clerk: Clerk, work: Callable[[Connection, datetime], T]) -> T:
        with clerk.transaction() as conn:
            moment = self._look(conn, clerk)
            self.clock = DatabaseClock(moment)
            return work(conn, moment)

    def _look(self, conn: Connection, clerk: Clerk) -> datetime:
        """Give the database's time. One that was put back under us counts as away: nothing is claimed, and answers are
        kept for it.
        """
        try:
            return ending_marks.look(conn, self._tides[clerk])
        except WentBack as error:
            raise OperationalError("look at the marks of endings", None, error) from error

    def _is_company_wanted(self) -> bool:
        """Claim that a larger turn is worth a wait: the process is busy, and what counts is what each letter costs. One
        that waits for its relay most of the time would only wait longer.
        """
        return not self._leisure.is_there and 0 < len(self._questions) < self._lanes * _COMPANY

    async def _turn(self) -> None:
        """Take who asks, and all that was told, through one transaction, then let the dots go that it allowed."""
        questions = self._take_asked()
        deadline = steady() + batches.LEASE.total_seconds() - MARGIN
        async with self._turning:
            told = self._take_told()
            try:
                decisions = await self._pass([record for record, _ in told], [q.intent for q in questions])
            except DBAPIError as error:
                problem = problem_of(error)
                log.warning("gate.failed", error=type(error.orig).__name__, problem=problem, waiting=len(questions))
                self._told[:0] = told
                decisions = [Halted(problem)] * len(questions)
            except asyncio.CancelledError:  # what the clerk does may fail yet, and to write it down twice is harmless
                self._told[:0] = told
                raise
        self._note_turn(len(questions))
        self._leisure.note(process_time(), steady())
        for question, decision in zip(questions, decisions, strict=True):
            if question.answer.done():  # whoever waited was called off, and the line with it
                continue
            if not isinstance(decision, Pass):
                question.answer.set_result(decision)
            elif question.epoch != self.campaigns[question.intent.claim.campaign_id].epoch:
                # Looked at again while the letter waited: the database has allowed what it is now, the letter is older.
                question.answer.set_result(Halted(CHANGED))
            elif steady() < deadline:
                self._release(question, decision)
            else:
                question.answer.set_result(Halted(LEASE_OVER))

    def _take_asked(self) -> list[Question]:
        """Take those who asked first, as many as may share a turn, and all where the process is busy; the others
        have the next one, at once.
        """
        most = self._crowding.most if self._leisure.is_there else None
        if most is None or len(self._questions) <= most:
            taken, self._questions = self._questions, []
        else:
            taken, self._questions = self._questions[:most], self._questions[most:]
            self._wake.set()
        return taken

    def _note_turn(self, lanes: int) -> None:
        now = steady()
        if self._asked_since is not None:
            self._crowding.note(lanes, self._asked_since, now)
        self._asked_since = now if self._questions else None

    async def _pass(self, records: list[Record], intents: list[Intent]) -> list[Decision]:
        """Have the transaction done by the gate's clerk; when this returns, it has committed."""
        self._moment = self.now()
        out = {batch: list(theirs.values()) for batch, theirs in self._out.items()}
        return await self._clerk.do(partial(self._take_through, records, intents, out))

    def _take_through(
        self, records: list[Record], intents: list[Intent], out: dict[tuple[int, int], list[Entry]]
    ) -> list[Decision]:
        """Do the transaction. A method, as what follows is, and no function within `_pass`: in compiled code such a one
        and what it goes by hold each other, and a turn would stay in memory until the collector finds it.
        """
        tide = self._tides[self._clerk]
        try:
            return self._take_once(records, intents, Known(out, tide, is_new=True))
        except IntegrityError:  # told before: of a turn that failed after all, or late, of a letter in doubt
            return self._take_once(records, intents, Known(out, tide))

    def _take_once(self, records: list[Record], intents: list[Intent], known: Known) -> list[Decision]:
        is_short = passage.is_one_statement(self._engine.dialect.name, records, intents)
        with self._clerk.statement() if is_short else self._clerk.transaction() as conn:
            return passage.pass_gate(conn, self.campaigns, records, intents, known, self.now())

    def _release(self, question: Question, passed: Pass) -> None:
        """Let the dot leave, under this consent."""
        question.consent_event_id = passed.consent_event_id
        intent = question.intent
        who, batch = intent.subscriber_id, intent.claim.key
        out = self._out.get(batch)
        if out is None:
            out = self._out[batch] = {}
        out[who] = entry(who, intent.attempt, passed.consent_event_id, intent.relay)
        question.line.release(question.following, question.answer)  # type: ignore[arg-type]

    async def _heartbeat(self) -> None:
        held = list(self._held.values())
        try:
            # By the gate's own clerk: beside a turn, each might hold a batch that the other waits for.
            kept = await self._write_down(self._clerk, [], lambda conn, now: batches.renew(conn, held, now))
        except DBAPIError as error:
            log.warning("heartbeat.failed", error=type(error.orig).__name__)
            return
        self._lost |= {(c.campaign_id, c.no, c.token) for c in held if c.key not in kept}


def _record_and(records: list[Record], work: Callable[[Connection, datetime], T], conn: Connection, now: datetime) -> T:
    ledger.record(conn, records, now)
    return work(conn, now)

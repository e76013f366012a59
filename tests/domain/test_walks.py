"""Two workers on one campaign, killed, stalled, paused and contradicted at will, while its prices grow old, its content
is replaced, and its subjects may be on trial: hypothesis looks for a way to break what must stay true. Nobody gets it
twice (under `resend`: no dot follows an outcome that was recorded before the claim), nobody gets it without consent or
with prices that are too old, nobody is lost, the sums add up, each person belongs to one subject, and the ledger says
which edition went. On both databases, under both policies.
"""

import itertools
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, Engine, select, update

from dispatcher.db.engine import reading
from dispatcher.db.tables import batch, campaign, delivery
from dispatcher.db.terms import CampaignState, Outcome, UnknownPolicy
from dispatcher.domain import consent
from dispatcher.domain.audience import dealing_out
from dispatcher.domain.consent import Evidence
from dispatcher.domain.delivery import batches
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.delivery.flights import Flight
from dispatcher.domain.delivery.passage import CHANGED, Halted, Pass, Withheld
from dispatcher.domain.ledger import Record
from dispatcher.domain.newsletters import accounts, campaigns, freshness, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import InputRefused, MoveRefused
from tests.databases import emptied
from tests.domain.dispatch import RELAY, TOPIC, Dispatch, deferred, final, in_flight
from tests.stories import stories

PEOPLE, PAGE, LANES = 7, 3, 2
TERMS = Terms(wait=timedelta(minutes=2))
WORKERS = st.sampled_from(["a", "b"])
ANSWERS = st.sampled_from(["sent", "later", "deferred", "failed", "lost, taken", "lost, not taken"])
_number = itertools.count()


@dataclass
class Flying:
    """A letter whose dot has left."""

    claim: Claim
    who: int
    attempt: int
    event: int
    of: Campaign  # as it was when it left


@dataclass
class Worker:
    """What one worker process has in memory. Its name is its own: none that comes after it bears it."""

    of: Campaign  # as it knows it
    name: str = field(default_factory=lambda: f"w{next(_number)}")
    held: dict[tuple[int, int], Claim] = field(default_factory=dict)
    todo: list[tuple[Claim, int, int]] = field(default_factory=list)
    flying: dict[int, Flying] = field(default_factory=dict)  # by lane

    def drop(self, claim: Claim) -> None:
        self.held.pop(claim.key, None)
        self.todo = [entry for entry in self.todo if entry[0] != claim]


class Walk(RuleBasedStateMachine):
    """Each rule is a step that a worker, a person, or bad luck may take."""

    def __init__(self, engine: Engine, policy: UnknownPolicy) -> None:
        super().__init__()
        self.policy = policy
        self.dispatch = Dispatch(engine, Keyring((Key("k1", b"1" * 32),)))
        self.people = self.dispatch.people(PEOPLE)
        self.consenting = set(self.people)

    @initialize(tried=st.booleans())
    def launch(self, tried: bool) -> None:
        self.variants = 2 if tried else 1
        self.of = self.dispatch.campaign(self.policy, trial=dealing_out.Trial(2, 60) if tried else None, terms=TERMS)
        self.subject: dict[int, int | None] = {}  # by person, as letters left
        self._let_some_wait()
        self.workers = {"a": Worker(self.of), "b": Worker(self.of)}
        self.state = CampaignState.SENDING
        self.taken: Counter[int] = Counter()  # what the relay has accepted
        self.ledger: dict[int, str] = {}
        self.went: dict[int, int] = {}  # by person: the edition whose dot left last

    def teardown(self) -> None:
        self._bring_to_an_end()

    @rule(name=WORKERS, answers=st.lists(ANSWERS, min_size=1, max_size=4), late=st.sampled_from([0, 0, 61]))
    def serve(self, name: str, answers: list[str], late: int) -> None:
        """Claim what there is to claim, and take letters through the gate; some answers come later, some workers too
        late for their lease.
        """
        self.dispatch.now += timedelta(seconds=late)
        if not self.workers[name].todo:
            self._claim(name)
        for answer in answers:
            slot = self._ask(name)
            if slot is not None and answer != "later":
                self._answer(name, slot, answer)

    @precondition(lambda self: self._flying())
    @rule(name=WORKERS, slot=st.integers(0, LANES - 1), answer=ANSWERS)
    def answer(self, name: str, slot: int, answer: str) -> None:
        if slot in self.workers[name].flying and answer != "later":
            self._answer(name, slot, answer)

    @precondition(lambda self: self._flying())
    @rule(answers=st.lists(st.sampled_from(["sent", "deferred", "failed"]), min_size=4, max_size=4))
    def hear_too_late(self, answers: list[str]) -> None:
        """Everyone is stopped in flight past the lease; another takes over; then the answers come after all."""
        self.dispatch.now += batches.LEASE * 2
        new = Worker(self.of)
        for claim in list(iter(lambda: self.dispatch.claim(new.name), None)):
            self.dispatch.give_back(claim)
        for name, worker in self.workers.items():
            for slot in list(worker.flying):
                self._answer(name, slot, answers.pop())

    @precondition(lambda self: self._flying())
    @rule(name=WORKERS, taken=st.booleans())
    def kill(self, name: str, taken: bool) -> None:
        for letter in self.workers[name].flying.values():
            self.taken[letter.who] += taken
        self.workers[name] = Worker(self.of)

    @precondition(lambda self: self._held())
    @rule(name=WORKERS)
    def settle(self, name: str) -> None:
        worker = self.workers[name]
        for claim in list(worker.held.values()):
            busy = [c for c, _, _ in worker.todo] + [letter.claim for letter in worker.flying.values()]
            if claim not in busy:
                self.dispatch.settle(claim)
                worker.drop(claim)

    @precondition(lambda self: self._held())
    @rule(name=WORKERS, problem=st.sampled_from([None, "the relay is away"]))
    def give_back(self, name: str, problem: str | None) -> None:
        worker = self.workers[name]
        for claim in list(worker.held.values()):
            if claim not in [letter.claim for letter in worker.flying.values()]:
                self.dispatch.give_back(claim, problem)
                worker.drop(claim)

    @precondition(lambda self: self._held())
    @rule(name=WORKERS)
    def beat(self, name: str) -> None:
        worker = self.workers[name]
        kept = self.dispatch.renew(*worker.held.values())
        for claim in [claim for claim in worker.held.values() if claim.key not in kept]:
            worker.drop(claim)

    @rule(
        what=st.sampled_from(["time", "leave", "return", "pause", "age", "tick", "replace", "choose"]),
        place=st.integers(0, PEOPLE - 1),
    )
    def meanwhile(self, what: str, place: int) -> None:
        """Time passes, a person changes their mind, an operator pauses or resumes, prices grow old or are renewed."""
        match what:
            case "time":
                self.dispatch.now += timedelta(seconds=[1, 40, 61, 400][place % 4])
            case "leave":
                self.dispatch.withdraw(self.people[place])
                self.consenting.discard(self.people[place])
            case "return":
                self._confirm(self.people[place])
            case "age":
                self._set(prices_until=self.dispatch.now + timedelta(seconds=[0, 5, 50, 500][place % 4]))
            case "tick":
                self._hold_stale()
            case "replace":
                self._replace()
            case "choose":
                self._choose(place % 2 + 1)
            case _:
                self._pause_or_resume()

    @invariant()
    def everybody_is_accounted_for(self) -> None:
        self._nobody_gets_it_twice()
        with reading(self.dispatch.engine).connect() as conn:
            self._the_ledger_only_grows_and_says_which_edition_went(conn)
            self._the_sums_add_up(conn)
            self._whatever_was_taken_is_recorded_or_still_in_flight(conn)

    def _nobody_gets_it_twice(self) -> None:
        assert self.policy is UnknownPolicy.RESEND or max(self.taken.values(), default=0) <= 1

    def _the_ledger_only_grows_and_says_which_edition_went(self, conn: Connection) -> None:
        d = delivery.c
        rows = conn.execute(select(d.subscriber_id, d.outcome, d.edition_no)).all()
        now = {row.subscriber_id: row.outcome for row in rows}
        for who, outcome in self.ledger.items():
            assert now[who] == outcome or (outcome, now[who]) == ("unknown", "sent")
        self.ledger = now
        if self.policy is UnknownPolicy.HOLD:  # else one that is sent again may come of another edition
            assert all(r.edition_no == self.went[r.subscriber_id] for r in rows if r.outcome in {"sent", "unknown"})

    def _the_sums_add_up(self, conn: Connection) -> None:
        assert len(self.ledger) == PEOPLE or not accounts.is_complete(conn, self.of.id, PEOPLE)
        status = accounts.status(conn, campaigns.get(conn, self.of.id), self.dispatch.now)
        parts = [status.sent, status.deferred, status.failed, status.unknown, status.withheld, status.remaining]
        assert min(parts) >= 0
        assert sum(parts) == status.audience == PEOPLE

    def _whatever_was_taken_is_recorded_or_still_in_flight(self, conn: Connection) -> None:
        if self.policy is UnknownPolicy.RESEND:
            return  # what is in doubt is to be sent again, and is not remembered
        accounted = {who for who, outcome in self.ledger.items() if outcome in {"sent", "unknown"}}
        assert {who for who, count in self.taken.items() if count} <= accounted | set(in_flight(conn))

    def _let_some_wait(self) -> None:
        """As when clocks elsewhere come to the time later."""
        due = self.dispatch.now + timedelta(minutes=3)
        with self.dispatch.engine.begin() as conn:
            conn.execute(update(batch).where(batch.c.no > 0).values(due_at=due, not_before=due))

    def _confirm(self, who: int) -> None:
        with self.dispatch.engine.begin() as conn:
            consent.confirm(conn, who, [TOPIC], Evidence(source="a test"), self.dispatch.now)
        self.consenting.add(who)

    def _pause_or_resume(self) -> None:
        if self.state is CampaignState.SENDING:
            self.dispatch.move(self.of, CampaignState.PAUSED)
        else:
            with self.dispatch.engine.begin() as conn:
                is_stale = self.of.is_stale(self.dispatch.now)
                freshness.resume(conn, self.of.id, self.dispatch.now, with_old_prices=is_stale)
        self._look()

    def _hold_stale(self) -> None:
        with self.dispatch.engine.begin() as conn:
            freshness.hold_stale(conn, self.dispatch.now)
            trials.settle_due(conn, self.dispatch.now)
        self._look()

    def _choose(self, variant: int) -> None:
        with suppress(MoveRefused, InputRefused), self.dispatch.engine.begin() as conn:
            trials.choose(conn, self.of.id, variant, NOBODY, self.dispatch.now)

    def _replace(self) -> None:
        """What release.replace does, without the letters."""
        if self.state is CampaignState.PAUSED:
            with self.dispatch.engine.begin() as conn:
                all_in = batches.are_all_in(conn, self.of.id, self.dispatch.now)
            if all_in:
                self._set(prices_until=None, edition_no=self.of.edition_no + self.variants)
                self._pause_or_resume()

    def _set(self, **values: object) -> None:
        with self.dispatch.engine.begin() as conn:
            conn.execute(update(campaign).values(epoch=campaign.c.epoch + 1, prices_as_of=self.dispatch.now, **values))
        self._look()

    def _look(self) -> None:
        with self.dispatch.engine.begin() as conn:
            self.of = campaigns.get(conn, self.of.id)
        self.state = self.of.state

    def _flying(self) -> bool:
        return any(worker.flying for worker in self.workers.values())

    def _held(self) -> bool:
        return any(worker.held for worker in self.workers.values())

    def _claim(self, name: str) -> bool:
        worker = self.workers[name]
        claim = self.dispatch.claim(worker.name)
        if claim is None:
            return False
        assert self.state is CampaignState.SENDING
        assert not self.of.is_stale(self.dispatch.now)
        assert claim.due_at is None or claim.due_at <= self.dispatch.now
        assert claim.key not in worker.held or worker.held[claim.key].token < claim.token
        worker.held[claim.key] = claim
        worker.todo += [(claim, to.subscriber_id, to.attempt) for to in self.dispatch.recipients(claim, self.of)]
        return True

    def _ask(self, name: str) -> int | None:
        """Take one letter to the gate; give the lane on which its dot has left."""
        worker = self.workers[name]
        free = [slot for slot in range(LANES) if slot not in worker.flying]
        if not free or not worker.todo:
            return None
        claim, who, attempt = worker.todo.pop(0)
        out = [Flight(f.who, f.attempt, f.event, RELAY) for f in worker.flying.values() if f.claim == claim]
        (decision,) = self.dispatch.ask(claim, worker.of, [who], attempt=attempt, out=out)
        match decision:
            case Pass(event_id):
                assert who in self.consenting
                assert self.state is CampaignState.SENDING
                assert not self.of.is_stale(self.dispatch.now)
                assert worker.of.edition_no == self.of.edition_no
                # Whoever has an outcome gets no more letters; but of one that is sent again, a worker that was thought
                # dead may report the first copy after all, when the second is on its way.
                assert who not in self.ledger or self.policy is UnknownPolicy.RESEND
                worker.flying[free[0]] = Flying(claim, who, attempt, event_id, worker.of)
                self.went[who] = worker.of.edition_of(claim.variant)
                assert self.subject.setdefault(who, claim.variant) == claim.variant
                return free[0]
            case Withheld():
                assert who not in self.consenting
            case Halted(reason) if reason == CHANGED:
                assert worker.of.epoch != self.of.epoch
                worker.of = self.of
                worker.todo.insert(0, (claim, who, attempt))
            case Halted():
                worker.todo = [entry for entry in worker.todo if entry[0] != claim]
                if claim not in [letter.claim for letter in worker.flying.values()]:  # else after the last answer
                    worker.drop(claim)
                    self.dispatch.give_back(claim)
        return None

    def _answer(self, name: str, slot: int, answer: str) -> None:
        letter = self.workers[name].flying.pop(slot)
        self.taken[letter.who] += answer in {"sent", "lost, taken"}
        self.dispatch.record(self._record(letter, answer))

    def _record(self, letter: Flying, answer: str) -> Record:
        match answer:
            case "sent":
                return final(letter.of, letter.who, Outcome.SENT, letter.event, 250, letter.claim.variant)
            case "failed":
                return final(letter.of, letter.who, Outcome.FAILED, letter.event, 550, letter.claim.variant)
            case "deferred":
                until = self.dispatch.now + timedelta(minutes=5)
                return deferred(self.of, letter.who, until, batch_no=letter.claim.no, attempt=letter.attempt)
            case _ if self.policy is UnknownPolicy.RESEND:
                until = self.dispatch.now + timedelta(minutes=5)
                return deferred(self.of, letter.who, until, batch_no=letter.claim.no, attempt=letter.attempt)
            case _:
                return final(letter.of, letter.who, Outcome.UNKNOWN, letter.event, None, letter.claim.variant)

    def _bring_to_an_end(self) -> None:
        """Whatever happened: one worker that lives brings it to an end, and everyone has an outcome."""
        for name in self.workers:
            self.kill(name, taken=True)
        self.end = self.dispatch.now + timedelta(hours=12)
        self._set(prices_until=None)
        if self.state is CampaignState.PAUSED:
            self._pause_or_resume()
        while not self.dispatch.is_complete(self.of):
            self.dispatch.now += timedelta(minutes=6)
            assert self.dispatch.now < self.end
            self._hold_stale()
            while self._claim("a"):
                while self.workers["a"].todo:
                    slot = self._ask("a")
                    if slot is not None:
                        self._answer("a", slot, "sent")
                self.settle("a")
        self.everybody_is_accounted_for()
        assert len(self.ledger) == PEOPLE
        self._the_rest_got_what_was_chosen()
        assert {who for who, outcome in self.ledger.items() if outcome == "sent"} <= {*self.taken.elements()}
        with self.dispatch.engine.begin() as conn:
            assert campaigns.move(conn, self.of.id, CampaignState.SENT)

    def _the_rest_got_what_was_chosen(self) -> None:
        with self.dispatch.engine.begin() as conn:
            stands = trials.find(conn, self.of.id)
            dealt = conn.execute(select(batch.c.variant, batch.c.subscriber_ids)).all()
        sizes = Counter(row.variant for row in dealt for _ in row.subscriber_ids)
        assert stands is None or stands.chosen is None or sizes == {stands.chosen: 5, 3 - stands.chosen: 2}


@pytest.mark.parametrize("policy", UnknownPolicy)
def test_whatever_happens_to_two_workers_nobody_is_lost_and_nobody_gets_it_twice(
    engine: Engine, policy: UnknownPolicy, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing_out, "PAGE", PAGE)
    on_sqlite = engine.dialect.name == "sqlite"
    stateful.run_state_machine_as_test(
        lambda: Walk(emptied(engine, sqlite_template), policy),
        settings=settings(
            max_examples=stories(12 if on_sqlite and policy is UnknownPolicy.HOLD else 5),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
            # A short story is not worth minutes of looking for it.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )

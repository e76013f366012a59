"""Lives of people: hypothesis makes them sign up, confirm, leave, complain, move, pause, be imported, be restricted, be
erased and be forgotten in any order, with new words and newsletters in between, and the database put back to a backup.
What must stay true, whatever the order: nobody may be mailed who did not agree last, everybody who did may be (unless a
restore has lost it), nobody gets a newsletter twice, nothing that was said against being mailed is ever lost, and the
chain verifies.
"""

import itertools
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, select

from dispatcher.db.tables import opt_in_request, subscriber
from dispatcher.db.terms import CampaignState, Language, Outcome, SuppressionReason, Topic
from dispatcher.domain import consent, declarations, endings, suppression, tokens
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.declarations import Draft
from dispatcher.domain.delivery.passage import Pass
from dispatcher.domain.endings import Claimed, Launched
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.people import erasure, pauses, restriction, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import TokenInvalid
from dispatcher.sending import address_change, opt_in
from dispatcher.sending import endings as file_of_endings
from tests.databases import emptied
from tests.domain import ledgers
from tests.domain.dispatch import Dispatch, final
from tests.domain.keeping import Keeping
from tests.domain.world import MAILBOXES, Known, Link, World
from tests.sending.leaving import open_kept
from tests.stories import stories

BOX = st.sampled_from(MAILBOXES)
TOPICS = st.lists(st.sampled_from(list(Topic)), min_size=1, unique=True)
DAY = timedelta(days=1)
HEADER = "email,language,topics,consent_at,consent_ip,consent_source\n"
PROOF = "2026-01-31T14:05:00+01:00,192.0.2.7,form 3"


class Lives(RuleBasedStateMachine):
    """Each rule is something that a person, an operator or the calendar may do."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        super().__init__()
        self.keyring = Keyring((Key("k1", b"1" * 32),))
        self.kept = open_kept(
            engine.execution_options(), self.keyring, folder
        )  # a view: this story's file, not others'
        self.engine = self.kept.engine
        self.dispatch = Dispatch(self.engine, self.keyring, datetime.now(UTC))
        self.keeping = Keeping(self.engine, self.keyring)
        self.world = World()
        self.backup: World | None = None
        self.since: list[Callable[[World], None]] = []  # what was said against being mailed since the backup
        self.campaigns: list[tuple[Campaign, set[str]]] = []
        self._new_words(frozenset())

    def teardown(self) -> None:
        if any(known.agreed for known in self.world.known.values()):
            assert ledgers.verified(self.engine).broken is None

    @property
    def now(self) -> datetime:
        return self.dispatch.now

    @rule(box=BOX, topics=TOPICS)
    def sign_up(self, box: str, topics: list[Topic]) -> None:
        self.dispatch.now += DAY  # two mails a day are the limit
        wanted = opt_in.Request(parse_address(box), "Maria", Language.DE, topics, self._evidence())
        with self.engine.begin() as conn:
            if opt_in.request(conn, self.keyring, wanted, self.now) is None:
                return
            r = opt_in_request.c
            row = conn.execute(select(r.nonce, r.topics, r.expires_at).order_by(r.id.desc()).limit(1)).one()
        token = tokens.opt_in_token(self.keyring.signing, bytes(row.nonce))
        self.world.links.append(Link(box, [Topic(t) for t in row.topics], token, row.expires_at, self.world.words))

    @precondition(lambda self: self.world.links)
    @rule(data=st.data())
    def press(self, data: st.DataObject) -> None:
        """Press the button, whatever has happened since the mail went out."""
        link, evidence = data.draw(st.sampled_from(self.world.links)), self._evidence()
        is_valid = not link.is_used and not link.is_dead and self.now < link.until
        with self.engine.begin() as conn:
            if is_valid:
                opt_in.confirm(conn, link.token, evidence, self.now)
            else:
                with suppress(TokenInvalid):
                    opt_in.confirm(conn, link.token, evidence, self.now)
        if is_valid:
            link.is_used = True
            for topic in link.topics:
                self._agrees(link.box, topic, self.world.words)

    @rule(box=BOX, topics=TOPICS)
    def leave(self, box: str, topics: list[Topic]) -> None:
        person = self._person(box)
        if person is None:
            return
        with self.engine.begin() as conn:
            consent.withdraw(conn, person.id, topics, Evidence(source="one click"), self.now)
        self.world.end(box, topics)
        self.since.append(lambda world: world.end(box, topics, kills=True))

    @rule(box=BOX, reason=st.sampled_from([SuppressionReason.COMPLAINT, SuppressionReason.OBJECTED]))
    def complain(self, box: str, reason: SuppressionReason) -> None:
        with self.engine.begin() as conn:
            suppression.suppress(conn, [self._hash(box)], None, reason, "a report", self.now)
        self._said(lambda world: world.bar(box))

    @rule(box=BOX)
    def erase(self, box: str) -> None:
        person = self._person(box)
        if person is None:
            return
        with self.engine.begin() as conn:
            erasure.erase(conn, person.id, Evidence(source="a letter"), self.now)
        self._said(lambda world: world.erase(box))

    @rule(box=BOX)
    def restrict(self, box: str) -> None:
        person = self._person(box)
        if person is None:
            return
        with self.engine.begin() as conn:
            restriction.restrict(conn, person.id, Evidence(source="a letter"), self.now)
        self._said(lambda world: world.restrict(box))

    @rule(box=BOX)
    def release(self, box: str) -> None:
        person = self._person(box)
        if person is None:
            return
        with self.engine.begin() as conn:
            assert restriction.release(conn, person.id, Evidence(source="told"), self.now) == (
                self.world.known[box].is_restricted
            )
        self.world.known[box].is_restricted = False

    @rule(box=BOX, weeks=st.sampled_from(pauses.WEEKS))
    def pause(self, box: str, weeks: int) -> None:
        person = self._person(box)
        if person is None or person.address is None:
            return
        with self.engine.begin() as conn:
            ends = pauses.pause(conn, person.id, weeks, Evidence(source="preferences"), self.now)
        self.world.known[box].pause_ends = datetime(ends.year, ends.month, ends.day, tzinfo=UTC)

    @rule(box=BOX, topic=st.sampled_from(list(Topic)), has_proof=st.booleans())
    def come_by_a_file(self, box: str, topic: Topic, has_proof: bool) -> None:
        row = f"{box},de,{topic},{PROOF if has_proof else ',,'}\n"
        fates = self.keeping.take_file(HEADER + row, self.now)
        if fates == {"confirmed": 1}:
            assert has_proof
            assert not self.world.known[box].is_barred
            assert self.world.known[box].agreed.get(topic, True)
            self._agrees(box, topic, 0)

    @rule(box=BOX)
    def move(self, box: str) -> None:
        """Move to the one mailbox that nobody else has, if it is free."""
        person, other = self._person(box), MAILBOXES[3]
        if person is None or person.address is None or self._person(other) or self.world.known[other].agreed:
            return
        known = self.world.known[box]
        self.dispatch.now += DAY
        evidence = Evidence(source="preferences")
        with self.engine.begin() as conn:
            if suppression.entries(conn, self._hash(other)) or not address_change.ask(
                conn, self.keyring, person, parse_address(other), evidence, self.now
            ):
                return
        for _ in range(2):
            with self.engine.begin() as conn:
                r = opt_in_request.c
                nonce = conn.execute(select(r.nonce).order_by(r.id.desc()).limit(1)).scalar_one()
                token = tokens.opt_in_token(self.keyring.signing, bytes(nonce))
                address_change.press(conn, self.keyring, token, evidence, self.now)
        left = [topic for topic, agreed in known.agreed.items() if not agreed]
        self.since += [lambda world: world.end(box, Topic, kills=True), lambda world: world.end(other, left)]
        if known.is_barred:
            self.since.append(lambda world: world.bar(other))
        self.world.known[other], self.world.known[box] = known, Known()
        self.world.end(box, Topic, kills=True)

    @rule(days=st.sampled_from([1, 8, 15, 120, 1500]))
    def pass_time(self, days: int) -> None:
        self.dispatch.now += days * DAY
        with self.engine.begin() as conn:
            pauses.resume_due(conn, self.now)
        for known in self.world.known.values():
            if known.pause_ends is not None and known.pause_ends <= self.now:
                known.pause_ends = None
        self.keeping.run(self.now)

    @rule(renews=st.sets(st.sampled_from(list(Topic)), max_size=2))
    def new_words(self, renews: set[Topic]) -> None:
        self._new_words(frozenset(renews))

    @rule(topic=st.sampled_from(list(Topic)))
    def begin_a_newsletter(self, topic: Topic) -> None:
        of = self.dispatch.campaign(topic=topic)
        self.campaigns.append((of, set()))
        with self.engine.begin() as conn:
            endings.note(conn, [Launched(of.id, topic, self.now)])

    @precondition(lambda self: self.campaigns)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """Take a batch of a newsletter through the gate, however long ago its audience was frozen."""
        of, taken = data.draw(st.sampled_from(self.campaigns))
        claim = self.dispatch.claim()
        if claim is None:
            return
        of, taken = next(pair for pair in self.campaigns if pair[0].id == claim.campaign_id)
        with self.engine.begin() as conn:
            endings.note(conn, [Claimed(of.id, claim.no, self.now)])
        to = {recipient.subscriber_id: recipient.address for recipient in self.dispatch.recipients(claim, of)}
        decisions = dict(zip(to, self.dispatch.ask(claim, of, list(to)), strict=True))
        assert of.topic is not None
        may = self._may_be_mailed(of.topic)
        passed = {to[who] for who, decision in decisions.items() if isinstance(decision, Pass)}
        assert passed <= may
        assert not passed & taken
        taken |= passed
        for who, decision in decisions.items():
            if isinstance(decision, Pass):
                self.dispatch.record(final(of, who, Outcome.SENT, decision.consent_event_id))
        withheld = {who for who, outcome in self.dispatch.outcomes(of).items() if outcome == "withheld"}
        assert not withheld & {who for who, decision in decisions.items() if isinstance(decision, Pass)}
        self.dispatch.settle(claim)

    @rule()
    def back_up(self) -> None:
        self.kept.back_up()
        self.backup, self.since = deepcopy(self.world), []

    @precondition(lambda self: self.backup)
    @rule()
    def restore(self) -> None:
        """Put the database back to the backup, say `dispatcher restore`, and let what was held go on."""
        assert self.backup is not None
        self.kept.put_back()
        file_of_endings.make_good(self.engine, self.kept.file, [], without=False)
        self.world = deepcopy(self.backup)
        for said in self.since:
            said(self.world)
        for box, known in self.world.known.items():
            known.is_restricted &= self._person(box) is not None  # of somebody who is lost nothing is left to restrict
        self.campaigns = [(of, taken) for of, taken in self.campaigns if self._goes_on(of)]

    @rule(box=BOX, topics=TOPICS, what=st.sampled_from(["leave", "complain", "erase", "restrict", "move"]))
    def lose_what_was_said(self, box: str, topics: list[Topic], what: str) -> None:
        """What matters most comes too seldom by itself: somebody says no, and the database forgets it at once."""
        self.back_up()
        match what:
            case "leave":
                self.leave(box, topics)
            case "complain":
                self.complain(box, SuppressionReason.COMPLAINT)
            case "erase":
                self.erase(box)
            case "restrict":
                self.restrict(box)
            case _:
                self.move(box)
        self.restore()

    def _goes_on(self, of: Campaign) -> bool:
        with self.engine.begin() as conn:
            is_held = campaigns.get(conn, of.id).state is CampaignState.PAUSED
            if is_held:
                campaigns.require_move(conn, of.id, CampaignState.SENDING)
        return is_held

    @invariant()
    def exactly_those_who_agreed_last_may_be_mailed(self) -> None:
        for topic in Topic:
            allowed = consent.permits_newsletter(topic).subquery()
            with self.engine.begin() as conn:
                rows = conn.execute(
                    select(subscriber.c.address).join(allowed, allowed.c.subscriber_id == subscriber.c.id)
                )
                assert set(rows.scalars()) == self._may_be_mailed(topic)

    @invariant()
    def nothing_said_against_being_mailed_is_lost(self) -> None:
        for box, known in self.world.known.items():
            with self.engine.begin() as conn:
                entries = suppression.entries(conn, self._hash(box))
            scopes = {entry.scope for entry in entries}
            if known.is_barred:
                assert {SuppressionReason.COMPLAINT, SuppressionReason.OBJECTED} & {entry.reason for entry in entries}
            left = {topic.value for topic, agreed in known.agreed.items() if not agreed}
            assert "all" in scopes or left <= scopes

    def _may_be_mailed(self, topic: Topic) -> set[str]:
        return {
            parse_address(box).mail
            for box, known in self.world.known.items()
            if known.agreed.get(topic)
            and known.words[topic] >= self.world.needed.get(topic, 0)
            and not known.is_barred
            and not known.is_restricted
            and known.pause_ends is None
        }

    def _agrees(self, box: str, topic: Topic, words: int) -> None:
        self.world.known[box].agreed[topic] = True
        self.world.known[box].words[topic] = words

    def _new_words(self, renews: frozenset[Topic]) -> None:
        texts = dict.fromkeys(Language, f"words {self.world.words}")
        with self.engine.begin() as conn:
            declarations.enter(conn, Draft(f"v{self.world.words}", texts, tuple(Topic), renews), datetime.now(UTC))
        self.world.words += 1
        self.world.needed |= dict.fromkeys(renews, self.world.words)

    def _evidence(self) -> Evidence:
        with self.engine.begin() as conn:
            current = declarations.current(conn, Language.DE, datetime.now(UTC))
        assert current is not None
        return Evidence(source="form 3", ip="192.0.2.7", language=Language.DE, declaration_id=current.id)

    def _hash(self, box: str) -> bytes:
        return address_hash(self.keyring, parse_address(box))

    def _person(self, box: str) -> Subscriber | None:
        with self.engine.begin() as conn:
            return subscribers.by_hash(conn, self._hash(box))

    def _said(self, said: Callable[[World], None]) -> None:
        """Something against being mailed: it holds now, and after every restore to a moment before it."""
        said(self.world)
        self.since.append(said)


def test_in_whatever_order_things_happen_exactly_those_who_agreed_last_may_be_mailed(
    engine: Engine, sqlite_template: Path, tmp_path: Path
) -> None:
    on_sqlite = engine.dialect.name == "sqlite"
    told = itertools.count()
    run_state_machine_as_test(
        lambda: Lives(emptied(engine, sqlite_template), tmp_path / str(next(told))),
        settings=settings(
            max_examples=stories(5 if on_sqlite else 2),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
            phases=[
                Phase.explicit,
                Phase.reuse,
                Phase.generate,
            ],  # to shorten a story costs minutes
        ),
    )

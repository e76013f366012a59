"""A newsletter under way as the database sees it: no relay, no letter, and a clock that the test moves."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import IntegrityError

from dispatcher.db.tables import batch, campaign, delivery
from dispatcher.db.terms import BatchState, CampaignKind, CampaignState, Outcome, Topic, UnknownPolicy
from dispatcher.domain import consent, ledger
from dispatcher.domain.audience import audiences, dealing_out
from dispatcher.domain.audience.dealing_out import Trial
from dispatcher.domain.audience.filters import EVERYBODY, Filter
from dispatcher.domain.consent import Evidence
from dispatcher.domain.delivery import batches, flights, passage
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.delivery.flights import Flight
from dispatcher.domain.delivery.passage import Decision, Intent, Pass
from dispatcher.domain.delivery.recipients import Recipient, to_serve
from dispatcher.domain.ending_marks import Tide
from dispatcher.domain.ledger import Deferral, Final, Record
from dispatcher.domain.newsletters import accounts, campaigns, tallies, trials
from dispatcher.domain.newsletters.accounts import Status
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.tallies import Tally
from dispatcher.domain.newsletters.trials import Terms
from dispatcher.domain.tokens import Keyring
from tests import builders

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TOPIC = Topic.FINANCE_NEWS
RELAY = "relay.example.de:587"


@dataclass
class Dispatch:
    """Each method is one transaction at `now`."""

    engine: Engine
    keyring: Keyring
    now: datetime = NOW
    ids: dict[str, int] = field(default_factory=dict)
    tide: Tide = field(default_factory=Tide)

    def people(self, count: int, *, prefix: str = "p") -> list[int]:
        """Add people who agreed to the topic; give their ids."""
        with self.engine.begin() as conn:
            addresses = [f"{prefix}{number}@example.de" for number in range(count)]
            added = builders.add_people(conn, self.keyring, addresses, self.now)
            builders.agree(conn, list(added.values()), TOPIC, self.now)
        self.ids |= added
        return list(added.values())

    def campaign(
        self,
        policy: UnknownPolicy = UnknownPolicy.HOLD,
        *,
        priority: int = 0,
        topic: Topic = TOPIC,
        trial: Trial | None = None,
        terms: Terms | None = None,
        filter: Filter = EVERYBODY,
    ) -> Campaign:
        """Freeze the audience and begin to send; `trial`: several subjects are tried."""
        with self.engine.begin() as conn:
            campaign_id = builders.create_campaign(conn, self.now, topic)
            conn.execute(
                update(campaign)
                .where(campaign.c.id == campaign_id)
                .values(state=CampaignState.SENDING, unknown_policy=policy, launched_at=self.now, priority=priority)
            )
            size = dealing_out.freeze(conn, campaign_id, audiences.everyone(topic, filter), self.now, trial)
            if trial is not None:  # as a release of several subjects does
                trials.keep(conn, campaign_id, trial.variants, terms)
                trials.begin(conn, campaign_id, trial.variants, self.now)
            campaigns.note_audience(conn, campaign_id, size)
            return campaigns.get(conn, campaign_id)

    def claim(self, worker: str = "a") -> Claim | None:
        with self.engine.begin() as conn:
            return batches.claim(conn, worker, [CampaignKind.NEWSLETTER], self.now)

    def must_claim(self, worker: str = "a") -> Claim:
        claim = self.claim(worker)
        assert claim is not None
        return claim

    def take_over(self, worker: str = "b") -> Claim:
        """Let the lease of whoever holds the batch run out, and claim it."""
        self.now += batches.LEASE + timedelta(seconds=1)
        return self.must_claim(worker)

    def recipients(self, claim: Claim, of: Campaign) -> list[Recipient]:
        with self.engine.begin() as conn:
            return to_serve(conn, claim, of, self.now)

    def ask(
        self, claim: Claim, of: Campaign, who: Sequence[int], *, attempt: int = 1, out: Sequence[Flight] = ()
    ) -> list[Decision]:
        """Ask at the gate for each of these, each on a lane of its own; `out`: what other lanes have in flight."""
        intents = [Intent(claim, subscriber, attempt, RELAY) for subscriber in who]
        return self.pass_gate([], intents, of, out={claim.key: [flights.entry(*flight) for flight in out]})

    def pass_gate(
        self,
        records: Sequence[Record],
        intents: Sequence[Intent],
        *of: Campaign,
        out: passage.Out = MappingProxyType({}),
    ) -> list[Decision]:
        """Pass as the gate does: what was answered is new, and where it is not, it is said again."""
        for is_new in (True, False):
            known = passage.Known(out, self.tide, is_new)
            with contextlib.suppress(IntegrityError), self.engine.begin() as conn:
                return passage.pass_gate(conn, {c.id: c for c in of}, records, intents, known, self.now)
        raise AssertionError("refused twice")

    def record(self, *records: Record) -> None:
        with self.engine.begin() as conn:
            ledger.record(conn, records, self.now)

    def settle(self, claim: Claim) -> BatchState | None:
        with self.engine.begin() as conn:
            return batches.settle(conn, claim)

    def give_back(self, claim: Claim, problem: str | None = None) -> BatchState | None:
        with self.engine.begin() as conn:
            return batches.give_back(conn, claim, None, problem)

    def renew(self, *held: Claim) -> dict[tuple[int, int], CampaignState]:
        with self.engine.begin() as conn:
            return batches.renew(conn, held, self.now)

    def move(self, of: Campaign, to: CampaignState) -> None:
        with self.engine.begin() as conn:
            campaigns.require_move(conn, of.id, to)

    def withdraw(self, subscriber_id: int) -> None:
        with self.engine.begin() as conn:
            consent.withdraw(conn, subscriber_id, [TOPIC], Evidence(source="a test"), self.now)

    def suppress(self, *addresses: str) -> None:
        with self.engine.begin() as conn:
            builders.suppress(conn, self.keyring, list(addresses), self.now)

    def status(self, of: Campaign) -> Status:
        with self.engine.begin() as conn:
            stands = campaigns.get(conn, of.id)
            counted = accounts.status(conn, stands, self.now)
            glance = tallies.tally(conn, stands)
        for figure in Tally.__slots__:
            assert getattr(glance, figure) == getattr(counted, figure), figure  # whoever asks, and whenever
        return counted

    def is_complete(self, of: Campaign) -> bool:
        with self.engine.begin() as conn:
            size = campaigns.get(conn, of.id).audience
            assert size is not None
            return accounts.is_complete(conn, of.id, size)

    def outcomes(self, of: Campaign) -> dict[int, str]:
        with self.engine.begin() as conn:
            return outcomes(conn, of)

    def counted(self, of: Campaign) -> Counter[str]:
        return Counter(self.outcomes(of).values())

    def in_flight(self) -> list[int]:
        with self.engine.begin() as conn:
            return in_flight(conn)

    def batch_states(self, of: Campaign) -> list[str]:
        with self.engine.begin() as conn:
            found = select(batch.c.state).where(batch.c.campaign_id == of.id).order_by(batch.c.no)
            return list(conn.execute(found).scalars())


def outcomes(conn: Connection, of: Campaign) -> dict[int, str]:
    """Give what became of each person in a campaign."""
    found = select(delivery.c.subscriber_id, delivery.c.outcome).where(delivery.c.campaign_id == of.id)
    return {row.subscriber_id: row.outcome for row in conn.execute(found)}


def in_flight(conn: Connection) -> list[int]:
    """Give who has a letter in flight."""
    rows = conn.execute(select(batch.c.in_flight).where(batch.c.in_flight.is_not(None))).scalars()
    return sorted(flight.subscriber_id for row in rows for flight in flights.read(row))


def events_of(decisions: list[Decision]) -> list[int]:
    """Give the consent events under which all of these passed."""
    passed = [decision for decision in decisions if isinstance(decision, Pass)]
    assert len(passed) == len(decisions)
    return [decision.consent_event_id for decision in passed]


def final(
    of: Campaign,
    who: int,
    outcome: Outcome,
    event: int | None = None,
    code: int | None = None,
    variant: int | None = None,
) -> Final:
    """Make the record of an outcome."""
    return Final(of.id, who, outcome, event, code, f"{code} said so", RELAY, edition_no=of.edition_of(variant))


def deferred(of: Campaign, who: int, until: datetime, *, batch_no: int = 0, attempt: int = 1) -> Deferral:
    """Make the record of a 4xx answer."""
    return Deferral(of.id, who, batch_no, attempt, until, 451, "451 busy", RELAY)

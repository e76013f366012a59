"""A stage for the engine: people, a released campaign, and a drain over a scripted relay, in this process."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from sqlalchemy import Engine, select

from dispatcher.compose.house import House
from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.tables import delivery, subscriber
from dispatcher.db.terms import CampaignKind, CampaignState, Language, Topic, UnknownPolicy
from dispatcher.domain import consent
from dispatcher.domain.consent import Evidence
from dispatcher.domain.newsletters import accounts, campaigns, missing
from dispatcher.domain.newsletters.accounts import Status
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.missing import Missing
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import backlog, release, sweep
from dispatcher.sending.buckets import Buckets
from dispatcher.sending.drain import Orders, Report, drain
from dispatcher.sending.press import Stationery
from dispatcher.smtp.breaker import Breakers
from dispatcher.smtp.relays import Relay
from tests import builders


@dataclass
class Stage:
    """Everything a test of the engine needs, on one database."""

    engine: Engine
    keyring: Keyring
    stationery: Stationery
    house: House
    ids: dict[str, int] = field(default_factory=dict)

    @cached_property
    def buckets(self) -> Buckets:
        """Permits come from the database: no broker listens there."""
        return Buckets(self.engine, "redis://127.0.0.1:1")

    def now(self) -> datetime:
        with self.engine.begin() as conn:
            return clock.now(conn)

    def add(
        self, count: int, *, agreed: bool = True, topic: Topic = Topic.FINANCE_NEWS, prefix: str = "p"
    ) -> list[str]:
        """Add people, by default with current consent; give their addresses."""
        addresses = [f"{prefix}{number}@example.de" for number in range(count)]
        with self.engine.begin() as conn:
            now = clock.now(conn)
            added = builders.add_people(conn, self.keyring, addresses, now)
            if agreed:
                builders.agree(conn, list(added.values()), topic, now)
        self.ids |= added
        return addresses

    def campaign(self, topic: Topic = Topic.FINANCE_NEWS) -> int:
        """Release a campaign and freeze its audience."""
        with self.engine.begin() as conn:
            now = clock.now(conn)
            campaign_id = builders.create_campaign(conn, now, topic)
            release.schedule(conn, campaign_id, now, "UTC", self.stationery, self.house)
        assert sweep.begin(self.engine, campaign_id, self.house)
        return campaign_id

    def drain(self, *relays: Relay, seconds: float = 60.0, stop: Callable[[], bool] = lambda: False) -> Report:
        """Drain everything that is claimable, then see which campaigns are finished."""
        return self.drain_kinds(list(CampaignKind), relays, seconds, stop)

    def drain_kinds(
        self, kinds: list[CampaignKind], relays: Sequence[Relay], seconds: float, stop: Callable[[], bool]
    ) -> Report:
        return self.obey(Orders(kinds, Breakers(relays), self.buckets, self.stationery, steady() + seconds, stop))

    def orders(self, *relays: Relay) -> Orders:
        """Give the orders of a process that drains more than once."""
        kinds = list(CampaignKind)
        return Orders(kinds, Breakers(relays), self.buckets, self.stationery, steady() + 60.0, patience=0.1)

    def obey(self, orders: Orders) -> Report:
        """Drain, then see which campaigns are finished."""
        report = asyncio.run(drain(self.engine, orders))
        backlog.finish(self.engine)
        return report

    def status(self, campaign_id: int) -> Status:
        with self.engine.begin() as conn:
            return accounts.status(conn, campaigns.get(conn, campaign_id), clock.now(conn))

    def missing(self, campaign_id: int) -> dict[str, Missing]:
        with self.engine.begin() as conn:
            return {m.address: m for m in missing.everyone(conn, campaigns.get(conn, campaign_id))}

    def move(self, campaign_id: int, to: CampaignState) -> None:
        with self.engine.begin() as conn:
            campaigns.require_move(conn, campaign_id, to)

    def withdraw(self, address: str, topic: Topic = Topic.FINANCE_NEWS) -> float:
        """Withdraw; give the moment just after the commit, on the clock that the relay records by."""
        with self.engine.begin() as conn:
            consent.withdraw(conn, self.ids[address], [topic], Evidence(source="a test"), clock.now(conn))
        return time.monotonic()

    @staticmethod
    def made_up_campaign(topic: Topic, language: Language) -> Campaign:
        """Give a campaign that is in no database."""
        now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        return Campaign(
            id=1, kind=CampaignKind.NEWSLETTER, topic=topic, name="x", subject="x", default_language=language,
            state=CampaignState.SENDING, problem=None, send_at=now, zone="UTC", unknown_policy=UnknownPolicy.HOLD,
            expires_after_s=3600, request_id=None, audience=1, created_at=now, launched_at=now, finished_at=None,
        )  # fmt: skip

    def outcomes(self, campaign_id: int) -> dict[str, str]:
        """Give the ledger: outcome by address."""
        with self.engine.begin() as conn:
            rows = conn.execute(
                select(subscriber.c.address, delivery.c.outcome)
                .join(subscriber, subscriber.c.id == delivery.c.subscriber_id)
                .where(delivery.c.campaign_id == campaign_id)
            )
            return {row.address: row.outcome for row in rows}

    def counted(self, campaign_id: int) -> Counter[str]:
        return Counter(self.outcomes(campaign_id).values())

"""People, and runs of retention at any moment: each method is a transaction of its own."""

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from dispatcher.db.tables import (
    consent_event,
    metadata,
    subscriber,
)
from dispatcher.db.terms import ConsentKind, Language, Topic
from dispatcher.domain import consent, imports, periods, retention
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.imports import writing
from dispatcher.domain.retention import Step
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import opt_in
from tests import builders
from tests.domain.dispatch import NOW, TOPIC

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
FORM = Evidence(source="form 3", ip="192.0.2.7", user_agent="Browser")
MARIA = "maria@example.de"


@dataclass
class Keeping:
    """People, and runs of retention at any moment."""

    engine: Engine
    keyring: Keyring

    def run(self, at: datetime, rules: periods.Rules = periods.DEFAULT) -> dict[Step, int]:
        """Do a whole run, a transaction per chunk; give the rows of each step that had any."""
        done: dict[Step, int] = {}
        for step in Step:
            after: list[int] | None = []
            while after is not None:
                with self.engine.begin() as conn:
                    taken = retention.take(conn, step, rules, at, after)
                done[step] = done.get(step, 0) + taken.rows
                after = taken.after
        return {step: rows for step, rows in done.items() if rows}

    def planned(self, at: datetime) -> dict[Step, tuple[int, datetime | None]]:
        with self.engine.begin() as conn:
            return {due.step: (due.rows, due.oldest) for due in retention.plan(conn, periods.DEFAULT, at) if due.rows}

    def ask(self, *topics: Topic, address: str = MARIA, at: datetime = NOW) -> int:
        """Sign up; give the person."""
        wanted = opt_in.Request(parse_address(address), "Maria", Language.DE, topics, FORM)
        with self.engine.begin() as conn:
            opt_in.request(conn, self.keyring, wanted, at)
            return int(conn.execute(select(subscriber.c.id).order_by(subscriber.c.id.desc()).limit(1)).scalar_one())

    def agree(self, *topics: Topic, address: str = MARIA, at: datetime = NOW) -> int:
        with self.engine.begin() as conn:
            who = builders.add_people(conn, self.keyring, [address], at)[address]
            consent.append(conn, [Event(who, topic, ConsentKind.CONFIRMED, FORM) for topic in topics], at)
        return who

    def append(self, who: int, kind: ConsentKind, topic: Topic | None = TOPIC, at: datetime = NOW) -> None:
        with self.engine.begin() as conn:
            consent.append(conn, [Event(who, topic, kind, FORM)], at)

    def withdraw(self, who: int, *topics: Topic, at: datetime = NOW) -> None:
        with self.engine.begin() as conn:
            consent.withdraw(conn, who, topics, FORM, at)

    def person(self, who: int) -> Any:
        with self.engine.begin() as conn:
            return conn.execute(select(subscriber).where(subscriber.c.id == who)).one()

    def states(self, who: int) -> dict[Topic, str]:
        with self.engine.begin() as conn:
            return {topic: state.value for topic, (state, _) in consent.standing(conn, who).items()}

    def events(self, who: int) -> list[Any]:
        e = consent_event.c
        with self.engine.begin() as conn:
            return list(conn.execute(select(consent_event).where(e.subscriber_id == who).order_by(e.id)).all())

    def rows(self, table: str) -> list[Any]:
        with self.engine.begin() as conn:
            return list(conn.execute(select(metadata.tables[table])).all())

    def take_file(self, text: str, at: datetime) -> dict[str, int]:
        intake = writing.Intake("a list")
        with self.engine.begin() as conn:
            rows = imports.read_rows(io.BytesIO(text.encode()), self.keyring, at)
            writing.take(conn, rows, intake, at, dry_run=False)
        return {fate.value: count for fate, count in intake.tally.counts.items() if count}

"""Where a campaign is tortured: a database of its own with people in it, a relay that bears witness, and workers."""

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg
from sqlalchemy import Connection, Engine, select, update

from dispatcher.db import clock, migrate
from dispatcher.db.engine import make_engine
from dispatcher.db.tables import batch, campaign, consent_event, deferral, delivery, subscriber
from dispatcher.db.terms import ConsentKind, Topic, UnknownPolicy
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.sending import house as houses
from dispatcher.sending import release
from dispatcher.settings import load
from tests import builders
from tests.processes import KILLED, Forked, several
from tests.relay_script import Accepted
from tests.torture.checker import Evidence, Taken
from tests.torture.points import Tempo
from tests.torture.witness import Weather, Witness
from tests.torture.worker import Order, work

TOPIC = Topic.FINANCE_NEWS
KEYRING = Keyring((Key("k2", bytes.fromhex("22" * 32)), Key("k1", bytes.fromhex("11" * 32))))
OTHERS = 3  # people in the audience, of each kind, who may not be written to


class Bears(Protocol):
    """Whatever can bear witness of what was accepted."""

    def url(self, **options: int | float) -> str: ...
    def accepted(self) -> list[Accepted]: ...
    def unanswered_dots(self) -> int: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class People:
    """Ids by address: who agreed, and who has withdrawn, never confirmed or complained."""

    permitted: dict[str, int]
    forbidden: dict[str, int]


class Server(Protocol):
    """A PostgreSQL server: where its databases are."""

    @property
    def url(self) -> str: ...
    def database(self, name: str) -> str: ...


class Databases:
    """Empty-handed copies of one database with people in it, as many as are asked for; made of a template.

    `empty`: a migrated database to begin with, by its file or its name; none: it is made.
    """

    def __init__(self, kind: str, folder: Path, server: Server | None, empty: str = "") -> None:
        self.kind = kind
        self._folder, self._server, self._empty = folder, server, empty
        self._templates: dict[int, People] = {}
        self._made = 0
        self._name = f"torture_{os.getpid()}"  # several processes may share a server

    def new(self, people: int) -> tuple[str, People]:
        """Give the URL of a database with so many people who agreed, and some who did not."""
        if people not in self._templates:
            self._templates[people] = self._make_template(people)
        self._made += 1
        if self._server is None:
            path = self._folder / f"{self._made}.db"
            shutil.copy(self._folder / f"template-{people}.db", path)
            return f"sqlite:///{path}", self._templates[people]
        name = f"{self._name}_{self._made}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self._name}_template_{people}")
        return self._server.database(name), self._templates[people]

    def drop(self, url: str) -> None:
        """Delete a copy."""
        if self._server is None:
            for suffix in ("", "-wal", "-shm"):
                Path(url.removeprefix("sqlite:///") + suffix).unlink(missing_ok=True)
        else:
            self._execute(f"DROP DATABASE {url.rpartition('?')[0].rpartition('/')[2]} WITH (FORCE)")

    def _make_template(self, people: int) -> People:
        if self._server is None:
            url = f"sqlite:///{self._folder}/template-{people}.db"
            if self._empty:
                shutil.copy(self._empty, self._folder / f"template-{people}.db")
        else:
            name = f"{self._name}_template_{people}"
            self._execute(f"CREATE DATABASE {name} TEMPLATE {self._empty or 'template1'}")
            url = self._server.database(name)
        engine = make_engine(url)
        if not self._empty:
            migrate.upgrade(engine)
        with engine.begin() as conn:
            made = add_people(conn, people)
        if self._server is None:
            with engine.connect() as conn:
                conn.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        engine.dispose()
        return made

    def _execute(self, statement: str) -> None:
        assert self._server is not None
        with psycopg.connect(self._server.url, autocommit=True) as conn:
            conn.execute(statement)  # type: ignore[arg-type]


@dataclass
class Ground:
    """One campaign's set-up. The workers it starts are its own; those that end otherwise than by our hand are noted."""

    folder: Path
    url: str
    people: People
    witness: Bears
    lanes: int = 4
    policy: UnknownPolicy = UnknownPolicy.HOLD
    tempo: Tempo = field(default_factory=Tempo)
    waits: dict[str, float] = field(default_factory=dict)  # options of the relay's URL
    engine: Engine = field(init=False)
    refuses: bool = False  # the relay refuses some people for good
    campaign_id: int = 0
    deaths: int = 0
    left: dict[str, float] = field(default_factory=dict)
    workers: list[Forked] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = make_engine(self.url)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "DISPATCHER_VAR": str(self.folder),
            "DISPATCHER_DATABASE_URL": self.url,
            "DISPATCHER_SMTP_URL": self.witness.url(lanes=self.lanes, **self.waits),
            "DISPATCHER_BROKER_URL": f"redis+socket://{self.folder}/no.sock",
            "DISPATCHER_SECRET_KEYS": " ".join(f"{key.id}:{key.secret.hex()}" for key in KEYRING.keys),
        }

    def schedule(self) -> int:
        """Release a campaign that is due now; a worker's tick will launch it."""
        settings = load(self.environ, self.folder)
        with self.engine.begin() as conn:
            now = clock.now(conn)
            self.campaign_id = builders.create_campaign(conn, now, TOPIC)
            conn.execute(update(campaign).where(campaign.c.id == self.campaign_id).values(unknown_policy=self.policy))
            stationery, house = houses.stationery(settings), houses.house(settings)
            release.schedule(conn, self.campaign_id, now, "UTC", stationery, house)
        return self.campaign_id

    def start(self, **more: Any) -> Forked:
        """Start a worker; `more` goes into its order."""
        made = Forked(work, Order(self.environ, self.folder, **{"tempo": self.tempo, **more}))
        self.workers.append(made)
        return made

    def kill(self, worker: Forked) -> None:
        """Kill a worker; counts as a death, unless it had come to its end."""
        worker.kill()
        self.deaths += worker.code == KILLED
        self.bury(worker)

    def bury(self, worker: Forked) -> None:
        """Take note of how a worker ended."""
        self.workers.remove(worker)
        if worker.code not in {0, KILLED}:
            log = (self.folder / "workers.log").read_text(errors="replace").strip().splitlines()
            self.crashes.append(f"a worker ended with {worker.code}: {log[-1] if log else ''}")

    def run_to_the_end(self, seconds: float = 60.0) -> None:
        """Have one worker bring everything to its end."""
        self.let_leases_end()
        worker = self.start()
        if worker.wait(seconds) is None:
            worker.kill()
            self.crashes.append(f"a worker was not through after {seconds:g} s")
        self.bury(worker)

    def let_leases_end(self) -> None:
        """Move the clock: every lease is over. Only while no worker lives, whose own clock would not have moved."""
        assert not any(worker.is_running for worker in self.workers)
        with self.engine.begin() as conn:
            over = clock.now(conn) - timedelta(seconds=1)
            conn.execute(update(batch).where(batch.c.state == "leased").values(lease_until=over))

    def state(self) -> str:
        """Give the campaign's state."""
        with self.engine.begin() as conn:
            return str(conn.execute(select(campaign.c.state).where(campaign.c.id == self.campaign_id)).scalar_one())

    def standing(self) -> str:
        """Say where the campaign stands, in words, for whoever has to find out why it does not go on."""
        with self.engine.begin() as conn:
            of = conn.execute(select(campaign.c.state, campaign.c.problem)).one()
            leases = conn.execute(
                select(batch.c.no, batch.c.lease_until, batch.c.not_before).where(batch.c.state != "done")
            )
            waits = [f"batch {row.no}: lease until {row.lease_until}, not before {row.not_before}" for row in leases]
            open_ones = _still_open(conn, self.campaign_id)
            return f"{of.state} ({of.problem}) at {clock.now(conn)}: {'; '.join([*open_ones, *waits])}"

    def close(self) -> None:
        for worker in list(self.workers):
            worker.kill()
        self.engine.dispose()

    def outcomes(self) -> dict[str, str]:
        """Give the ledger: outcome by address, as the address was at the beginning."""
        by_id = {who: address for address, who in {**self.people.permitted, **self.people.forbidden}.items()}
        with self.engine.begin() as conn:
            d = delivery.c
            rows = conn.execute(select(d.subscriber_id, d.outcome).where(d.campaign_id == self.campaign_id))
            return {by_id[row.subscriber_id]: row.outcome for row in rows}

    def evidence(self, title: str) -> Evidence:
        """Collect what is known after the end."""
        of = str(self.campaign_id)
        told, missed = self._ask(["campaigns", "status", of, "--json"], ["campaigns", "missing", of, "--csv"])
        status, outcomes = json.loads(told), self.outcomes()
        missing = self._missing(outcomes, missed)
        letters = [Taken(a.recipient, a.message_id, a.accepted_at, a.connection) for a in self.witness.accepted()]
        with self.engine.begin() as conn:
            still_open, unfounded = _still_open(conn, self.campaign_id), _unfounded(conn, self.campaign_id)
        return Evidence(
            title, self.policy, self.lanes, self.deaths, self.witness.unanswered_dots(), status["state"],
            frozenset(self.people.permitted), frozenset(self.people.forbidden), outcomes, letters, status, missing,
            dict(self.left), unfounded, still_open, self.refuses, tuple(self.crashes),
        )  # fmt: skip

    def _missing(self, outcomes: dict[str, str], missed: str) -> dict[str, str]:
        """Give outcome by address as `campaigns missing` has it. Who was erased, or left everything so that retention
        took the address, stands there without a name: if there are as many lines with the same outcomes as there ought
        to be, they are theirs.
        """
        told = [(line["email"], line["outcome"]) for line in csv.DictReader(missed.splitlines())]
        nameless = Counter(outcome for address, outcome in told if address == "(erased)")
        gone = {who: outcomes.get(who, "") for who in self._nameless() if outcomes.get(who) != "sent"}
        return dict(told) if nameless != Counter(gone.values()) else {**gone, **dict(t for t in told if "@" in t[0])}

    def _nameless(self) -> set[str]:
        """Give the people whose address is gone, by what it was at the beginning."""
        with self.engine.begin() as conn:
            ids = set(conn.execute(select(subscriber.c.id).where(subscriber.c.address.is_(None))).scalars())
        return {who for who, i in {**self.people.permitted, **self.people.forbidden}.items() if i in ids}

    def _ask(self, *commands: Sequence[str]) -> list[str]:
        """Run commands of the command line, in a process of their own; give what each printed."""
        said = [self.folder / f"said-{number}" for number in range(len(commands))]
        for file in said:
            file.unlink(missing_ok=True)
        asked = Forked(several, self.environ, self.folder, list(zip(commands, said, strict=True)))
        code = asked.wait(30)
        assert code == 0, f"{commands} ended with {code}: {[file.read_text() for file in said if file.exists()]}"
        return [file.read_text() for file in said]


def lay_out(databases: Databases, folder: Path, people: int, weather: Weather, **more: Any) -> Ground:
    """Make a ground with a database, a folder and a witness of its own."""
    url, there = databases.new(people)
    folder.mkdir(parents=True)
    witness = Witness(folder, weather)
    witness.begin()
    return Ground(folder, url, there, witness, **more)


def clear(databases: Databases, ground: Ground) -> None:
    """End everything and delete the database."""
    ground.close()
    ground.witness.end()
    databases.drop(ground.url)


def add_people(conn: Connection, count: int) -> People:
    """Add people who agreed (p0, p1, ... in the order of their ids), and some who did not."""
    now = clock.now(conn)
    names = {"p": count, "withdrawn": OTHERS, "pending": OTHERS, "complained": OTHERS}
    groups = {
        name: builders.add_people(conn, KEYRING, [f"{name}{i}@example.de" for i in range(size)], now)
        for name, size in names.items()
    }
    for name in ("p", "withdrawn", "complained"):
        builders.agree(conn, list(groups[name].values()), TOPIC, now)
    builders.agree(conn, list(groups["pending"].values()), TOPIC, now, ConsentKind.LISTED)
    builders.withdraw(conn, list(groups["withdrawn"].values()), TOPIC, now)
    builders.suppress(conn, KEYRING, list(groups["complained"]), now)
    permitted = groups.pop("p")
    return People(permitted, {address: who for group in groups.values() for address, who in group.items()})


def _still_open(conn: Connection, campaign_id: int) -> Sequence[str]:
    b = batch.c
    rows = conn.execute(select(b.no, b.state, b.in_flight).where(b.campaign_id == campaign_id, b.state != "done"))
    found = [f"batch {row.no} is {row.state}" for row in rows]
    flying = conn.execute(select(b.no).where(b.campaign_id == campaign_id, b.in_flight.is_not(None))).scalars()
    found += [f"batch {no} has letters in flight" for no in flying]
    waiting = select(deferral.c.subscriber_id).where(deferral.c.campaign_id == campaign_id)
    return tuple(found + [f"{who} waits as deferred" for who in conn.execute(waiting).scalars()])


def _unfounded(conn: Connection, campaign_id: int) -> Sequence[str]:
    """Give who was sent a letter under an event that is not theirs, of another topic, or no consent."""
    d, e = delivery.c, consent_event.c
    rows = conn.execute(
        select(d.subscriber_id, e.kind, e.topic, e.subscriber_id.label("whose"))
        .outerjoin_from(delivery, consent_event, e.id == d.consent_event_id)
        .where(d.campaign_id == campaign_id, d.outcome.in_(["sent", "unknown"]))
    )
    good = {ConsentKind.IMPORTED, ConsentKind.CONFIRMED}
    return tuple(
        str(row.subscriber_id)
        for row in rows
        if row.whose != row.subscriber_id or row.topic != TOPIC or row.kind not in good
    )

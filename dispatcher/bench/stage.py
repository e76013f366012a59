"""A house to be measured: a database of its own with made-up people, a broker, and real workers."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from sqlalchemy import Engine, func, select, text

from dispatcher import broker
from dispatcher import settings as settings_module
from dispatcher.bench import letter, people
from dispatcher.bench.postgres import PRODUCTION, PostgresServer
from dispatcher.db import clock, migrate
from dispatcher.db.clock import steady
from dispatcher.db.engine import make_engine, reading
from dispatcher.db.tables import batch, delivery
from dispatcher.db.terms import BatchState, CampaignState, Language, Outcome
from dispatcher.domain.newsletters import accounts, campaigns
from dispatcher.domain.newsletters.accounts import Status
from dispatcher.domain.newsletters.campaigns import Campaign, Draft
from dispatcher.errors import PartUnavailable
from dispatcher.sending import house as houses
from dispatcher.sending import press as presses
from dispatcher.sending import release, sweep
from dispatcher.settings import Settings, environment
from dispatcher.worker import supervisor
from dispatcher.worker.programs import Program, end_all, ourselves

SENDER = "sender"  # as the command line of a process that sends has it
_LIMIT = 1800.0  # seconds that a campaign may take before something is clearly wrong


@dataclass
class Stage:
    """One set-up, running. `database_pid` is None where the database is no process of its own."""

    settings: Settings
    engine: Engine
    worker_pid: int
    database_pid: int | None
    launch_s: float  # what it took to freeze an audience of everyone into batches

    def campaign(self) -> int:
        """Release a campaign that is due now and call a worker to launch it; give its id."""
        campaign_id = _release(self.engine, self.settings)
        broker.nudge_launch(self.settings, campaign_id)
        return campaign_id

    def follow(self, campaign_id: int) -> Iterator[float]:
        """Give the share of finished batches twice a second until the campaign is sent. To count letters would cost
        the database more than to send them. Raises PartUnavailable when it hangs.
        """
        until = steady() + _LIMIT
        done = func.count().filter(batch.c.state == BatchState.DONE)
        progress = select(done, func.count()).where(batch.c.campaign_id == campaign_id)
        while True:
            with reading(self.engine).connect() as conn:
                state = campaigns.get(conn, campaign_id).state
                finished, all_of_them = conn.execute(progress).one()
            yield finished / all_of_them if all_of_them else 0.0
            if state is CampaignState.SENT:
                return
            if steady() > until:
                raise PartUnavailable("the campaign did not end", f"look into {self.settings.var / 'programs.log'}")
            time.sleep(0.5)

    def senders(self) -> dict[str, int]:
        """Give the processes that send, by name."""
        family = psutil.Process(self.worker_pid).children(recursive=True)
        return {f"{SENDER} {each.pid}": each.pid for each in family if SENDER in each.cmdline()}

    def status(self, campaign_id: int) -> Status:
        """Count."""
        with reading(self.engine).connect() as conn:
            return accounts.status(conn, campaigns.get(conn, campaign_id), clock.now(conn))

    def letter(self, campaign_id: int) -> bytes:
        """Give one of its letters, as it is on the wire."""
        with reading(self.engine).connect() as conn:
            press = presses.load(conn, campaigns.get(conn, campaign_id), houses.stationery(self.settings))
            return press.letter(release.trial_recipient(Language.DE), clock.now(conn)).body

    def times(self, campaign_id: int) -> tuple[Campaign, datetime, datetime]:
        """Give the campaign and when its first and its last letter were taken over."""
        with reading(self.engine).connect() as conn:
            d = delivery.c
            first, last = conn.execute(
                select(func.min(d.at), func.max(d.at)).where(d.campaign_id == campaign_id, d.outcome == Outcome.SENT)
            ).one()
            return campaigns.get(conn, campaign_id), first, last


@contextmanager
def stage(database: str, count: int, smtp_url: str, workers: int) -> Iterator[Stage]:
    """Set up a house on `database` (postgresql or sqlite) with `count` people, workers running; take it down after."""
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="dispatcher-bench-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        server = PostgresServer(durable=True, settings=PRODUCTION) if database == "postgresql" else None
        if server is not None:
            stack.callback(server.remove)
            server.execute("CREATE DATABASE bench")
        url = server.database("bench") if server else f"sqlite:///{home / 'bench.db'}"
        settings, config = settings_of(home, url, smtp_url=smtp_url)
        engine = filled(settings, count)
        stack.callback(engine.dispose)
        launch_s = _time_launch(engine, settings)
        worker = _programs(stack, settings, config, workers)
        yield Stage(settings, engine, worker, server.pid if server else None, launch_s)


def _release(engine: Engine, settings: Settings) -> int:
    house = houses.house(settings)
    contents = {Language.DE: ("bench.de.md", letter.content(house))}
    draft = Draft(letter.TOPIC, "bench", letter.SUBJECT, Language.DE, contents)
    with engine.begin() as conn:
        campaign_id = campaigns.create(conn, draft, clock.now(conn))
    with engine.begin() as conn:
        release.schedule(conn, campaign_id, clock.now(conn), "UTC", houses.stationery(settings), house)
    return campaign_id


def _time_launch(engine: Engine, settings: Settings) -> float:
    """Launch a campaign as a worker would, while there is none; then take it back."""
    campaign_id = _release(engine, settings)
    began = steady()
    house = houses.house(settings)
    while sweep.begin(engine, campaign_id, house):
        pass
    took = steady() - began
    with engine.begin() as conn:
        campaigns.require_move(conn, campaign_id, CampaignState.CANCELLED)
    return took


def settings_of(home: Path, url: str, **more: str) -> tuple[Settings, Path]:
    """Give settings for a house in this folder, and the file that holds them for its programs."""
    config = home / "dispatcher.toml"
    given = {"var": str(home), "database_url": url, **more}
    config.write_text("".join(f'{name} = "{value}"\n' for name, value in given.items()), encoding="utf-8")
    return settings_module.load({"DISPATCHER_CONFIG": str(config)}, home), config


def empty(url: str) -> Engine:
    """Make the tables."""
    engine = make_engine(url)
    migrate.upgrade(engine)
    return engine


def filled(settings: Settings, count: int) -> Engine:
    """Make the tables, and so many people in them."""
    engine = empty(settings.database_url)
    ring = houses.keyring(settings)
    with engine.begin() as conn:
        now = clock.now(conn)
        houses.remember_keys(conn, ring, now)
        people.fill(conn, ring, count, now)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text("VACUUM ANALYZE"))
            conn.execute(text("CHECKPOINT"))
    return engine


def _programs(stack: ExitStack, settings: Settings, config: Path, workers: int) -> int:
    """Start broker and worker; give the worker's process id once its Celery processes stand."""
    lines = settings.var / "programs.log"
    around = environment(config)
    valkey = Program("valkey", supervisor.broker_command(settings), around, lines)
    worker = Program("worker", ourselves("worker", "--concurrency", str(workers)), around, lines)
    stack.callback(end_all, [valkey], 5.0)
    valkey.start()
    supervisor.wait_for_broker(settings)
    stack.callback(end_all, [worker])
    worker.start()
    assert worker.process is not None
    until = steady() + 60
    while len(psutil.Process(worker.process.pid).children(recursive=True)) < 3 + workers:
        if steady() > until:
            raise PartUnavailable("the workers do not start", f"look into {lines}")
        time.sleep(0.1)
    time.sleep(1.0)  # they connect and import; what that costs is no part of a campaign
    return worker.process.pid

"""The tasks. Each is safe to run twice, late, or never: it looks into the database for what there is to do."""

import asyncio
import gc
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from celery import Celery, signals
from sqlalchemy import Engine

from dispatcher import broker
from dispatcher.compose.house import House
from dispatcher.db.clock import steady
from dispatcher.db.engine import make_engine
from dispatcher.db.terms import CampaignKind, WorkerRole
from dispatcher.domain.ending_marks import Tide
from dispatcher.observe import logs
from dispatcher.sending import endings, house, sweep
from dispatcher.sending.buckets import Buckets
from dispatcher.sending.drain import Orders, Report, drain
from dispatcher.sending.reporter import Reporter
from dispatcher.settings import Settings
from dispatcher.smtp.breaker import Breakers

log = structlog.get_logger()
BUDGET = 60.0  # seconds in which a task begins new letters; then it calls for another
CALLS = 16  # drains that may wait to be heard
_GARBAGE = 20_000  # objects between two looks of the collector


@dataclass(frozen=True, slots=True)
class Bench:
    """What a worker process works with: made after the fork, kept for its life."""

    settings: Settings
    engine: Engine
    house: House
    breakers: Breakers
    buckets: Buckets
    stopping: Callable[[], bool]
    file: endings.EndingsFile
    tide: Tide
    reporter: Reporter


def make_bench(settings: Settings, stopping: Callable[[], bool], role: WorkerRole = WorkerRole.BULK) -> Bench:
    """Set a process up. `stopping` is asked at each gate whether to begin no more letters."""
    gc.freeze()  # what was imported stays; nothing of a letter is cyclic, so the collector need not look often
    gc.set_threshold(_GARBAGE, 20, 100)
    file = endings.file_of(settings)
    engine = endings.keep(make_engine(settings.database_url), file)
    breakers = Breakers(house.relays(settings))
    buckets = Buckets(engine, settings.broker_url)
    reporter = Reporter(role, breakers)
    return Bench(settings, engine, house.house(settings), breakers, buckets, stopping, file, Tide(), reporter)


def run_drain(bench: Bench, kinds: list[CampaignKind], budget: float) -> Report:
    """Drain for at most `budget` seconds of new letters. What the database has lost is applied to it first; raises
    PartUnavailable when the file of endings cannot be read.
    """
    endings.settle(bench.engine, bench.file, bench.tide)
    stationery = house.stationery(bench.settings)
    orders = Orders(
        kinds, bench.breakers, bench.buckets, stationery, steady() + budget, bench.stopping, tide=bench.tide,
        reporter=bench.reporter,
    )  # fmt: skip
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            report = runner.run(drain(bench.engine, orders))
    finally:
        bench.reporter.rest(bench.engine)
    if report.letters:
        sweep.finish(bench.engine)
    return report


def call_workers(bench: Bench, work: sweep.Work) -> bool:
    """Call for as many drains as there is work. False: nobody can be called, the broker is away."""
    return broker.nudge_drains(bench.settings, work.confirmations, work.newsletters, CALLS)


def make_worker_app(settings: Settings, role: WorkerRole) -> Celery:
    """Make the Celery app with its tasks, for a worker to run."""
    app = broker.make_app(settings.broker_url)
    bench: list[Bench] = []
    shutting_down = multiprocessing.Event()  # set in the parent, read in its children at each gate

    @signals.worker_shutting_down.connect(weak=False)
    def _shut_down(**_: object) -> None:
        shutting_down.set()

    @signals.worker_process_init.connect(weak=False)
    def _set_up(**_: object) -> None:
        logs.configure(settings.log)
        bench.append(make_bench(settings, shutting_down.is_set, role))
        bench[0].reporter.rest(bench[0].engine)

    @signals.worker_process_shutdown.connect(weak=False)
    def _say_goodbye(**_: object) -> None:
        for it in bench:  # none, if it could not be set up
            it.reporter.say_goodbye(it.engine)

    @app.task(name=broker.DRAIN_BULK)
    def drain_bulk() -> None:
        """Send newsletters."""
        run_drain(bench[0], [CampaignKind.NEWSLETTER], BUDGET)
        call_workers(bench[0], sweep.waiting(bench[0].engine))

    @app.task(name=broker.DRAIN_WAITED)
    def drain_waited() -> None:
        """Send mail that a person waits for."""
        run_drain(bench[0], [CampaignKind.CONFIRMATION], BUDGET)

    @app.task(name=broker.LAUNCH)
    def launch(campaign_id: int) -> None:
        """Freeze a due campaign's audience and begin."""
        sweep.begin(bench[0].engine, campaign_id, bench[0].house)
        call_workers(bench[0], sweep.waiting(bench[0].engine))

    return app


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop  # type: ignore[return-value]

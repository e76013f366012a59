"""`dispatcher worker`: two Celery workers, and this process, which watches over them and over the database.

The Celery workers hear nudges: one for launches and mail that a person waits for, one for campaigns. This process ticks
every few seconds, starts a worker again that died, and, when the broker is away and nobody can be called, drains what
waits itself. So a campaign completes with the broker stopped. Files that were handed in are worked off by a program of
their own, which runs while one waits (intake.py).
"""

import os
import sys
from collections.abc import Callable

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher import broker
from dispatcher.db.clock import steady
from dispatcher.db.terms import CampaignKind, WorkerRole
from dispatcher.errors import DispatcherError
from dispatcher.sending import endings, house, mx, sweep
from dispatcher.sending.courier import Courier
from dispatcher.sending.keeping import Keeper
from dispatcher.sending.news_rounds import NewsRounds
from dispatcher.sending.notary import Notary
from dispatcher.settings import Settings, environment
from dispatcher.worker.intake import Intake
from dispatcher.worker.programs import Program, end_all
from dispatcher.worker.stop import Stop
from dispatcher.worker.tasks import Bench, call_workers, make_bench, run_drain

log = structlog.get_logger()
_SLICE = 5.0  # seconds it drains before it looks around again


def run_worker(settings: Settings, concurrency: int | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = Stop().listen()
    programs = [
        _celery(WorkerRole.WAITED, [broker.CONTROL, broker.WAITED], 1),
        _celery(WorkerRole.BULK, [broker.BULK], concurrency or _processes(settings)),
    ]
    for program in programs:
        program.start()
    bench = make_bench(settings, stop.is_set, WorkerRole.WATCH)
    intake = Intake(bench.settings, bench.engine)
    try:
        _watch(bench, programs, intake, stop)
    finally:
        intake.end()
        end_all(programs)
        bench.reporter.say_goodbye(bench.engine)


def _processes(settings: Settings) -> int:
    """SQLite has one writer at a time: a second sender would only wait for the first."""
    return 1 if settings.database_url.startswith("sqlite") else os.cpu_count() or 1


def _celery(name: str, queues: list[str], concurrency: int) -> Program:
    argv = [sys.executable, "-m", "dispatcher.worker", name, ",".join(queues), str(concurrency)]
    return Program(f"worker {name}", argv, environment())


def _watch(bench: Bench, programs: list[Program], intake: Intake, stop: Stop) -> None:
    next_tick = 0.0
    steps = _steps(bench.settings, bench.engine)
    while not stop.wait(0.2):
        _look_after(programs, intake)
        if steady() < next_tick:
            continue
        began = steady()
        next_tick = began + sweep.EVERY
        try:
            endings.settle(bench.engine, bench.file, bench.tide)  # before anything is launched or called for
            endings.pay(bench.engine)
            endings.pulse(bench.engine)
            work = sweep.tick(bench.engine, bench.house)
            bench.reporter.tell_of_tick(bench.engine, began)
            is_heard = call_workers(bench, work)
            if work.next_due_s is not None:
                next_tick = min(next_tick, steady() + max(work.next_due_s, 0.0))
            if not is_heard:
                log.warning("broker.away", doing="draining here")
                run_drain(bench, list(CampaignKind), _SLICE)
                next_tick = 0.0
            for step in steps:
                step()
        except (DBAPIError, DispatcherError) as error:
            # The database is away or answers with an error: look again at the next tick.
            log.warning("tick.failed", error=type(error).__name__)


def _steps(settings: Settings, engine: Engine) -> list[Callable[[], object]]:
    """What is done beside the tick; each looks by itself whether something is due."""
    word = settings.mx_lookup
    return [
        *([mx.Lookup(engine, mx.resolver(word)).step] if word != "off" else []),
        Keeper(engine, house.retention(settings)).step,
        Notary(engine, settings).step,
        Courier(house.satchel(settings, engine)).step,
        NewsRounds(engine, lambda: house.desk(settings)).step,
    ]


def _look_after(programs: list[Program], intake: Intake) -> None:
    for program in programs:
        program.look_after()
    intake.step()

"""`dispatcher worker`: two Celery workers, and this process, which watches over them and over the database:
`python -m dispatcher.worker watch [CONCURRENCY]`.

The Celery workers hear nudges: one for launches and mail that a person waits for, one for campaigns. This process ticks
every few seconds, starts a worker again that died, and, when the broker is away and nobody can be called, gives orders
to a sender of its own. So a campaign completes with the broker stopped. Files that were handed in are worked off by a
program of their own, which runs while one waits (intake.py).
"""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher import broker
from dispatcher import settings as settings_module
from dispatcher.compose.house import House
from dispatcher.db.engine import make_engine
from dispatcher.db.terms import CampaignKind, WorkerRole
from dispatcher.domain.ending_marks import Tide
from dispatcher.errors import DispatcherError
from dispatcher.observe import logs
from dispatcher.sending import endings, house, mx, sweep
from dispatcher.sending.courier import Courier
from dispatcher.sending.keeping import Keeper
from dispatcher.sending.news_rounds import NewsRounds
from dispatcher.sending.notary import Notary
from dispatcher.sending.reporter import Reporter
from dispatcher.settings import Settings, environment
from dispatcher.smtp.breaker import Breakers
from dispatcher.steady import steady
from dispatcher.worker.crew import Sender
from dispatcher.worker.intake import Intake
from dispatcher.worker.orders import Order, Waiting
from dispatcher.worker.programs import Program, end_all, of_a_worker
from dispatcher.worker.stop import Stop
from dispatcher.worker.tasks import call_workers

log = structlog.get_logger()
_SLICE = 5.0  # seconds it drains before it looks around again


@dataclass(frozen=True, slots=True)
class Post:
    """What the watcher works with."""

    settings: Settings
    engine: Engine
    house: House
    file: endings.EndingsFile
    tide: Tide
    reporter: Reporter
    spare: Sender  # for as long as the broker is away


def run_worker(settings: Settings, concurrency: int | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = Stop().listen()
    programs = [
        _celery(WorkerRole.WAITED, [broker.CONTROL, broker.WAITED], 1),
        _celery(WorkerRole.BULK, [broker.BULK], concurrency or _processes(settings)),
    ]
    for program in programs:
        program.start()
    post = _post(settings, stop)
    intake = Intake(settings, post.engine)
    try:
        _watch(post, programs, intake, stop)
    finally:
        intake.end()
        post.spare.end()
        end_all(programs)
        post.reporter.say_goodbye(post.engine)


def main(concurrency: str | None = None) -> int:
    """Run until told to end; give the exit code."""
    settings = settings_module.load()
    logs.configure(settings.log)
    run_worker(settings, int(concurrency) if concurrency else None)
    return 0


def _post(settings: Settings, stop: Stop) -> Post:
    gc.freeze()  # what was imported stays
    file = endings.file_of(settings)
    engine = endings.keep(make_engine(settings.database_url), file)
    reporter = Reporter(WorkerRole.WATCH, Breakers(house.relays(settings)))
    spare = Sender(WorkerRole.BULK, stop.is_set)
    return Post(settings, engine, house.house(settings), file, Tide(), reporter, spare)


def _processes(settings: Settings) -> int:
    """SQLite has one writer at a time: a second sender would only wait for the first."""
    return 1 if settings.database_url.startswith("sqlite") else os.cpu_count() or 1


def _celery(name: str, queues: list[str], concurrency: int) -> Program:
    argv = of_a_worker("listener", name, ",".join(queues), str(concurrency))
    return Program(f"worker {name}", argv, environment())


def _watch(post: Post, programs: list[Program], intake: Intake, stop: Stop) -> None:
    next_tick = 0.0
    steps = _steps(post.settings, post.engine)
    while not stop.wait(0.2):
        _look_after(programs, intake)
        if steady() < next_tick:
            continue
        began = steady()
        next_tick = began + sweep.EVERY
        try:
            endings.settle(post.engine, post.file, post.tide)  # before anything is launched or called for
            endings.pay(post.engine)
            endings.pulse(post.engine)
            work = sweep.tick(post.engine, post.house)
            post.reporter.tell_of_tick(post.engine, began)
            is_heard = call_workers(post.settings, Waiting(work.confirmations, work.newsletters, work.launching))
            if work.next_due_s is not None:
                next_tick = min(next_tick, steady() + max(work.next_due_s, 0.0))
            if not is_heard:
                log.warning("broker.away", doing="draining here")
                post.spare.follow(Order(tuple(CampaignKind), _SLICE))
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

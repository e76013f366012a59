"""A process that sends: `python -m dispatcher.worker sender ROLE`. It waits for orders, and ends when nobody gives any.

    order (a line on standard input) -> launch, drain -> how much waits (a line on standard output)

A program of its own, and not a child of Celery's: what hears the broker needs no database, and what sends needs no
Celery. What must stay true: it is told to end by SIGTERM, also when whoever started it was killed, and then begins no
more letters; what goes wrong with one order does not keep it from the next.
"""

import asyncio
import gc
import os
import select
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher import settings as settings_module
from dispatcher.compose.house import House
from dispatcher.db.engine import make_engine
from dispatcher.db.terms import CampaignKind, WorkerRole
from dispatcher.domain.ending_marks import Tide
from dispatcher.errors import DispatcherError
from dispatcher.observe import logs
from dispatcher.sending import backlog, core, endings, house
from dispatcher.sending.buckets import Buckets
from dispatcher.sending.drain import Orders, Report, drain
from dispatcher.sending.reporter import Reporter
from dispatcher.settings import Settings
from dispatcher.smtp.breaker import Breakers
from dispatcher.steady import steady
from dispatcher.worker.orders import Order, Waiting
from dispatcher.worker.programs import die_with_parent
from dispatcher.worker.stop import Stop

log = structlog.get_logger()
_GARBAGE = 2_000  # objects between two looks of the collector: at 20,000 a MB more lies about, and no time is won
_LOOK = 500  # milliseconds between two looks whether we were told to end
_ORDERS, _ANSWERS = 0, 1  # standard input and output


@dataclass(frozen=True, slots=True)
class Bench:
    """What a sender works with, for its life."""

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
            report = runner.run(_on_one_core(drain(bench.engine, orders)))
    finally:
        gc.collect()  # a millisecond: a drain is full of cycles, and left to itself the collector comes after dozens
        bench.reporter.rest(bench.engine)
    if report.letters:
        backlog.finish(bench.engine)
    return report


def follow(bench: Bench, order: Order) -> Waiting:
    """Do what is ordered; give what there is to do afterwards."""
    launching: tuple[int, ...] = ()
    try:
        if order.launch is not None:
            from dispatcher.sending import sweep  # what launches stays away from those that only send

            sweep.begin(bench.engine, order.launch, bench.house)
            launching = tuple(sweep.launching(bench.engine))
        if order.kinds:
            run_drain(bench, list(order.kinds), order.seconds)
        found = backlog.look(bench.engine)
    except (DBAPIError, DispatcherError) as error:
        # The database is away or answers with an error: the tick finds what is left to do.
        log.warning("order.failed", error=type(error).__name__)
        return Waiting()
    return Waiting(found.confirmations, found.newsletters, launching)


def main(role: str) -> int:
    """Do what is ordered until told to end; give the exit code."""
    die_with_parent()
    settings = settings_module.load()
    logs.configure(settings.log)
    stop = Stop().listen()
    bench = make_bench(settings, stop.is_set, WorkerRole(role))
    bench.reporter.rest(bench.engine)
    while (line := _next(stop)) is not None:
        answer = follow(bench, Order.read(line))
        with suppress(BrokenPipeError):  # whoever gave the order is gone; there will be no other
            os.write(_ANSWERS, answer.line())
    bench.reporter.say_goodbye(bench.engine)
    return 0


def _next(stop: Stop) -> bytes | None:
    """Wait for an order; None: there will be none. Whoever gives them waits for the answer before the next."""
    heard = bytearray()
    ear = select.poll()
    ear.register(_ORDERS, select.POLLIN)
    while not stop.is_set():
        if ear.poll(_LOOK):
            said = os.read(_ORDERS, 4096)
            heard += said
            if not said:
                return None
            if heard.endswith(b"\n"):
                return bytes(heard)
    return None


async def _on_one_core(work: Coroutine[object, object, Report]) -> Report:
    keeping = asyncio.create_task(core.keep())
    try:
        return await work
    finally:
        keeping.cancel()


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop  # type: ignore[return-value]

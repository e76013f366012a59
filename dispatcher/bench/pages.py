"""The pages that recipients meet, measured beside each other: signing up, unsubscribing by one click, the page behind
the link.

A house of its own: `dispatcher web` as a process, PostgreSQL with fsync, the broker. All of it shares one core where
the machine has more, and the visitors have another. What the requests must have left in the database is counted.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpcore
from sqlalchemy import Engine, update

from dispatcher.bench import stage
from dispatcher.bench.errands import Errand, errands
from dispatcher.bench.load import free_port
from dispatcher.bench.meter import Meter
from dispatcher.bench.postgres import PRODUCTION, PostgresServer
from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.tables import signup_attempt
from dispatcher.errors import PartUnavailable
from dispatcher.sending import house as houses
from dispatcher.settings import Settings, environment
from dispatcher.web import stamp
from dispatcher.worker import supervisor
from dispatcher.worker.programs import Program, end_all, ourselves

VISITORS = 8  # at once, each over a connection of its own
_START_LIMIT = 60.0
_STAMP = re.compile(rb'name="stamp" value="([^"]+)"')

Tell = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Visits:
    """How many come. The form takes 2,000 sign-ups an hour; after each round an hour passes. `warm`: not counted."""

    rounds: int = 2
    of: int = 1_500
    warm: int = 200
    people: int = 20_000  # whom the database knows


_USUAL = Visits()


@dataclass(frozen=True, slots=True)
class PageFigures:
    """What came of one errand. Costs in CPU microseconds a request."""

    name: str
    requests: int
    visitors: int
    rate: float
    p50_ms: float
    p99_ms: float
    web_us: float
    database_us: float
    broker_us: float
    web_mb: float


@dataclass(frozen=True, slots=True)
class _House:
    """The pages, running: their port, the process ids by name, and the cores that are left to visitors."""

    settings: Settings
    engine: Engine
    port: int
    programs: dict[str, int]
    others: Sequence[int]


def measure(tell: Tell, visits: Visits = _USUAL) -> list[PageFigures]:
    """Measure each errand. `tell` hears what is being done, and the share that is done. Raises PartUnavailable."""
    tell("starting", None)
    with _house(visits.people) as house:
        figures: list[PageFigures] = []
        found = errands(house.engine, houses.keyring(house.settings), _old_stamp(house.port))
        for number, errand in enumerate(found):
            tell(errand.name, number / len(found))
            figures.append(_measured(house, errand, visits))
        return figures


def _measured(house: _House, errand: Errand, visits: Visits) -> PageFigures:
    """Warm it up, then let the visitors come in rounds."""
    _visit(house, errand, range(visits.warm))
    meter = Meter(house.programs)
    meter.start()
    seconds, milliseconds = 0.0, []
    for number in range(visits.rounds):
        start = visits.warm + number * visits.of
        seen = _visit(house, errand, range(start, start + visits.of))
        seconds += seen["seconds"]
        milliseconds += seen["milliseconds"]
    costs = meter.stop()
    count = len(milliseconds)
    cuts = quantiles(milliseconds, n=100)
    us = {name: cost.cpu_s / count * 1e6 for name, cost in costs.items()}
    return PageFigures(
        errand.name, count, VISITORS, count / seconds, cuts[49], cuts[98], us["web"], us["database"], us["broker"],
        costs["web"].peak_mb,
    )  # fmt: skip


def _visit(house: _House, errand: Errand, numbers: range) -> dict[str, Any]:
    """Let visitors come with these requests, and see that each got what it came for."""
    lines = "\n".join(json.dumps(errand.make(i).decode("latin-1")) for i in numbers)
    argv = [sys.executable, "-m", "dispatcher.bench.visitors", str(house.port), str(VISITORS)]
    with _on(house.others):
        done = subprocess.run(  # noqa: S603  (our own program)
            argv, input=lines, capture_output=True, text=True, check=True, env=environment()
        )
    seen: dict[str, Any] = json.loads(done.stdout)
    left = numbers.stop if errand.left is None else errand.left()
    if seen["statuses"] != {"200": len(numbers)} or left != numbers.stop:
        raise PartUnavailable(
            f"{errand.name}: the answers were {seen['statuses']}, and {left:,} of {numbers.stop:,} left what they must",
            f"look into {house.settings.var / 'programs.log'}",
        )
    with house.engine.begin() as conn:
        conn.execute(update(signup_attempt).values(at=clock.now(conn) - timedelta(hours=1)))
    return seen


def _old_stamp(port: int) -> str:
    """Fetch the form as a person does, and take as long to fill it in as a person takes at least."""
    page = httpcore.request("GET", f"http://127.0.0.1:{port}/?lang=de").content
    found = _STAMP.search(page)
    assert found is not None
    time.sleep(stamp.SHORTEST.total_seconds() + 0.1)
    return found[1].decode()


@contextmanager
def _house(people: int) -> Iterator[_House]:
    here, others = _cores()
    with ExitStack() as stack, _on(here):
        home = Path(tempfile.mkdtemp(prefix="dispatcher-bench-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        server = PostgresServer(durable=True, settings=PRODUCTION)
        stack.callback(server.remove)
        server.execute("CREATE DATABASE bench")
        settings, config = stage.settings_of(home, server.database("bench"), trusted_proxies="127.0.0.1")
        engine = stage.filled(settings, people)
        stack.callback(engine.dispose)
        port = free_port()
        programs = _programs(stack, settings, config, port)
        _wait_for(port, settings)
        yield _House(settings, engine, port, {**programs, "database": server.pid}, others)


def _programs(stack: ExitStack, settings: Settings, config: Path, port: int) -> dict[str, int]:
    lines, around = settings.var / "programs.log", environment(config)
    broker = Program("valkey", supervisor.broker_command(settings), around, lines)
    web = Program("web", ourselves("web", "--port", str(port)), around, lines)
    stack.callback(end_all, [broker, web], 5.0)
    broker.start()
    supervisor.wait_for_broker(settings)
    web.start()
    assert broker.process is not None
    assert web.process is not None
    return {"broker": broker.process.pid, "web": web.process.pid}


def _wait_for(port: int, settings: Settings) -> None:
    until = steady() + _START_LIMIT
    while steady() < until:
        try:
            if httpcore.request("GET", f"http://127.0.0.1:{port}/healthz").status == 200:
                return
        except httpcore.NetworkError:
            time.sleep(0.1)
    raise PartUnavailable("the pages do not start", f"look into {settings.var / 'programs.log'}")


def _cores() -> tuple[Sequence[int], Sequence[int]]:
    """Give the core of the pages, and those of who visits them."""
    there = sorted(os.sched_getaffinity(os.getpid())) if hasattr(os, "sched_getaffinity") else []
    return there[:1], there[1:] or there


@contextmanager
def _on(cores: Sequence[int]) -> Iterator[None]:
    """Run what is started meanwhile on these cores, where the system can be told so."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

"""What runs in the processes that torture starts: a worker's loop without a broker.

They are forked off a warm process in which everything is imported already (`multiprocessing`'s fork server), so that a
worker starts, and may be killed, within a few hundredths of a second. What runs is the production code; only before it
starts, its constants may be hurried, a point of death armed, or its disk made small (points.py).
"""

import gc
import pickle
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import DBAPIError

from dispatcher import settings as settings_module
from dispatcher.db.clock import steady
from dispatcher.db.engine import reading
from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignKind, CampaignState
from dispatcher.errors import DispatcherError
from dispatcher.observe import logs
from dispatcher.sending import endings, sweep
from dispatcher.worker.sender import Bench, make_bench, run_drain
from dispatcher.worker.stop import Stop
from tests.processes import lead
from tests.torture.points import Point, Tempo, arm, hurry

log = structlog.get_logger()
_ALIVE = (CampaignState.SCHEDULED, CampaignState.PREPARING, CampaignState.SENDING)


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is started with. `life`: seconds after which it ends by itself, should all else be gone."""

    environ: dict[str, str]
    var: Path
    tempo: Tempo = field(default_factory=Tempo)
    point: Point | None = None
    nth: int = 1
    pages: int = 0  # SQLite: the database may not grow beyond these; 0: it may
    life: float = 120.0


def work(order: Order) -> None:
    """Be a worker whose broker is away: tick, drain, look again; end when no campaign is alive, or told to."""
    gc.freeze()  # what the fork inherited: a round over it would copy all of its memory
    for stream in (1, 2):
        lead(stream, order.var / "workers.log")
    logs.configure("json")
    hurry(order.tempo)
    if order.point is not None:
        arm(order.point, order.nth)
    stop = Stop().listen()
    bench = make_bench(settings_module.load(order.environ, order.var), stop.is_set)
    if order.pages:
        _make_small(bench.engine, order.pages)
    until = steady() + order.life
    while not stop.is_set() and steady() < until:
        if not _is_alive_after_a_round(bench):
            return
        stop.wait(0.01)


def _is_alive_after_a_round(bench: Bench) -> bool:
    """Do what the watch process of `dispatcher worker` does while the broker is away."""
    try:
        endings.settle(bench.engine, bench.file, bench.tide)
        waiting = sweep.tick(bench.engine, bench.house)
        if waiting.newsletters or waiting.confirmations:
            run_drain(bench, list(CampaignKind), 60.0)
        return _is_any_alive(bench.engine)
    except (DBAPIError, DispatcherError) as error:
        log.warning("round.failed", error=type(error).__name__, what=str(error).splitlines()[0])
        time.sleep(0.05)
        return True


def _is_any_alive(engine: Engine) -> bool:
    with reading(engine).connect() as conn:
        alive = select(campaign.c.id).where(campaign.c.state.in_(_ALIVE)).limit(1)
        return conn.execute(alive).scalar_one_or_none() is not None


def _make_small(engine: Engine, pages: int) -> None:
    @event.listens_for(engine, "connect")
    def _limit(connection, _record) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")


if __name__ == "__main__":
    work(pickle.loads(Path(sys.argv[1]).read_bytes()))

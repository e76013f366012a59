"""A look at a campaign that nobody waits for: it goes on beside what the process does, and its row says how far it is.

    begin    a thread of its own -> gate.look, as at the command line -> the report is stored
                 | every second: a beat; the row is another run's by now? then this one ends
                 v
             the run has ended, or says in words why it came to no result

What must stay true: the browser that began it may close. A process that dies leaves a run without a sign of life, which
is over after a minute (domain/newsletters/preflight_runs.py).
"""

import threading

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.domain.newsletters import preflight_runs
from dispatcher.errors import DispatcherError
from dispatcher.sending.preflight import gate
from dispatcher.sending.preflight.examination import Desk, Progress

log = structlog.get_logger()
_BEAT = 1.0  # seconds between two signs of life: each is a commit
_UNFORESEEN = "it ended by a fault of the program; the log names it"


class _Overtaken(Exception):
    """This run gave no sign for so long that somebody began another."""


def begin(engine: Engine, campaign_id: int, no: int, desk: Desk) -> None:
    """Look a campaign over in a thread; the run `no` was entered and is committed."""
    threading.Thread(target=run, args=(engine, campaign_id, no, desk), name=f"preflight {no}", daemon=True).start()


def run(engine: Engine, campaign_id: int, no: int, desk: Desk) -> None:
    """Look a campaign over as run `no` of it, and say how far it is and how it ended."""
    problem = None
    try:
        gate.look(engine, campaign_id, desk, progress=_telling(engine, campaign_id, no))
    except _Overtaken:
        return
    except DispatcherError as error:
        problem = f"{error.what}; {error.cure}"
    except Exception:  # the border of the thread: whoever watches has to be told
        log.exception("preflight.failed", campaign=campaign_id)
        problem = _UNFORESEEN
    try:
        with engine.begin() as conn:
            preflight_runs.end(conn, campaign_id, no, clock.now(conn), problem)
    except SQLAlchemyError as error:  # the database is away: the run is over all the same, once it gave no sign
        log.warning("preflight.untold", campaign=campaign_id, error=type(error).__name__)


def _telling(engine: Engine, campaign_id: int, no: int) -> Progress:
    next_beat = 0.0

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal next_beat
        if steady() < next_beat:
            return
        with engine.begin() as conn:
            if not preflight_runs.beat(conn, campaign_id, no, (stage, done, total), clock.now(conn)):
                raise _Overtaken
        next_beat = steady() + _BEAT

    return tell

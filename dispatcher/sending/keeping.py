"""Runs of retention: once a day by itself, in chunks between which everything else has its turn, and on an operator's
word.

What must stay true: a chunk and the note of it are one transaction, so a run that was cut off goes on where it stood,
and its counts are exact; of several processes one at a time does a chunk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, insert, select, text, update

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.tables import retention_run
from dispatcher.domain import retention
from dispatcher.domain.periods import Rules
from dispatcher.domain.retention import Step

log = structlog.get_logger()
DAILY = "daily"
EVERY = timedelta(days=1)
_BUDGET = 1.0  # seconds of a tick
_LOOK = 60.0  # seconds between two looks whether a day is over
_LOCK = 7_233_003  # advisory, PostgreSQL; on SQLite BEGIN IMMEDIATE is the lock
_ORDER = list(Step)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands. `step` None: it is through."""

    id: int
    origin: str
    started_at: datetime
    finished_at: datetime | None
    step: Step | None
    after: list[int] | None
    counts: dict[str, int]

    @property
    def steps_done(self) -> int:
        """Give how many of its steps are through."""
        return len(_ORDER) if self.step is None else _ORDER.index(self.step)


_COLUMNS = [retention_run.c[name] for name in Run.__slots__]


class Keeper:
    """Retention by itself, in one process."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self._engine = engine
        self._rules = rules
        self._next_look = 0.0

    def step(self) -> None:
        """Go on with an open run for a moment, or begin one if a day has passed since the last began."""
        end = steady() + _BUDGET
        while steady() >= self._next_look and steady() < end:
            with self._engine.begin() as conn:
                if not daily_chunk(conn, self._rules, clock.now(conn)):
                    self._next_look = steady() + _LOOK


def daily_chunk(conn: Connection, rules: Rules, now: datetime) -> bool:
    """Do a chunk of what is due by itself. False: nothing is, or another process is at it."""
    if conn.dialect.name == "postgresql" and not conn.execute(_TRY_LOCK, {"key": _LOCK}).scalar_one():
        return False
    run = open_run(conn)
    if run is None:
        last = newest(conn, 1)
        if last and last[0].started_at > now - EVERY:
            return False
        run = _begin(conn, DAILY, now)
    _chunk(conn, run, rules, now)
    return True


def run_now(engine: Engine, rules: Rules, origin: str, tell: Callable[[Run], None]) -> Run:
    """Do a whole run, but first what is left of one that is open; `tell` hears of each chunk. Give the run."""
    mine: int | None = None
    while True:
        with engine.begin() as conn:
            if conn.dialect.name == "postgresql":
                conn.execute(_WAIT_FOR_LOCK, {"key": _LOCK})
            if mine is not None and (done := by_id(conn, mine)).step is None:
                return done
            now = clock.now(conn)
            run = open_run(conn)
            if run is None:
                run = _begin(conn, origin, now)
                mine = run.id
            run = _chunk(conn, run, rules, now)
        tell(run)


def newest(conn: Connection, limit: int = 50) -> list[Run]:
    """Give the last runs, newest first."""
    rows = conn.execute(select(*_COLUMNS).order_by(retention_run.c.id.desc()).limit(limit))
    return [_run(row) for row in rows]


def open_run(conn: Connection) -> Run | None:
    """Give the run that is under way."""
    row = conn.execute(select(*_COLUMNS).where(retention_run.c.is_open)).one_or_none()
    return _run(row) if row is not None else None


def by_id(conn: Connection, run_id: int) -> Run:
    """Give a run."""
    return _run(conn.execute(select(*_COLUMNS).where(retention_run.c.id == run_id)).one())


_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")
_WAIT_FOR_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def _begin(conn: Connection, origin: str, now: datetime) -> Run:
    row = {"origin": origin, "started_at": now, "is_open": True, "step": _ORDER[0], "counts": {}}
    return by_id(conn, conn.execute(insert(retention_run).returning(retention_run.c.id), row).scalar_one())


def _chunk(conn: Connection, run: Run, rules: Rules, now: datetime) -> Run:
    """Do the next chunk of an open run, and note it; give the run as it stands then."""
    assert run.step is not None
    taken = retention.take(conn, run.step, rules, now, run.after)
    counts = {**run.counts, run.step.value: run.counts.get(run.step.value, 0) + taken.rows}
    step: Step | None = run.step
    if taken.after is None:
        later = _ORDER[run.steps_done + 1 :]
        step = later[0] if later else None
    values: dict[str, Any] = {"step": step, "after": taken.after, "counts": counts}
    if step is None:
        values |= {"finished_at": now, "is_open": None}
        log.info("retention.finished", run=run.id, **counts)
    conn.execute(update(retention_run).where(retention_run.c.id == run.id).values(values))
    return by_id(conn, run.id)


def _run(row: Any) -> Run:
    values = {name: getattr(row, name) for name in Run.__slots__}
    values["step"] = Step(values["step"]) if values["step"] else None
    return Run(**values)

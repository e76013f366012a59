"""The tick: what has to happen by itself, every few seconds, in any worker, any number of times.

    issues of series that are due become campaigns · due campaigns are launched, and launches go on ·
    letters given up past their expiry need no sweep (see retry.py) ·
    campaigns whose prices are too old are held · trials of subjects whose wait is over are decided ·
    those whose last recipient is accounted for become `sent` · people's pauses end on their day

Dead leases and due deferrals need no step of their own: a batch that is due or whose lease is over is claimable. What
the tick gives back is how much work waits, so that its caller can call workers for it.
"""

import time
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine, text

from dispatcher.compose.house import House
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import CampaignState
from dispatcher.domain.delivery import batches, workers
from dispatcher.domain.newsletters import campaigns, freshness, series, trials
from dispatcher.domain.people import pauses
from dispatcher.errors import DispatcherError, ReleaseOutdated
from dispatcher.sending import backlog, binding, issues, launch

log = structlog.get_logger()
EVERY = 5.0  # seconds
_ROOM = 0.1  # seconds between two portions of an audience: on SQLite whoever waits to write looks that often
_LOCK = 7_233_002  # advisory, PostgreSQL: two ticks at once would do the same work twice, harmlessly


@dataclass(frozen=True, slots=True)
class Work:
    """How many batches wait for a worker, up to 1,000 each."""

    confirmations: int
    newsletters: int
    next_due_s: float | None  # seconds until the next campaign or issue is due
    launching: tuple[int, ...] = ()  # campaigns of which people are still to be added to the audience


def tick(engine: Engine, house: House) -> Work:
    """Do what is due; say how much work waits for lanes."""
    issues.issue_due(engine, house)
    for campaign_id in _read_due(engine):
        begin(engine, campaign_id, house)
    with engine.begin() as conn:
        if _have_lock(conn):
            now = clock.now(conn)
            batches.close_cancelled(conn, now)
            freshness.hold_stale(conn, now)
            trials.settle_due(conn, now)
            backlog.finish_all(conn, now)
            pauses.resume_due(conn, now)
            workers.clear_up(conn, now)
    return waiting(engine)


def begin(engine: Engine, campaign_id: int, house: House) -> bool:
    """Launch one due campaign, or freeze the next portion of its audience; False: there was nothing to do. One that is
    not what was released any more is a draft again; one that cannot be launched stays `preparing` and is tried again at
    the next tick. Both have the reason noted.
    """
    if engine.dialect.name == "sqlite" and campaign_id in launching(engine):
        time.sleep(_ROOM)
    with engine.begin() as conn:
        launch.prepare(conn, campaign_id, clock.now(conn))
    try:
        with engine.begin() as conn:
            now = clock.now(conn)
            launched = launch.launch(conn, campaign_id, house, now)
            goes_on = not launched and launch.go_on(conn, campaign_id, now)
    except ReleaseOutdated as error:
        log.error("launch.outdated", campaign=campaign_id)
        with engine.begin() as conn:
            binding.take_back(conn, campaign_id, error.what, clock.now(conn), CampaignState.PREPARING)
        return False
    except DispatcherError as error:
        log.error("launch.failed", campaign=campaign_id, error=type(error).__name__)
        with engine.begin() as conn:
            campaigns.note_problem(conn, campaign_id, error.what)
        return False
    if launched:
        log.info("launched", campaign=campaign_id)
    return launched or goes_on


def waiting(engine: Engine) -> Work:
    """Count the batches that wait for a worker."""
    with reading(engine).connect() as conn:
        now = clock.now(conn)
        at = min(filter(None, [launch.next_due(conn), series.next_due(conn, now)]), default=None)
        found = backlog.count(conn, now)
        due_s = (at - now).total_seconds() if at else None
        return Work(found.confirmations, found.newsletters, due_s, tuple(campaigns.launching(conn)))


def launching(engine: Engine) -> list[int]:
    """Give the campaigns of which people are still to be added to the audience."""
    with reading(engine).connect() as conn:
        return campaigns.launching(conn)


def _read_due(engine: Engine) -> list[int]:
    with reading(engine).connect() as conn:
        return launch.due(conn, clock.now(conn))


def _have_lock(conn: Connection) -> bool:
    if conn.dialect.name != "postgresql":
        return True  # BEGIN IMMEDIATE is the lock
    return bool(conn.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}).scalar_one())

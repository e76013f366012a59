"""What a worker process says of itself, and hears: how it finds the relays, and which are to be tried again at once.

It is written where the process looks into the database anyway, a row every few seconds; no letter waits for it. Nothing
rests on it: with the database away it is said later. `due`, `heed` are for the thread of the breakers, `write` for any.
"""

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.metadata import version

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.terms import WorkerRole
from dispatcher.domain.delivery import workers
from dispatcher.domain.delivery.workers import Found, Report
from dispatcher.smtp.breaker import Breakers, Position, Standing

log = structlog.get_logger()
EVERY = 4.0  # seconds between two reports


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be said, by the steady clock as of `at`."""

    at: float
    is_sending: bool
    standings: tuple[Standing, ...]


class Reporter:
    """Of one process."""

    def __init__(self, role: WorkerRole, breakers: Breakers) -> None:
        self.process = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._role, self._breakers = role, breakers
        self._begun = steady()
        self._started_at: datetime | None = None
        self._next = 0.0
        self._said: tuple[object, ...] = ()
        self._heard: dict[str, datetime] = {}
        self._well: dict[str, float] = {}
        self._tick: tuple[float, float] | None = None  # when the last round began, and its seconds

    def due(self) -> Draft | None:
        """Give what is to be said now, while it sends; None: it was said a moment ago, and nothing has changed."""
        draft = self._draft(is_sending=True)
        news = tuple((standing.position, standing.next_try) for standing in draft.standings)
        if news == self._said and steady() < self._next:
            return None
        self._said, self._next = news, steady() + EVERY
        return draft

    def write(self, conn: Connection, draft: Draft, now: datetime) -> None:
        """Enter what is to be said."""

        def when(at: float | None) -> datetime | None:
            return None if at is None else now + timedelta(seconds=at - draft.at)

        if self._started_at is None:
            self._started_at = now - timedelta(seconds=draft.at - self._begun)
        began, took = self._tick or (None, None)
        found = tuple(
            Found(
                s.relay, s.lines_up, when(s.since), when(s.next_try), s.position is Position.HALF_OPEN, s.kept_to or 0,
                s.failures, s.why, when(self._well.get(s.relay)),
            )
            for s in draft.standings
        )  # fmt: skip
        workers.write(
            conn,
            Report(
                self.process, self._role, socket.gethostname(), os.getpid(), _version(), self._started_at, now,
                draft.is_sending, when(began), None if took is None else round(took * 1000), found,
            ),
        )  # fmt: skip

    def heed(self, wishes: Mapping[str, datetime]) -> None:
        """Try again at once what somebody wanted to be tried since the last look."""
        news = {relay for relay, at in wishes.items() if self._heard.get(relay) != at}
        self._heard = dict(wishes)
        if news:
            self._breakers.hurry(news, steady())

    def rest(self, engine: Engine) -> None:
        """Say that it waits to be called, and what it knows of the relays."""
        draft = self._draft(is_sending=False)
        self._said, self._next = (), 0.0
        try:
            with engine.begin() as conn:
                self.write(conn, draft, clock.now(conn))
        except DBAPIError as error:
            log.warning("report.unwritten", error=type(error.orig).__name__)

    def tell_of_tick(self, engine: Engine, began: float) -> None:
        """Say that a round of the tick is through, which began at this moment of the steady clock."""
        self._tick = (began, steady() - began)
        self.rest(engine)

    def say_goodbye(self, engine: Engine) -> None:
        """Let nobody wait for a sign of it any more."""
        try:
            with engine.begin() as conn:
                workers.say_goodbye(conn, self.process)
        except DBAPIError as error:
            log.warning("report.unwritten", error=type(error.orig).__name__)

    def _draft(self, *, is_sending: bool) -> Draft:
        now, standings = steady(), tuple(self._breakers.standings())
        self._well |= {s.relay: now for s in standings if s.has_answered and s.position is Position.CLOSED}
        return Draft(now, is_sending, standings)


@lru_cache(maxsize=1)
def _version() -> str:
    return version("dispatcher")

"""Rates that hold over all processes: of each key the moment of the last permit that was given out.

    first = max(now, last + 1/rate)        last = first + (n - 1)/rate

This is the generic cell rate algorithm (ITU-T I.371), with the last permit kept instead of the theoretical arrival of
the next: so a rate that changes counts from that permit on, and not after what the old rate would have had one wait.
After a pause there is no burst. What would come later than the horizon is not reserved: who asked may be gone by then.

Here the database keeps the moments. `sending/buckets.py` has the broker do it, by the same arithmetic.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, case, or_, select, text

from dispatcher.db import clock
from dispatcher.db.columns import insert_or
from dispatcher.db.tables import pace

HORIZON_US = 2_000_000
# A last permit this far ahead was not given out by this clock: somebody has put it back.
NONSENSE_US = 60_000_000


class Ask(NamedTuple):
    """So many permits at so many a second: one, or as many as lie within a part of the horizon."""

    rate_per_s: float
    permits: int

    @property
    def step_us(self) -> float:
        """Give the microseconds from one permit to the next."""
        return 1_000_000 / self.rate_per_s


class Grant(NamedTuple):
    """The seconds until the first permit is good, the others following at the rate. `permits` 0: none was reserved,
    the first would have been good only then.
    """

    wait_s: float
    permits: int


def reserve(conn: Connection, asks: Mapping[str, Ask], now_us: int | None = None) -> dict[str, Grant]:
    """Reserve permits, by the database's clock or at `now_us`. Whoever asks at the same time gets others."""
    if conn.dialect.name == "postgresql":
        # A permit that a crash forgets costs nobody anything.
        conn.execute(text("SET LOCAL synchronous_commit = off"))
    if now_us is None:
        now_us = round(clock.now(conn).timestamp() * 1_000_000)
    # In one order for all: two who want the same keys never wait for each other.
    return {key: _reserve(conn, key, asks[key], now_us) for key in sorted(asks)}


def _reserve(conn: Connection, key: str, ask: Ask, now_us: int) -> Grant:
    step, span = round(ask.step_us), round(ask.step_us * ask.permits)
    earliest = now_us - step  # a last permit before this one delays nothing
    statement = insert_or(conn.dialect.name, pace).values(key=key, last_us=earliest + span)
    delays = pace.c.last_us.between(earliest, now_us + NONSENSE_US)
    last = conn.execute(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={"last_us": case((delays, pace.c.last_us), else_=earliest) + span},
            where=or_(pace.c.last_us <= earliest + HORIZON_US, pace.c.last_us > now_us + NONSENSE_US),
        ).returning(pace.c.last_us)
    ).scalar_one_or_none()
    if last is not None:
        return Grant((last - span + step - now_us) / 1_000_000, ask.permits)
    stands = conn.execute(select(pace.c.last_us).where(pace.c.key == key)).scalar_one()
    return Grant(max(stands + step - now_us, HORIZON_US) / 1_000_000, 0)

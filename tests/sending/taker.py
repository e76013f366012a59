"""A process that takes permits as fast as it may, and tells the moment of each: one of several in a test."""

import asyncio
import sys
import time
from pathlib import Path

import structlog

from dispatcher.db.clock import steady
from dispatcher.db.engine import make_engine
from dispatcher.sending import broker_permits as _loaded  # noqa: F401  (a process that keeps a rate has it: no part of what is timed)
from dispatcher.sending.buckets import Buckets
from dispatcher.sending.supply import Supply


async def take(database_url: str, broker_url: str, rate: float, seconds: float) -> list[float]:
    """Take for so long; give the moment before the first was asked for, and those of all, on a clock that all processes
    share.
    """
    engine = make_engine(database_url)
    buckets = Buckets(engine, broker_url, away=60.0)
    buckets.reserve({})  # loads the broker's client and finds it there or away: no part of what is timed
    supply = Supply(buckets)
    supply.pacer.set_rates({"k": rate})
    moments = [time.monotonic()]
    feeding = asyncio.create_task(supply.run())

    async def lane() -> None:
        until = steady() + seconds
        while steady() < until:
            while wait := supply.pacer.take(["k", "without a rate"], steady()):
                await asyncio.sleep(wait)
            moments.append(time.monotonic())

    await asyncio.gather(*(lane() for _ in range(4)))
    supply.end()
    await feeding
    buckets.close()
    engine.dispose()
    return moments


def take_and_tell(database_url: str, broker_url: str, rate: float, seconds: float, said: Path) -> None:
    """Be the process; write the moments into a file."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    taken = asyncio.run(take(database_url, broker_url, rate, seconds))
    said.write_text("\n".join(f"{moment:.6f}" for moment in taken))

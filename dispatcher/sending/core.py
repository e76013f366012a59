"""The event loop keeps to one core of the machine (sched_setaffinity(2)); a process' other threads go to any.

Each reply wakes the loop. Linux puts who is woken where it was woken from, and once the cores are two thirds busy it
looks for no idle one: so the loop came to sit on the core of a relay's server or of PostgreSQL and drove it away a
thousand times a second, while the other core of two stood idle for a fifth of the time.

What must stay true: a core that others want too is left for the next one, so it need not be known who else keeps to a
core. Where there is one core only, or no such call, nothing is done; and where the system refuses, because it gave our
cores to others meanwhile, nobody fails for it.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

_CORES = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()  # which we may use
_ACCOUNT = Path("/proc/thread-self/schedstat")  # nanoseconds at work, nanoseconds of waiting for a core, turns
_LOOK = 1.0  # seconds between two looks
_TOO_LONG = 0.25  # share of them: who waits for a core that long is better off elsewhere


def go_anywhere() -> None:
    """Let the calling thread run on any core. It began on the one that whoever started it keeps to."""
    if _CORES:
        with suppress(OSError):
            os.sched_setaffinity(0, _CORES)


async def keep() -> None:
    """Keep the calling thread to one core until called off."""
    if len(_CORES) < 2 or not _ACCOUNT.exists():
        return
    turn = os.getpid()  # processes of one machine begin on different cores
    try:
        while True:
            os.sched_setaffinity(0, {_CORES[turn % len(_CORES)]})
            before = _waited()
            await asyncio.sleep(_LOOK)
            if _waited() - before > _TOO_LONG * _LOOK:
                turn += 1
    except OSError:
        return
    finally:
        go_anywhere()


def _waited() -> float:
    """Seconds that the calling thread could have run and had no core (Linux, Documentation/scheduler/sched-stats)."""
    return int(_ACCOUNT.read_text(encoding="ascii").split()[1]) / 1e9

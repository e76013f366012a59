"""A clock that no one can set. It says nothing of the time of day, only how much has gone by."""

import time
from typing import Final

# Looked up once, for each dot asks; where there is no BOOTTIME (macOS), MONOTONIC counts the sleep.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_read: Final = time.clock_gettime


def steady() -> float:
    """Give seconds on a clock that no one can set and that also counts a suspended machine's sleep."""
    return _read(_CLOCK)

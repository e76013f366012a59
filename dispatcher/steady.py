"""A clock that no one can set. It says nothing of the time of day, only how much has gone by."""

import time


def steady() -> float:
    """Give seconds on a clock that no one can set and that also counts a suspended machine's sleep."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()

"""When to try again, or give up. Pure: no database, no clock."""

from datetime import datetime, timedelta

_STEPS = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30), timedelta(minutes=60))
_LONGEST = timedelta(hours=4)


def next_attempt(attempt: int, now: datetime, expires: datetime, jitter: float) -> datetime | None:
    """Say when a letter that got a 4xx at its `attempt`-th attempt (from 1) is tried again; None: give up.

    5, 15, 30, 60 minutes, then doubled up to 4 hours; `jitter` (0 to 1) adds up to a quarter, so that those who were
    deferred together do not come back together.
    """
    later = min(_STEPS[-1] * 2 ** min(max(attempt - len(_STEPS), 0), 10), _LONGEST)
    wait = _STEPS[attempt - 1] if attempt <= len(_STEPS) else later
    at = now + wait * (1 + 0.25 * jitter)
    return at if at < expires else None

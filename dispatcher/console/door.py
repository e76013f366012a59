"""The door: strangers who want in have threads of their own, and a bound.

To compare a password takes long on purpose. However many try, they take no thread that other pages are served by, and
whoever waits here takes none at all. What is beyond the bound is refused at once: each connection that waits counts
among those that the server takes, and recipients need these.
"""

from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.responses import Response

AT_ONCE = 4
MOST_WAITING = 60


class Door:
    """Lets a few in at once, a few more wait, and nobody else."""

    def __init__(self) -> None:
        self._threads = CapacityLimiter(AT_ONCE)
        self._there = 0

    async def take(self, answer: Callable[[], Response]) -> Response:
        """Answer in a thread of the door's. Raises HTTPException 503 when too many wait."""
        if self._there >= AT_ONCE + MOST_WAITING:
            raise HTTPException(503)
        self._there += 1
        try:
            return await to_thread.run_sync(answer, limiter=self._threads)
        finally:
            self._there -= 1

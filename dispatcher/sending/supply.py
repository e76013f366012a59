"""Keeps a pacer in permits, beside the lanes that use them up."""

import asyncio
import contextlib

import structlog
from sqlalchemy.exc import DBAPIError

from dispatcher.db.clock import steady
from dispatcher.domain.rates.paces import Grant
from dispatcher.sending.buckets import Buckets
from dispatcher.sending.pacing import Pacer

log = structlog.get_logger()
_LOOK = 0.05  # seconds: a key that was put off may be due
_IDLE = 1.0  # seconds between looks while nothing has a rate


class Supply:
    """A pacer and where its permits come from. Run it as a task beside those who take."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._wake = asyncio.Event()
        self._ending = False
        self.pacer = Pacer(self._wake.set)

    async def run(self) -> None:
        """Reserve what is wanted, until `end`."""
        while not self._ending:
            await self._reserve()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _IDLE if self.pacer.is_idle else _LOOK)
            self._wake.clear()

    def end(self) -> None:
        """Let `run` return."""
        self._ending = True
        self._wake.set()

    async def _reserve(self) -> None:
        asked = self.pacer.wanted(steady())
        if not asked:
            return
        granted: dict[str, Grant] = {}
        try:
            granted = await asyncio.to_thread(self._buckets.reserve, asked)
        except DBAPIError as error:
            log.warning("pace.database_away", error=type(error.orig).__name__)
        self.pacer.add(asked, granted, steady())

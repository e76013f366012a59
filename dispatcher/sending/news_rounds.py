"""The rounds in which one process asks feeds: on a thread of its own, so that a slow one holds up no campaign."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain.newsletters import news_feeds
from dispatcher.errors import DispatcherError

if TYPE_CHECKING:
    from dispatcher.sending.preflight.examination import Desk

log = structlog.get_logger()


class NewsRounds:
    """One round at a time. `desk` gives what letters are looked over with; it is made when a feed is due."""

    def __init__(self, engine: Engine, desk: "Callable[[], Desk]") -> None:
        self._engine, self._desk = engine, desk
        self._round: threading.Thread | None = None

    def step(self) -> None:
        """Begin a round if a feed is due and none is under way. It ends with the process."""
        if self._round is not None and self._round.is_alive():
            return
        with reading(self._engine).connect() as conn:
            found = news_feeds.due(conn, clock.now(conn))
        if found:
            self._round = threading.Thread(target=self._go, args=(found,), name="news", daemon=True)
            self._round.start()

    def _go(self, found: list[int]) -> None:
        from dispatcher.sending.newsroom import bring  # what freezes letters weighs 5 MB, and most houses have no feed

        try:
            desk = self._desk()
            for feed_id in found:
                bring(self._engine, feed_id, desk)
        except (DBAPIError, DispatcherError) as error:
            log.warning("news.failed", error=type(error).__name__)

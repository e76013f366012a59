"""Permits for the pacer, exact over all workers: the broker keeps the moments, and while it is away the database does.

What must stay true: of two processes that ask at once, each gets permits of its own. To the broker this is one script
for all keys, by the broker's own clock; the arithmetic is that of `domain/rates/paces.py`.

When the broker goes away, or comes back, the other keeper knows nothing of the last permit: at that moment each key may
be served once more than its rate says, by what was reserved ahead, two seconds' worth at the very most.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine

from dispatcher.db.clock import steady
from dispatcher.domain.rates import paces
from dispatcher.domain.rates.paces import Ask, Grant

if TYPE_CHECKING:
    from dispatcher.sending.broker_permits import BrokerPermits

log = structlog.get_logger()
AWAY = 5.0  # seconds for which a broker that did not answer is not asked again


class Buckets:
    """Where permits are reserved. For one process; any of its threads may ask."""

    def __init__(self, engine: Engine, broker_url: str, *, away: float = AWAY) -> None:
        self._engine = engine
        self._away = away
        self._broker_url = broker_url
        self._broker: BrokerPermits | None = None  # until something is asked of it
        self._away_until = 0.0

    def reserve(self, asks: Mapping[str, Ask]) -> dict[str, Grant]:
        """Reserve permits under each key. Raises DBAPIError when neither broker nor database answers."""
        if steady() >= self._away_until and (granted := self._of_the_broker(asks)) is not None:
            return granted
        with self._engine.begin() as conn:
            return paces.reserve(conn, asks)

    def close(self) -> None:
        """Hang up."""
        if self._broker is not None:
            self._broker.close()

    def _of_the_broker(self, asks: Mapping[str, Ask]) -> dict[str, Grant] | None:
        """Ask the broker; None: it is away."""
        from dispatcher.sending.broker_permits import BrokerAway, BrokerPermits

        if self._broker is None:
            self._broker = BrokerPermits(self._broker_url)
        try:
            granted = self._broker.reserve(asks)
        except BrokerAway as error:
            if not self._away_until:
                log.warning("pace.broker_away", error=str(error), doing="asking the database")
            self._away_until = steady() + self._away
            return None
        if self._away_until:
            log.info("pace.broker_back")
        self._away_until = 0.0
        return granted

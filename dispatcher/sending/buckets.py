"""Permits for the pacer, exact over all workers: the broker keeps the moments, and while it is away the database does.

What must stay true: of two processes that ask at once, each gets permits of its own. To the broker this is one script
for all keys, by the broker's own clock; the arithmetic is that of `domain/rates/paces.py`.

When the broker goes away, or comes back, the other keeper knows nothing of the last permit: at that moment each key may
be served once more than its rate says, by what was reserved ahead, two seconds' worth at the very most.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import Engine

from dispatcher.db.clock import steady
from dispatcher.domain.rates import paces
from dispatcher.domain.rates.paces import HORIZON_US, NONSENSE_US, Ask, Grant

log = structlog.get_logger()
AWAY = 5.0  # seconds for which a broker that did not answer is not asked again
_PATIENCE = 1.0  # seconds
_PREFIX = "dispatcher:pace:"
_KEPT = 2 * 86_400  # seconds: longer than the longest step, that of a warm-up's first day

# 2^53 microseconds last until the year 2255, so Lua's numbers hold these moments exactly.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local horizon, nonsense, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local granted = {}
for place, key in ipairs(KEYS) do
  local step, span = tonumber(ARGV[2 * place + 2]), tonumber(ARGV[2 * place + 3])
  local last = tonumber(redis.call('GET', key) or '0')
  if last < now - step or last > now + nonsense then last = now - step end
  local wait, is_granted = last + step - now, 0
  if wait <= horizon then
    redis.call('SET', key, string.format('%.0f', last + span), 'EX', kept)
    is_granted = 1
  end
  granted[2 * place - 1], granted[2 * place] = wait, is_granted
end
return granted
"""


class Buckets:
    """Where permits are reserved. For one process; any of its threads may ask."""

    def __init__(self, engine: Engine, broker_url: str, *, away: float = AWAY) -> None:
        self._engine = engine
        self._away = away
        self._broker: Redis = Redis.from_url(
            _client_url(broker_url),
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 1),  # at most a few permits are reserved twice, and lost
        )
        self._script = self._broker.register_script(_SCRIPT)
        self._away_until = 0.0

    def reserve(self, asks: Mapping[str, Ask]) -> dict[str, Grant]:
        """Reserve permits under each key. Raises DBAPIError when neither broker nor database answers."""
        if steady() >= self._away_until:
            try:
                granted = self._of_the_broker(asks)
            except (RedisError, OSError) as error:
                if not self._away_until:
                    log.warning("pace.broker_away", error=type(error).__name__, doing="asking the database")
                self._away_until = steady() + self._away
            else:
                if self._away_until:
                    log.info("pace.broker_back")
                self._away_until = 0.0
                return granted
        with self._engine.begin() as conn:
            return paces.reserve(conn, asks)

    def close(self) -> None:
        """Hang up."""
        self._broker.close()

    def _of_the_broker(self, asks: Mapping[str, Ask]) -> dict[str, Grant]:
        arguments: list[int] = [HORIZON_US, NONSENSE_US, _KEPT]
        for ask in asks.values():
            arguments += [round(ask.step_us), round(ask.step_us * ask.permits)]
        answer: Any = self._script(keys=[_PREFIX + key for key in asks], args=arguments)
        pairs = zip(answer[::2], answer[1::2], strict=True)
        return {
            key: Grant(wait / 1_000_000, ask.permits if is_granted else 0)
            for (key, ask), (wait, is_granted) in zip(asks.items(), pairs, strict=True)
        }


def _client_url(broker_url: str) -> str:
    """Write a broker's URL, which is kombu's, as the client itself reads it."""
    if not broker_url.startswith("redis+socket://"):
        return broker_url
    return "unix://" + broker_url.removeprefix("redis+socket://").replace("virtual_host=", "db=")

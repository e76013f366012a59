"""Permits as the broker keeps them: one script for all keys, by the broker's own clock (see buckets.py).

A file of its own for its weight: the client is 6 MB, and a process that keeps to no rate never asks.
"""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from dispatcher.domain.rates.paces import HORIZON_US, NONSENSE_US, Ask, Grant

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


class BrokerAway(Exception):
    """It did not answer; the message is the kind of error."""


class BrokerPermits:
    """The broker as a keeper of permits. Any thread may ask."""

    def __init__(self, broker_url: str) -> None:
        self._broker: Redis = Redis.from_url(
            _client_url(broker_url),
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 1),  # at most a few permits are reserved twice, and lost
        )
        self._script = self._broker.register_script(_SCRIPT)

    def reserve(self, asks: Mapping[str, Ask]) -> dict[str, Grant]:
        """Reserve permits under each key. Raises BrokerAway."""
        arguments: list[int] = [HORIZON_US, NONSENSE_US, _KEPT]
        for ask in asks.values():
            arguments += [round(ask.step_us), round(ask.step_us * ask.permits)]
        try:
            answer: Any = self._script(keys=[_PREFIX + key for key in asks], args=arguments)
        except (RedisError, OSError) as error:
            raise BrokerAway(type(error).__name__) from error
        pairs = zip(answer[::2], answer[1::2], strict=True)
        return {
            key: Grant(wait / 1_000_000, ask.permits if is_granted else 0)
            for (key, ask), (wait, is_granted) in zip(asks.items(), pairs, strict=True)
        }

    def close(self) -> None:
        """Hang up."""
        self._broker.close()


def _client_url(broker_url: str) -> str:
    """Write a broker's URL, which is kombu's, as the client itself reads it."""
    if not broker_url.startswith("redis+socket://"):
        return broker_url
    return "unix://" + broker_url.removeprefix("redis+socket://").replace("virtual_host=", "db=")

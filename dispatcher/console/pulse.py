"""How fast campaigns go, remembered while somebody looks.

The rows are walked through once, when the first one looks; from then on each look adds what was served since the one
before. What must stay true: to look costs no more however long a campaign has been going.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy import Connection

from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.tallies import Tally
from dispatcher.domain.rates import tempo
from dispatcher.domain.rates.tempo import STRETCH, stretch_of

OVER = timedelta(minutes=10)  # how far back the line goes
_RATE_OVER = 3  # stretches before this one
_STALE = timedelta(seconds=20)  # nobody looked for so long: the rows tell when it was


@dataclass(slots=True)
class _Memory:
    """Of one campaign: letters by stretch, and how many there were at the last look."""

    letters: Counter[int]
    total: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Beat:
    """How fast a campaign goes: letters a second now, and letters a minute in each full stretch of the last minutes."""

    per_second: float
    line: tuple[int, ...]


@dataclass(slots=True)
class Pulse:
    """All campaigns that somebody looks at in this process."""

    _memories: dict[int, _Memory] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def feel(self, conn: Connection, of: Campaign, counted: Tally, now: datetime) -> Beat:
        """Say how fast a campaign goes that was launched."""
        assert of.launched_at is not None
        total = counted.sent + counted.failed + counted.unknown
        with self._lock:
            memory = self._memories.get(of.id)
            if memory is None or now - memory.at > _STALE or now < memory.at:
                memory = _Memory(Counter(tempo.letters(conn, of.id, now - OVER)), total, now)
                self._memories[of.id] = memory
            memory.letters[stretch_of(now)] += max(total - memory.total, 0)
            memory.total, memory.at = total, now
            self._forget(now)
            return _beat(memory.letters, of.launched_at, now)

    def _forget(self, now: datetime) -> None:
        for campaign_id, memory in list(self._memories.items()):
            if now - memory.at > _STALE:
                del self._memories[campaign_id]


def _beat(letters: Counter[int], launched_at: datetime, now: datetime) -> Beat:
    this = stretch_of(now)
    since = max((this - _RATE_OVER) * STRETCH, launched_at.timestamp())
    lately = sum(count for stretch, count in letters.items() if this - _RATE_OVER <= stretch <= this)
    first = max(this - int(OVER.total_seconds()) // STRETCH, stretch_of(launched_at))
    line = tuple(letters[stretch] * 60 // STRETCH for stretch in range(first, this))
    return Beat(lately / max(now.timestamp() - since, 1), line)

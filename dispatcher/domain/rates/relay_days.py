"""What became of a day's attempts, by relay and provider. Rates go by it, and nothing else: no figure that is shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from sqlalchemy import Connection, Date, Integer, Text, select, true

from dispatcher.db import shortcut
from dispatcher.db.columns import Rows, insert_or
from dispatcher.db.shortcut import Shortcut
from dispatcher.db.tables import relay_day
from dispatcher.domain.rates import slowdowns
from dispatcher.domain.rates.slowdowns import TOO_MANY, Place

_FIGURES = ("sent", "deferred", "failed")
_ROWS = Rows(
    "counted",
    {"relay": Text(), "provider": Text(), "day": Date(), "sent": Integer(), "deferred": Integer(), "failed": Integer()},
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of some attempts at a place. Who was withheld was no attempt."""

    place: Place
    sent: int = 0
    deferred: int = 0
    failed: int = 0

    @property
    def attempts(self) -> int:
        """Give how many there were."""
        return self.sent + self.deferred + self.failed

    @property
    def is_well_taken(self) -> bool:
        """Say whether less than one in twenty was deferred."""
        return self.deferred < TOO_MANY * max(self.attempts, 1)

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.place, self.sent + other.sent, self.deferred + other.deferred, self.failed + other.failed)


def count(conn: Connection, rows: Iterable[Counted], now: datetime) -> None:
    """Add to the counts of the day (UTC), and hold back recovering rates where much was deferred."""
    totals: dict[Place, Counted] = {}
    for row in rows:
        totals[row.place] = totals[row.place] + row if row.place in totals else row
    # In one order for all: two who count at once never wait for each other.
    found = sorted((t for t in totals.values() if t.attempts), key=lambda t: (t.place.relay, t.place.provider))
    if not found:
        return
    dialect = conn.dialect.name
    day = now.date().isoformat()
    counted = [(t.place.relay, t.place.provider, day, t.sent, t.deferred, t.failed) for t in found]
    shortcut.run(conn, _adding(dialect), _ROWS.values(dialect, counted))
    for total in found:
        if not total.is_well_taken:
            slowdowns.hold_back(conn, total.place, now)


@lru_cache(maxsize=2)  # each batch that is closed runs it
def _adding(dialect: str) -> Shortcut:
    given = _ROWS.table(dialect)
    statement = insert_or(dialect, relay_day).from_select([c.name for c in given.c], select(*given.c).where(true()))
    added = {name: relay_day.c[name] + statement.excluded[name] for name in _FIGURES}
    adding = statement.on_conflict_do_update(index_elements=["relay", "provider", "day"], set_=added)
    return shortcut.compiled(adding, dialect)


def history(conn: Connection, relays: Iterable[str], since: date) -> dict[Place, dict[date, Counted]]:
    """Give what was counted over these relays from a day on."""
    r = relay_day.c
    rows = conn.execute(
        select(r.relay, r.provider, r.day, r.sent, r.deferred, r.failed)
        .where(r.relay.in_(list(relays)), r.day >= since)
        .limit(100_000)
    )
    found: dict[Place, dict[date, Counted]] = {}
    for row in rows:
        place = Place(row.relay, row.provider)
        found.setdefault(place, {})[row.day] = Counted(place, row.sent, row.deferred, row.failed)
    return found

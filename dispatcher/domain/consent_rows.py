"""How consent events and what they make of subscriptions are written, many at once, on both databases.

PostgreSQL gets one statement for all of them, each column as one array. On SQLite a row is a call, and costs a third of
what it costs to take it out of a piece of JSON.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Insert, Integer, Text, and_, case, func, literal_column, or_, select, true
from sqlalchemy.dialects import postgresql, sqlite

from dispatcher.db.columns import Id, Rows, Utc, stored
from dispatcher.db.tables import consent_event, subscription
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain import chain
from dispatcher.domain.chain import COLUMNS

_STANDING = ("topic", "subscriber_id", "state", "event_id", "since", "declaration_number")
Standing = tuple[Topic, int, SubscriptionState, int, datetime, int | None]

_EVENTS = Rows("events", {name: consent_event.c[name].type for name in COLUMNS})
_STANDINGS = Rows("standings", dict(zip(_STANDING, (Text(), Id, Text(), Id, Utc(), Integer()), strict=True)))


def write(conn: Connection, rows: Sequence[tuple[chain.Value, ...]]) -> None:
    """Write events, each in the order of chain.COLUMNS."""
    if conn.dialect.name == "postgresql":
        conn.execute(_insert_events(), _EVENTS.values("postgresql", rows))
    else:
        conn.exec_driver_sql(_one_event(), [tuple(map(_for_sqlite, row)) for row in rows])


def set_standings(conn: Connection, rows: Sequence[Standing]) -> None:
    """Say where people stand now; of a person and topic there is one row at most."""
    if not rows:
        return
    if conn.dialect.name == "postgresql":
        conn.execute(_set_standings(), _STANDINGS.values("postgresql", rows))
    else:
        conn.exec_driver_sql(_one_standing(), [tuple(map(_for_sqlite, row)) for row in rows])


def _for_sqlite(value: object) -> object:
    return stored(value) if isinstance(value, datetime) else value


@lru_cache(maxsize=1)
def _insert_events() -> Insert:
    rows = _EVENTS.table("postgresql")
    return postgresql.insert(consent_event).from_select(COLUMNS, select(*rows.c))


@lru_cache(maxsize=1)
def _one_event() -> str:
    places = ", ".join("?" * len(COLUMNS))
    return f"INSERT INTO consent_event ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608  (our own words)


@lru_cache(maxsize=1)
def _set_standings() -> Insert:
    rows = _STANDINGS.table("postgresql")
    return _deciding(postgresql.insert(subscription).from_select(_STANDING, select(*rows.c).where(true())))


@lru_cache(maxsize=1)
def _one_standing() -> str:
    places = [literal_column("?", type_=Text).label(name) for name in _STANDING]
    values: Any = select(*places).where(true())
    statement = _deciding(sqlite.insert(subscription).from_select(_STANDING, values))
    return str(statement.compile(dialect=sqlite.dialect()))


def _deciding(statement: Any) -> Insert:
    """The newer event decides; but whoever has agreed and asks once more goes on having agreed, lesser words take no
    newer ones away, and the words that somebody left stay beside it.
    """
    of = {state: literal_column(f"'{state.value}'", Text()) for state in SubscriptionState}
    new, none = statement.excluded, literal_column("0", Integer())  # spelt out: on SQLite each place is a column's
    words = case(
        (new.state == of[SubscriptionState.WITHDRAWN], subscription.c.declaration_number), else_=new.declaration_number
    )
    deciding: Insert = statement.on_conflict_do_update(
        index_elements=["topic", "subscriber_id"],
        set_={c: new[c] for c in ("state", "event_id", "since")} | {"declaration_number": words},
        where=or_(
            subscription.c.state != of[SubscriptionState.CONFIRMED],
            new.state == of[SubscriptionState.WITHDRAWN],
            and_(
                new.state == of[SubscriptionState.CONFIRMED],
                func.coalesce(new.declaration_number, none) >= func.coalesce(subscription.c.declaration_number, none),
            ),
        ),
    )
    return deciding

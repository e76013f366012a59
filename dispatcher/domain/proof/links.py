"""The events of the ledger, read as they stand, in pages: whatever somebody put into a column, nothing fails."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from dispatcher.db import raw
from dispatcher.db.tables import consent_event
from dispatcher.domain.proof import chain
from dispatcher.domain.proof.chain import Link, Value
from dispatcher.domain.proof.moments import Moment

PAGE = 2000
_AT, _GIVEN_AT = chain.SEALED.index("at"), chain.SEALED.index("given_at")
_SEALED, _PERSONAL = len(chain.SEALED), len(chain.SEALED) + len(chain.PERSONAL)


def read(conn: Connection, page: int = PAGE) -> Iterator[Link]:
    """Give every event, in the order of their numbers. To be read within `raw.undecoded`."""
    number, last_id = consent_event.c.id, None
    columns = raw.columns(conn.dialect.name, consent_event, chain.COLUMNS)
    statement = select(*columns).select_from(consent_event).order_by(number).limit(page)
    while rows := conn.execute(statement if last_id is None else statement.where(number > last_id)).all():
        for row in rows:
            yield _link(conn.dialect.name, list(row))
        last_id = rows[-1][0]


def _link(dialect: str, values: list[Any]) -> Link:
    for place in (_AT, _GIVEN_AT):
        moment = raw.microseconds(dialect, values[place])
        if moment is not None:
            values[place] = Moment(moment)
    if float in map(type, values):  # SQLite keeps one in any column; no field of ours is one
        values = [value if isinstance(value, Value) else repr(value).encode() for value in values]
    return Link(tuple(values[:_SEALED]), tuple(values[_SEALED:_PERSONAL]), *values[_PERSONAL:])

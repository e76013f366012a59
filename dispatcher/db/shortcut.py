"""A statement run on PostgreSQL's driver itself: for the one that runs at every turn of the gate.

SQLAlchemy and the driver's parser would cost as much as all the rest. So would, when few lanes share a turn, a new
cursor each time: it has to learn anew how each kind of value is written. So each connection keeps one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

_CURSOR = "cursor of the shortcut"
_DOLLARS = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A statement as PostgreSQL reads it, `$1` and so on, and its parameters' names in order with what is constant."""

    text: bytes
    names: tuple[str, ...]
    constants: dict[str, object]


def compiled(statement: Executable) -> Shortcut:
    """Compile a statement for PostgreSQL."""
    made = statement.compile(dialect=_DOLLARS)  # type: ignore[attr-defined]
    # Plain values: the driver would write a word of ours, an Enum to it, by its name.
    constants = {
        name: str(value) if isinstance(value, str) else value
        for name, value in made.params.items()
        if value is not None
    }
    return Shortcut(str(made).encode(), tuple(made.positiontup or ()), constants)


def run(conn: Connection, statement: Shortcut, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run it, and give its rows. Raises DBAPIError."""
    known = {**values, **statement.constants}
    try:
        cursor = _cursor(conn)
        cursor.execute(statement.text, [known[name] for name in statement.names], prepare=True)
        return cursor.fetchall()
    except psycopg.Error as error:
        raise DBAPIError(statement.text.decode(), None, error, hide_parameters=True) from error


def _cursor(conn: Connection) -> psycopg.RawCursor[tuple[Any, ...]]:
    kept: psycopg.RawCursor[tuple[Any, ...]] | None = conn.info.get(_CURSOR)
    if kept is None:
        driver: psycopg.Connection = conn.connection.driver_connection  # type: ignore[assignment]
        kept = conn.info[_CURSOR] = psycopg.RawCursor(driver)
    return kept

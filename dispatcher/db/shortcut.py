"""Statements run on the database's driver itself: for those that run at every turn of the gate and for every claim.

SQLAlchemy and the driver's parser would cost as much as all the rest. So would, when few lanes share a turn, a new
cursor each time: it has to learn anew how each kind of value is written. So each connection to PostgreSQL keeps one.

What must stay true: SQLAlchemy's types stand aside here. What goes in and comes out is what both drivers write and read
alike: numbers, texts and octets. Moments pass through `written` and `read` of columns.py; lists are PostgreSQL's only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

from dispatcher.db.arrays import Bigints, Integers, Packed, Texts

if TYPE_CHECKING:
    import psycopg  # 9 MB: on SQLite nobody loads it

_CURSOR = "cursor of the shortcut"
_SPOKEN: dict[str, Any] = {
    "postgresql": postgresql.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
    "sqlite": sqlite.dialect(paramstyle="qmark"),
}


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A statement as its database reads it, `$1` or `?`, and its parameters' names in order with what is constant."""

    text: str
    names: tuple[str, ...]
    constants: dict[str, object]
    octets: bytes  # the text as PostgreSQL's driver takes it


def compiled(statement: Executable, dialect: str = "postgresql") -> Shortcut:
    """Compile a statement for a database."""
    made = statement.compile(dialect=_SPOKEN[dialect])  # type: ignore[attr-defined]
    # Plain values: the driver would write a word of ours, an Enum to it, by its name.
    constants = {
        name: str(value) if isinstance(value, str) else value
        for name, value in made.params.items()
        if not made.binds[name].required
    }
    return Shortcut(str(made), tuple(made.positiontup or ()), constants, str(made).encode())


@dataclass(slots=True)
class Both:
    """A statement for both databases, compiled when it first runs."""

    statements: Mapping[str, Executable]
    _made: dict[str, Shortcut] = field(default_factory=dict)

    def run(self, conn: Connection, **values: object) -> list[tuple[Any, ...]]:
        """Run it, and give its rows. Raises DBAPIError."""
        dialect = conn.dialect.name
        made = self._made.get(dialect)
        if made is None:
            made = self._made[dialect] = compiled(self.statements[dialect], dialect)
        return run(conn, made, values)


def both(statement: Executable) -> Both:
    """Give a statement that reads the same on both databases."""
    return Both(dict.fromkeys(_SPOKEN, statement))


def run(conn: Connection, statement: Shortcut, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run it, and give its rows. Raises DBAPIError."""
    known = {**values, **statement.constants}
    handed = [known[name] for name in statement.names]
    is_postgresql = conn.dialect.name == "postgresql"
    try:
        return _on_postgresql(conn, statement, handed) if is_postgresql else _on_sqlite(conn, statement, handed)
    except conn.dialect.loaded_dbapi.Error as error:
        base = conn.dialect.loaded_dbapi.Error
        said = DBAPIError.instance(statement.text, None, error, base, hide_parameters=True, dialect=conn.dialect)
        raise said from error


def _on_postgresql(conn: Connection, statement: Shortcut, handed: list[object]) -> list[tuple[Any, ...]]:
    cursor = _cursor(conn)
    cursor.execute(statement.octets, handed, prepare=True)
    return cursor.fetchall() if cursor.rownumber is not None else []


def _on_sqlite(conn: Connection, statement: Shortcut, handed: list[object]) -> list[tuple[Any, ...]]:
    driver: Any = conn.connection.driver_connection
    rows: list[tuple[Any, ...]] = driver.execute(statement.text, handed).fetchall()
    return rows


def _cursor(conn: Connection) -> "psycopg.RawCursor[tuple[Any, ...]]":
    kept: psycopg.RawCursor[tuple[Any, ...]] | None = conn.info.get(_CURSOR)
    if kept is None:
        driver: Any = conn.dialect.loaded_dbapi
        kept = conn.info[_CURSOR] = driver.RawCursor(conn.connection.driver_connection)
        for kind, dumper in _dumpers().items():
            kept.adapters.register_dumper(kind, dumper)
    return kept


@lru_cache(maxsize=1)
def _dumpers() -> "dict[type[Packed], type[psycopg.adapt.Dumper]]":
    """Tell the driver to hand packed arrays over as they are, and of which type of PostgreSQL's they are."""
    from psycopg import adapt, adapters, pq

    class Dumper(adapt.Dumper):
        format = pq.Format.BINARY

        def dump(self, array: Packed) -> bytes:
            return array.octets

    kinds: dict[type[Packed], str] = {Bigints: "int8", Integers: "int4", Texts: "text"}
    return {kind: type(name, (Dumper,), {"oid": adapters.types[name].array_oid}) for kind, name in kinds.items()}

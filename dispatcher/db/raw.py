"""Values as they stand in the database, past the types that the schema gives them.

Whoever can write to it can put values there that a driver cannot turn into the type it expects: PostgreSQL's
`infinity` and times before the year 1, text in a column of octets on SQLite. To verify the ledger is to find these.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnClause, Connection, Table, literal_column

from dispatcher.db.columns import Utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def columns(dialect: str, table: Table, names: Sequence[str]) -> list[ColumnClause[object]]:
    """Give these columns to select, so that nothing is made of their values. Read with `undecoded`.

    Times are microseconds since 1970 on PostgreSQL (its infinities: the ends of that range); on SQLite what is there.
    """
    return [_column(dialect, table, name) for name in names]


def microseconds(dialect: str, value: object) -> int | None:
    """Give a time that was selected by `columns` as microseconds since 1970 (UTC); None: it is no time."""
    if dialect == "postgresql":
        return value if isinstance(value, int) else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


@contextmanager
def undecoded(conn: Connection) -> Iterator[None]:
    """Meanwhile, a text on SQLite that is no UTF-8 is read as octets, instead of failing the statement."""
    raw = conn.connection.dbapi_connection
    if conn.dialect.name != "sqlite" or raw is None:
        yield
        return
    before = raw.text_factory
    raw.text_factory = _text
    try:
        yield
    finally:
        raw.text_factory = before


def _text(octets: bytes) -> str | bytes:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets


def _column(dialect: str, table: Table, name: str) -> ColumnClause[object]:
    full = f"{table.name}.{name}"
    if dialect == "postgresql" and isinstance(table.c[name].type, Utc):
        full = (
            f"CASE {full} WHEN 'infinity' THEN {2**63 - 1} WHEN '-infinity' THEN -{2**63 - 1}"
            f" ELSE CAST(extract(epoch FROM {full}) * 1000000 AS bigint) END"
        )
    return literal_column(full).label(name)  # type: ignore[return-value]

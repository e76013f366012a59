"""Column types that read the same on PostgreSQL and SQLite, and tables handed in as one parameter."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    FromClause,
    Integer,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

Id = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite
IdList = JSON().with_variant(ARRAY(BigInteger), "postgresql")


class Utc(TypeDecorator[datetime]):
    """A moment, aware and in UTC on the Python side. Naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def one_of(name: str, words: type[StrEnum] | Iterable[str]) -> CheckConstraint:
    """Make a CHECK that admits only these words in column `name`."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{name} IN ({listed})", name=f"{name}_known")


class collect(GenericFunction[Any]):  # noqa: N801  (reads as an SQL function)
    """Gather ids of a group into one value of type IdList."""

    type = IdList
    inherit_cache = True
    name = "collect"


@compiles(collect, "postgresql")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]
def _collect_postgresql(element: collect, compiler: SQLCompiler, **kw: Any) -> str:
    return f"array_agg({compiler.process(element.clauses, **kw)})"


@compiles(collect, "sqlite")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]
def _collect_sqlite(element: collect, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **kw)})"


def insert_or(conn: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Begin an INSERT that may say ON CONFLICT, in the dialect at hand."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def among(conn: Connection, subject: ColumnElement[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """Make the condition that an id is one of these, as one parameter: an index serves it, the text stays the same."""
    if conn.dialect.name == "postgresql":
        return subject == any_(literal(list(ids), ARRAY(BigInteger)))
    each = func.json_each(literal(json.dumps(list(ids)), Text)).table_valued("value")
    return subject.in_(select(each.c.value))


def rows_param(dialect: str, name: str, columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    """Make a FROM clause out of one parameter: a list of rows as JSON, see `rows_value`.

    The statement's text does not depend on how many rows come, so it stays prepared.
    """
    if dialect == "postgresql":
        handed = func.json_to_recordset(cast(bindparam(name, type_=Text), JSON))
        return handed.table_valued(*(column(c, t) for c, t in columns.items()), name=name).render_derived(
            with_types=True
        )
    each = func.json_each(bindparam(name, type_=Text)).table_valued("value", name=f"{name}_json")
    fields = (func.json_extract(each.c.value, f"$.{c}", type_=t).label(c) for c, t in columns.items())
    return select(*fields).select_from(each).subquery(name)


def rows_value(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Give the value for a `rows_param` of these columns."""
    return json.dumps([dict(zip(columns, row, strict=True)) for row in rows])

"""Column types that read the same on PostgreSQL and SQLite, and tables handed in with a statement."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    LargeBinary,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

from dispatcher.db.arrays import Packed, array_of, array_of_octets, array_of_texts, bigints, integers, texts

Id = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite
Json = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
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


def insert_or(dialect: str, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Begin an INSERT that may say ON CONFLICT, in the dialect at hand."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def among(conn: Connection, subject: ColumnElement[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """Make the condition that an id is one of these, as one parameter: an index serves it, the text stays the same."""
    if conn.dialect.name == "postgresql":
        # As text: to write it out here costs a fifth of what the driver takes for a list.
        return subject == any_(cast(literal(array_of(ids), Text), ARRAY(BigInteger)))
    each = func.json_each(literal(json.dumps(list(ids)), Text)).table_valued("value")
    return subject.in_(select(each.c.value))


def holds(conn: Connection, ids: ColumnElement[Any], one: int) -> ColumnElement[bool]:
    """Make the condition that a list of ids (IdList) has this one in it; the list stays in the database."""
    if conn.dialect.name == "postgresql":
        return cast(literal(one), BigInteger) == any_(ids)
    each = func.json_each(ids).table_valued("value")
    return select(each.c.value).where(each.c.value == one).exists()


def length(conn: Connection, ids: ColumnElement[Any]) -> ColumnElement[int]:
    """Give how many ids a list (IdList) has."""
    size = func.cardinality if conn.dialect.name == "postgresql" else func.json_array_length
    return size(ids)


def one_of_many(conn: Connection, subject: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Make the condition that a column of octets or ids is one of thousands.

    On PostgreSQL as one parameter, read by a subquery: so it is read once, and not for each row that is looked at when
    the planner, who knows nothing of a table that has just grown, goes through it from end to end.
    """
    if conn.dialect.name != "postgresql":
        return subject.in_(list(values))
    type_ = ARRAY(subject.type)
    read = select(cast(literal(_array(subject.type, list(values)), Text), type_)).scalar_subquery()
    return subject == any_(cast(read, type_))  # without the cast it would be asked for one of the subquery's rows


def one_of_given(dialect: str, subject: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Make the condition that a column of octets or ids is one of those that come as the parameter `name`, for a
    statement that is put together once; `given` writes the parameter. For dozens, not for thousands.
    """
    if dialect == "postgresql":
        return subject == any_(cast(bindparam(name, type_=Text), ARRAY(subject.type)))
    return subject.in_(bindparam(name, expanding=True))


def given(dialect: str, subject: ColumnElement[Any], values: Iterable[Any]) -> Any:
    """Write the parameter of `one_of_given`."""
    return _array(subject.type, list(values)) if dialect == "postgresql" else list(values)


class Rows:
    """A table handed in with a statement: so many rows, one text, so that the statement stays prepared.

    On PostgreSQL each column travels as one array, written as text; on SQLite all of it as one piece of JSON (which
    cannot hold octets). `packed`: numbers and texts of statements that run past SQLAlchemy only (shortcut.py).
    """

    def __init__(self, name: str, columns: Mapping[str, TypeEngine[Any]], *, packed: bool = False) -> None:
        self._name = name
        self._packed = packed
        self._columns = dict(columns)

    def table(self, dialect: str) -> FromClause:
        """Give it as a FROM clause."""
        if dialect == "postgresql":
            # In the list of what is selected, and not in FROM, where each array would be laid by as a table first.
            arrays = (
                func.unnest(self._handed_in(c, type_), type_=type_).label(c) for c, type_ in self._columns.items()
            )
            return select(*arrays).subquery(self._name)
        each = func.json_each(bindparam(self._name, type_=Text)).table_valued("value", name=f"{self._name}_json")
        fields = (
            func.json_extract(each.c.value, f"$[{place}]", type_=type_).label(c)
            for place, (c, type_) in enumerate(self._columns.items())
        )
        return select(*fields).select_from(each).subquery(self._name)

    def hold(self, name: str, subject: ColumnElement[Any]) -> ColumnElement[bool]:
        """Make the condition that a column is one of those that come in the column `name` of these rows; PostgreSQL's.

        Beside a join with these rows it says nothing new. But an index serves it in one walk for all of them, in
        order, where the join alone goes down the index once for each.
        """
        return subject == any_(self._handed_in(name, subject.type))

    def _handed_in(self, name: str, type_: TypeEngine[Any]) -> ColumnElement[Any]:
        parameter = f"{self._name}_{name}"
        if self._packed:
            return bindparam(parameter, type_=ARRAY(type_))
        return cast(bindparam(parameter, type_=Text), ARRAY(type_))

    def values(self, dialect: str, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """Give the parameters that carry these rows."""
        if dialect != "postgresql":
            return {self._name: json.dumps(rows, default=stored)}
        columns = zip(*rows, strict=True) if rows else [()] * len(self._columns)
        write = _packed if self._packed else _array
        return {
            f"{self._name}_{c}": write(type_, values)
            for (c, type_), values in zip(self._columns.items(), columns, strict=True)
        }


def _array(type_: TypeEngine[Any], values: Sequence[Any]) -> str:
    if isinstance(type_, LargeBinary):
        return array_of_octets(values)
    return array_of_texts(values) if isinstance(type_, Text) else array_of(values)


def _packed(type_: TypeEngine[Any], values: Sequence[Any]) -> Packed:
    if isinstance(type_, Text):
        return texts(values)
    return bigints(values) if isinstance(type_, BigInteger) else integers(values)


def stored(moment: datetime) -> str:
    """Write a moment as SQLite stores it."""
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:26]  # without the zone


def written(dialect: str, moment: datetime | None) -> datetime | str | None:
    """Write a moment for a statement that goes past SQLAlchemy."""
    return moment if moment is None or dialect == "postgresql" else stored(moment)


def read(value: datetime | str | None) -> datetime | None:
    """Read a moment that came past SQLAlchemy."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC) if value is not None else None


def words(*ours: StrEnum) -> list[ColumnElement[str]]:
    """Give words of ours to stand in a statement's text: with a parameter in their place a plan that is kept could not
    go by an index of which they are the condition.
    """
    return [literal_column(f"'{word.value}'", Text()) for word in ours]

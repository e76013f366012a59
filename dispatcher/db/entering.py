"""Rows that are entered together, and the ids that they get.

On PostgreSQL the statement has one text however many they are, so that it stays prepared: each column travels as one
array. On SQLite a statement is a call, and its text may be any.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, Column, Connection, String, Table, Text, cast, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningInsert

from dispatcher.db.columns import Rows, insert_or


def enter(conn: Connection, key: Column[Any], rows: Sequence[Mapping[str, Any]]) -> dict[Any, int]:
    """Enter rows into the table of `key`, a column in which no two are equal; give the new ids by it. A row whose like
    the table has already is passed over. Dozens at a time; all name the same columns.
    """
    if not rows:
        return {}
    names = tuple(rows[0])
    if conn.dialect.name == "postgresql":
        handed = [[_written(key.table.c[name], row[name]) for name in names] for row in rows]
        entered = conn.execute(_at_once(key, names), _handed(key.table, names).values("postgresql", handed))
    else:
        entered = conn.execute(_one_by_one(key), rows)
    return {row[0]: row[1] for row in entered}


@lru_cache(maxsize=16)
def _at_once(key: Column[Any], names: Sequence[str]) -> ReturningInsert[Any]:
    table, handed = key.table, _handed(key.table, names).table("postgresql")
    columns = (cast(handed.c[n], table.c[n].type) if _is_json(table.c[n]) else handed.c[n] for n in names)
    entering = postgresql.insert(table).from_select(names, select(*columns))
    return entering.on_conflict_do_nothing().returning(key, table.c.id)


@lru_cache(maxsize=16)
def _one_by_one(key: Column[Any]) -> ReturningInsert[Any]:
    return insert_or("sqlite", key.table).on_conflict_do_nothing().returning(key, key.table.c.id)


@lru_cache(maxsize=16)
def _handed(table: Table, names: Sequence[str]) -> Rows:
    types = {name: table.c[name].type for name in names}
    return Rows(table.name, {n: Text() if isinstance(type_, String | JSON) else type_ for n, type_ in types.items()})


def _written(column: Column[Any], value: Any) -> Any:
    return json.dumps(value) if _is_json(column) and value is not None else value


def _is_json(column: Column[Any]) -> bool:
    return isinstance(column.type, JSON)

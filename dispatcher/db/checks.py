"""Let a CHECK of tables.py's `one_of` admit more words, or a column no NULL, in a migration, without copying the table.

The words that stand are kept, whoever added them; so the order in which migrations add theirs does not matter.
"""

import re
from collections.abc import Iterable

from sqlalchemy import Connection, text

_WORD = re.compile(r"'([a-z0-9-]+)'")


def admit(conn: Connection, table: str, column: str, words: Iterable[str]) -> None:
    """Let `column` hold these words too."""
    known = _known(conn, table, column)
    _replace(conn, table, column, list(dict.fromkeys([*known, *words])))


def refuse(conn: Connection, table: str, column: str, words: Iterable[str]) -> None:
    """Let `column` hold these words no more; no row may hold one."""
    _replace(conn, table, column, [word for word in _known(conn, table, column) if word not in set(words)])


def demand(conn: Connection, table: str, column: str) -> None:
    """Let `column` hold no NULL; no row may hold one."""
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"))
    else:
        mend(conn, table, rf"\b({column} [A-Z]+)\b", r"\1 NOT NULL")


def excuse(conn: Connection, table: str, column: str) -> None:
    """Let `column` hold NULL again."""
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"))
    else:
        mend(conn, table, rf"\b({column} [A-Z]+) NOT NULL", r"\1")


def _name(table: str, column: str) -> str:
    return f"ck_{table}_{column}_known"


def _known(conn: Connection, table: str, column: str) -> list[str]:
    if conn.dialect.name == "postgresql":
        found = conn.execute(
            text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name"),
            {"name": _name(table, column)},
        ).scalar_one()
    else:
        found = _clause(_definition(conn, table), table, column)
    return _WORD.findall(found)


def _replace(conn: Connection, table: str, column: str, words: list[str]) -> None:
    name, listed = _name(table, column), ", ".join(f"'{word}'" for word in words)
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        conn.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IN ({listed}))"))
        return
    clause = re.escape(_clause(_definition(conn, table), table, column))
    mend(conn, table, clause, f"CONSTRAINT {name} CHECK ({column} IN ({listed}))")


def mend(conn: Connection, table: str, pattern: str, replacement: str) -> None:
    """SQLite alters no CHECK, NULL or key. Its manual's way for a change that leaves the rows as they are: mend the
    schema's text (https://www.sqlite.org/lang_altertable.html, 7). A copy of the ledger would lose what others hung on
    it.
    """
    after, count = re.subn(pattern, replacement, _definition(conn, table))
    assert count == 1, f"{pattern} is in {table} {count} times"
    version = int(conn.exec_driver_sql("PRAGMA schema_version").scalar_one())
    conn.exec_driver_sql("PRAGMA writable_schema=ON")
    conn.exec_driver_sql("UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", (after, table))
    conn.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    conn.exec_driver_sql("PRAGMA writable_schema=OFF")


def _definition(conn: Connection, table: str) -> str:
    found = conn.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return str(found.scalar_one())


def _clause(definition: str, table: str, column: str) -> str:
    found = re.search(rf"CONSTRAINT {_name(table, column)} CHECK \({column} IN \([^)]*\)\)", definition)
    assert found is not None, f"no CHECK of {table}.{column}"
    return found.group()

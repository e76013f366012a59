"""What keeps rows from being changed, switched off: as somebody does who may write to the database by hand."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text


@contextmanager
def unguarded(conn: Connection) -> Iterator[None]:
    """Let this transaction change what triggers guard; after it they guard again."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL session_replication_role = replica"))
        yield
        conn.execute(text("SET LOCAL session_replication_role = DEFAULT"))
        return
    guards = conn.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
    for name, _ in guards:
        conn.execute(text(f"DROP TRIGGER {name}"))
    yield
    for _, definition in guards:
        conn.exec_driver_sql(definition)

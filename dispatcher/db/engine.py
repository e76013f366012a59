"""Engines for both databases. What must stay true: a writer on SQLite takes its lock when it begins, never later.

A deferred SQLite transaction that reads first and writes later can fail with "database is locked" without any waiting;
BEGIN IMMEDIATE waits its turn instead. Readers use `reading(engine)`, which begins deferred and never blocks a writer.
"""

import select
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InvalidatePoolError, OperationalError

from dispatcher.errors import PartUnavailable, SettingInvalid

_FILE = "dispatcher.file"  # in a connection's info: which file it opened
_RESTS_SINCE = "dispatcher.rests_since"  # likewise
_RESTED = 1.0  # seconds
_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a gate that has committed survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=30000",
    "PRAGMA journal_size_limit=67108864",
)
_POSTGRESQL_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=600000 -c lock_timeout=30000 -c idle_in_transaction_session_timeout=120000"
)


def make_engine(url: str) -> Engine:
    """Make an engine for `sqlite:///FILE` or `postgresql://...`; nothing is connected yet.

    Raises SettingInvalid for any other database.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    engine = create_engine(
        parsed,
        hide_parameters=True,  # an error may be logged; an address in it may not
        pool_size=25,
        max_overflow=0,  # what is beyond the size would be opened and closed with each use, its prepared statements too
        pool_use_lifo=True,
        connect_args={"options": _POSTGRESQL_OPTIONS, "connect_timeout": 10, "application_name": "dispatcher"},
    )
    _ask_the_rested(engine)
    return engine


def _ask_the_rested(engine: Engine) -> None:
    """Before a connection is used again, ask the database whether it is alive: when it has rested, or when its line has
    something to say, as it has when the database closed it. SQLAlchemy's own `pool_pre_ping` asks each time, which
    costs a page a round trip for each of its transactions.
    """
    dialect: Any = engine.dialect

    @event.listens_for(engine, "checkin")
    def _rests(_connection: Any, record: Any) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _is_used(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get(_RESTS_SINCE)
        if since is None or (time.monotonic() - since < _RESTED and not _has_news(connection)):
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if not dialect.is_disconnect(error, connection, None):
                raise
            raise InvalidatePoolError from error


def _has_news(connection: Any) -> bool:
    """Claim that the line of an idle connection can be read, or is closed."""
    if connection.closed:
        return True
    line = select.poll()
    line.register(connection.fileno(), select.POLLIN)
    return bool(line.poll(0))


def reading(engine: Engine) -> Engine:
    """Give the engine for readers: snapshots that block nobody. Made once for each engine.

    Who reads often ends with a COMMIT (`begin()`, not `connect()`): at a ROLLBACK psycopg forgets every statement that
    it has prepared, and PostgreSQL plans each of them anew.
    """
    return _reading(engine)


@lru_cache(maxsize=4)
def _reading(engine: Engine) -> Engine:
    return engine.execution_options(reader=True)


def snapshot(engine: Engine) -> Engine:
    """Give the engine for readers who must see one moment from their first statement to their last.

    On SQLite they do anyway.
    """
    if engine.dialect.name != "postgresql":
        return reading(engine)
    return reading(engine).execution_options(isolation_level="REPEATABLE READ")


def scrub(engine: Engine) -> bool:
    """Let what was erased go from the database's files too. False: others are at work, and a copy is left until later.

    SQLite leaves old values in free pages and in its write-ahead log until it is made anew (VACUUM); writers wait
    meanwhile. `PRAGMA secure_delete` does not do: of 1,800 rows blanked after many changes it left 42 readable, in the
    gaps of pages that were set anew. PostgreSQL does it by itself (autovacuum), and to hurry it would not reach its log
    or its backups.
    """
    if engine.dialect.name != "sqlite":
        return True
    import sqlite3

    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("VACUUM")
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
    except sqlite3.OperationalError:  # somebody writes for longer than we wait; what was erased is erased all the same
        return False
    finally:
        raw.close()


def check(engine: Engine) -> None:
    """Connect once. Raises PartUnavailable with the cure when the database is away."""
    try:
        with reading(engine).connect() as conn:
            conn.execute(text("SELECT 1"))
    except DatabaseError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise PartUnavailable(
            f"the database {where} does not answer: {str(error.orig).strip().splitlines()[0]}",
            "start it, or mend DISPATCHER_DATABASE_URL",
        ) from error


def _parse(url: str) -> URL:
    cure = "use sqlite:////path/to/file.db or postgresql://user:password@host/name"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingInvalid("DISPATCHER_DATABASE_URL", "is not a database URL", cure) from None
    match parsed.get_backend_name():
        case "sqlite" if parsed.database:
            return parsed
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise SettingInvalid("DISPATCHER_DATABASE_URL", f"{other} is not supported here", cure)


class DatabaseReplaced(Exception):
    """Somebody put another file in the place of the database. Whoever has the old one open would go on writing to a
    file that nobody can find any more.
    """


def _which(path: str | None) -> tuple[int, int] | None:
    """Give which file lies there."""
    try:
        found = Path(path or "").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sqlite(url: URL) -> Engine:
    assert url.database is not None
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingInvalid(
            "DISPATCHER_DATABASE_URL",
            f"{Path(url.database).parent} cannot be made: {error.strerror}",
            "name another folder",
        ) from None
    engine = create_engine(url, connect_args={"timeout": 30}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN ourselves
        cursor = dbapi_connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()
        _record.info[_FILE] = _which(url.database)

    @event.listens_for(engine, "begin")
    def _on_begin(conn: Connection) -> None:
        if conn.info.get(_FILE) != _which(url.database):
            conn.invalidate()  # the next one opens the file that is there now
            raise OperationalError("BEGIN", None, DatabaseReplaced(f"{url.database} is another file now"))
        reader = conn.get_execution_options().get("reader", False)
        conn.exec_driver_sql("BEGIN DEFERRED" if reader else "BEGIN IMMEDIATE")

    return engine

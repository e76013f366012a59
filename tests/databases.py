"""The databases of tests: one of each kind for a process, emptied for every test and never made anew.

What costs is not to delete rows but to begin anew: a fresh connection to PostgreSQL reads the whole catalogue, and to
truncate is to make new files for each table, index and reference.
"""

import shutil
import time
from collections import Counter
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event, text

from dispatcher.db import engine as engines
from dispatcher.db.engine import make_engine
from dispatcher.db.tables import metadata

TEMPLATE = "dispatcher_template"
DURABLE = engines._SQLITE_PRAGMAS  # as in production
_SWEPT_AFTER = 20  # tests
_PATIENCE = 10.0  # seconds for somebody's connection to end

# What holds something, and what has given a number away.
_USED = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in metadata.tables)
_COUNTED = "SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences WHERE last_value IS NOT NULL"

_cleaners: dict[str, psycopg.Connection] = {}  # by database: the one connection that empties it
_emptied: Counter[psycopg.Connection] = Counter()
_had_turns: Counter[ModuleType] = Counter()  # by module: how many of its tests are on one database
_kept: set[int] = set()  # the connections that outlive a test: those of our engines, which nobody has in hand


class Server:
    """The PostgreSQL server that all tests share, known in each of their processes by the folder of its socket."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    @property
    def url(self) -> str:
        """Give the URL of the maintenance database."""
        return self.database("postgres")

    @property
    def binaries(self) -> Path:
        """Give the folder of PostgreSQL's programs: where the one lies that runs."""
        return Path((self._folder / "data" / "postmaster.opts").read_text(encoding="utf-8").split()[0]).parent

    def database(self, name: str) -> str:
        """Give the URL of a database."""
        return f"postgresql://dispatcher@/{name}?host={self._folder}"

    def execute(self, statement: str) -> None:
        """Run one statement in the maintenance database."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(statement)


def in_turn(name: str, cases: Iterable[Any]) -> pytest.MarkDecorator:
    """Try each case on one database, and the next on the other: for many that have nothing to do with databases."""
    turns = zip(cases, cycle(("sqlite", "postgresql")))
    return pytest.mark.parametrize((name, "database_url"), list(turns), indirect=["database_url"])


@pytest.hookimpl(tryfirst=True)
def each_in_turn(metafunc: pytest.Metafunc) -> None:
    """Try each test of a folder on one database, and the next of its module on the other, unless it says where.
    A folder of pages or commands has it as its `pytest_generate_tests`; what is marked `both_databases` keeps both.
    """
    marks = list(metafunc.definition.iter_markers())
    says = any(mark.name == "parametrize" and "database_url" in mark.args[0] for mark in marks)
    if says or "database_url" not in metafunc.fixturenames or any(mark.name == "both_databases" for mark in marks):
        return
    _had_turns[metafunc.module] += 1
    kind = "postgresql" if _had_turns[metafunc.module] % 2 else "sqlite"
    metafunc.definition.add_marker(pytest.mark.parametrize("database_url", [kind], indirect=True))


def never_wait_for_the_disk() -> None:
    """Let SQLite in this process hand its writes to the system and no further: no power cut is tried here."""
    engines._SQLITE_PRAGMAS = tuple(pragma.replace("synchronous=FULL", "synchronous=OFF") for pragma in DURABLE)


def sqlite_database(template: Path) -> str:
    """Give the one SQLite database of this process, new."""
    folder = template.with_name("house")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(template, folder / "dispatcher.db")
    return f"sqlite:///{folder}/dispatcher.db"


def postgres_database(folder: str, worker: str) -> str:
    """Give the one PostgreSQL database of this process, empty."""
    name, server = f"tests_{worker}", Server(folder)
    url = server.database(name)
    if name not in _cleaners:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        _cleaners[name] = psycopg.connect(url, autocommit=True)
        # Triggers guard rows, and references them: whoever deletes all of them asks neither.
        _cleaners[name].execute("SET session_replication_role = replica")
    else:
        _empty(_cleaners[name])
    return url


def emptied(engine: Engine, template: Path) -> Engine:
    """Empty the database in the middle of a test; give its engine, without connections from before."""
    rest(engine)
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "")
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        shutil.copy(template, path)
    else:
        _empty(_cleaners[engine.url.database or ""])
    return engine


def lasting_engine(url: str) -> Engine:
    """Make an engine for many tests: what it compiled serves them all, and PostgreSQL's connections do."""
    engine = make_engine(url)
    if engine.dialect.name == "postgresql":

        @event.listens_for(engine, "connect")
        def _keep(connection, record) -> None:
            record.info["pid"] = connection.info.backend_pid
            _kept.add(record.info["pid"])

        @event.listens_for(engine, "close")
        def _forget(_connection, record) -> None:
            _kept.discard(record.info["pid"])  # somebody else may have this number next

    return engine


def rest(engine: Engine) -> None:
    """Let a lasting engine rest until the next test. What somebody still holds of it is not kept."""
    if engine.dialect.name == "sqlite":
        engine.dispose()
    elif engine.pool.checkedout():  # type: ignore[attr-defined]
        _kept.clear()
        engine.dispose()


def close(engines_: Iterable[Engine]) -> None:
    """Close every connection at the end of a run."""
    for engine in engines_:
        engine.dispose()
    while _cleaners:
        _cleaners.popitem()[1].close()


def waiting(conn: Connection) -> int:
    """Say how many wait for a lock in this PostgreSQL database; other processes have their own."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return int(conn.execute(text(count)).scalar_one())


def _empty(conn: psycopg.Connection) -> None:
    _end_whoever_is_left(conn)
    if used := [row[0] for row in conn.execute(_USED)]:
        conn.execute(";".join(f"DELETE FROM {name}" for name in used))
        _emptied[conn] += 1
        if (
            _emptied[conn] % _SWEPT_AFTER == 0
        ):  # as dear as all the rest; until then new rows come to lie behind dead ones
            conn.execute(f"VACUUM {', '.join(metadata.tables)}")
    conn.execute(_COUNTED)


def _end_whoever_is_left(conn: psycopg.Connection) -> None:
    """End what a test left behind: it may hold locks for ever, or still write. So it is gone before anyone looks.
    PostgreSQL itself would look for its end ten times a second only.
    """
    others = " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL(%s)"
    kept = [list(_kept)]
    patient_until = time.monotonic() + _PATIENCE
    if conn.execute("SELECT pg_terminate_backend(pid)" + others, kept).rowcount:
        while conn.execute("SELECT pid" + others, kept).rowcount and time.monotonic() < patient_until:
            time.sleep(0.002)

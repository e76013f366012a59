"""The database's clock: the only one that leases, schedules and retries go by.

Workers' own clocks may be wrong by an hour; they all ask the same database. Between two questions a worker counts on
with a clock that cannot be set and that goes on while the machine sleeps.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from dispatcher.db.columns import Utc, read
from dispatcher.steady import steady as steady

# What asks for the time, to be selected. SQLite has no server: its clock is this machine's.
ASKED = {"sqlite": "strftime('%Y-%m-%dT%H:%M:%f', 'now')", "postgresql": "clock_timestamp()"}
_NOW = {dialect: text(f"SELECT {asked}") for dialect, asked in ASKED.items()}


def now(conn: Connection) -> datetime:
    """Ask the database for the time: aware, UTC."""
    return told(conn.execute(_NOW[conn.dialect.name]).scalar_one())


def told(answer: str | datetime) -> datetime:
    """Read what the database answered."""
    moment = read(answer)
    assert moment is not None
    return moment


class this_moment(GenericFunction[datetime]):  # noqa: N801  (reads as an SQL function)
    """The database's time within a statement, to be compared with a column of moments."""

    type = Utc()
    inherit_cache = True
    name = "this_moment"


@compiles(this_moment, "postgresql")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]
def _this_moment_postgresql(_element: this_moment, _compiler: SQLCompiler, **_: Any) -> str:
    return "statement_timestamp()"


@compiles(this_moment, "sqlite")  # type: ignore[no-untyped-call,untyped-decorator,unused-ignore]
def _this_moment_sqlite(_element: this_moment, _compiler: SQLCompiler, **_: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f', 'now')"  # as moments are stored, cut off after the thousandth


class DatabaseClock:
    """The database's time as last asked, carried on by `steady()`."""

    def __init__(self, moment: datetime) -> None:
        self._moment, self._at = moment, steady()

    def set(self, moment: datetime) -> None:
        """Take the database's word again."""
        self._moment, self._at = moment, steady()

    def now(self) -> datetime:
        """Give the database's time, as far as we know: aware, UTC."""
        return self._moment + timedelta(seconds=steady() - self._at)

"""How far each file of endings is in the database, and a process's memory of it.

What must stay true: everything in a file up to its mark stands in this database. A mark never goes down in one history:
a database that is behind what a process has seen was put back to an earlier state, and nothing may be sent from it
until what it has lost was applied again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    ScalarSelect,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)

from dispatcher.db import clock
from dispatcher.db.columns import insert_or
from dispatcher.db.shortcut import Both, both
from dispatcher.db.tables import consent_chain, ending_file, ending_owed
from dispatcher.errors import DispatcherError


class WentBack(DispatcherError):
    """The database is older than what this process has seen of it."""


@dataclass(slots=True)
class Tide:
    """How far all files together were in the database when this process last looked; it only rises."""

    seen: int = 0

    def heed(self, stands: int) -> bool:
        """Claim that the database has not gone back."""
        if stands < self.seen:
            return False
        self.seen = stands
        return True


@dataclass(frozen=True, slots=True)
class Known:
    """A file that this database knows."""

    id: bytes
    place: str
    octets: int
    home: str | None
    lost_at: datetime | None
    is_read_in: bool = False  # its row was not written by us, but read in from a backup


def home(conn: Connection) -> str | None:
    """Give which database this is: on PostgreSQL the cluster, its timeline and the database's number. A dump that is
    read in, a base backup that is brought up and a standby that is promoted all have another. None: nothing tells.
    """
    if conn.dialect.name != "postgresql":
        return None
    return str(conn.execute(_HOME).scalar_one())


_HOME = text(
    "SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),"
    " (SELECT timeline_id FROM pg_control_checkpoint()),"
    " (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


def settle_in(conn: Connection) -> None:
    """Note that this database, as it stands here, lacks nothing."""
    conn.execute(update(ending_file).values(home=home(conn), written_by=_writer(conn)))


def stands() -> ScalarSelect[int]:
    """Give the subquery: how many octets of all files are in the database."""
    return select(cast(func.coalesce(func.sum(ending_file.c.octets), 0), BigInteger)).scalar_subquery()


def has_gone_back(conn: Connection, tide: Tide) -> bool:
    """Claim that the database is behind what a process has seen of it."""
    return int(conn.execute(select(stands())).scalar_one()) < tide.seen


def look(conn: Connection, tide: Tide) -> datetime:
    """Give the database's time. Raises WentBack when it has gone back."""
    ((moment, reached),) = _LOOKING.run(conn)
    if not tide.heed(int(reached)):
        raise WentBack(
            "the database was put back to an earlier state while this process was running",
            "a worker that reaches the file of endings applies it first; see: dispatcher restore --help",
        )
    return clock.told(moment)


def take(conn: Connection, file_id: bytes) -> tuple[int, int] | None:
    """Lock a file's mark until this transaction ends; give it, with the newest event of the consent ledger. None: the
    database does not know the file.
    """
    rows = _TAKING.run(conn, file=file_id)
    return (int(rows[0][0]), int(rows[0][1])) if rows else None


def make_known(conn: Connection, file_id: bytes, place: str, octets: int) -> None:
    """Enter a file, of which so many octets need not be applied. Harmless if it is known."""
    row = {"id": file_id, "place": place, "octets": octets, "home": home(conn), "written_by": _writer(conn)}
    entering = insert_or(conn.dialect.name, ending_file).values(row)
    conn.execute(entering.on_conflict_do_nothing())


def move(conn: Connection, file_id: bytes, octets: int) -> None:
    """Set a mark that this transaction has taken."""
    _MOVING.run(conn, file=file_id, reached=octets)


# Put together once: every claim of a batch looks, takes and moves, and to do that anew costs as much as to run them.
_LOOKING = Both({dialect: select(literal_column(asked), stands()) for dialect, asked in clock.ASKED.items()})
_TAKING = both(
    select(ending_file.c.octets, select(func.coalesce(func.max(consent_chain.c.last_id), 0)).scalar_subquery())
    .where(ending_file.c.id == bindparam("file"))
    .with_for_update(of=ending_file)
)
_ITSELF = literal_column("(pg_current_xact_id()::text)::bigint", BigInteger())
_MOVED = update(ending_file).where(ending_file.c.id == bindparam("file")).values(octets=bindparam("reached"))
_MOVING = Both({"sqlite": _MOVED, "postgresql": _MOVED.values(written_by=_ITSELF)})


def _writer(conn: Connection) -> ColumnElement[int] | None:
    return _ITSELF if conn.dialect.name == "postgresql" else None


def known(conn: Connection) -> list[Known]:
    """Give the files that this database knows."""
    c = ending_file.c
    in_place = conn.dialect.name == "postgresql"
    beside = literal_column("ending_file.xmin::text::bigint" if in_place else "NULL", BigInteger())
    stored = (c.id, c.place, c.octets, c.home, c.lost_at, c.written_by)
    rows = conn.execute(select(*stored, beside.label("beside")).order_by(c.place).limit(1000))
    return [Known(bytes(r.id), r.place, r.octets, r.home, r.lost_at, _is_read_in(r.written_by, r.beside)) for r in rows]


def _is_read_in(written_by: int | None, beside: int | None) -> bool:
    """Beside a row PostgreSQL keeps the lower half of the transaction's number."""
    return written_by is not None and beside is not None and written_by % 2**32 != beside


def give_up(conn: Connection, places: Collection[str], now: datetime) -> None:
    """Note that the files of these places are gone for good, on an operator's word."""
    lost = update(ending_file).where(ending_file.c.place.in_(places), ending_file.c.lost_at.is_(None))
    conn.execute(lost.values(lost_at=now, written_by=_writer(conn)))


def owe(conn: Connection, line: str) -> None:
    """Keep lines that could not be written to their file."""
    conn.execute(insert(ending_owed), {"line": line})


def owed(conn: Connection) -> list[str]:
    """Take the lines that are owed, oldest first: some thousands of entries at most."""
    c = ending_owed.c
    rows = conn.execute(select(c.id, c.line).order_by(c.id).limit(1000)).all()
    if rows:
        conn.execute(delete(ending_owed).where(c.id <= rows[-1].id))
    return [row.line for row in rows]


def is_in_debt(conn: Connection) -> bool:
    """Claim that lines are owed to a file."""
    return conn.execute(select(ending_owed.c.id).limit(1)).one_or_none() is not None

"""How far a file was taken in. What must stay true: a run moves on in the transaction that writes its rows, so that a
process that is killed leaves neither a row written and not counted, nor one counted and not written.

    begin -> advance, chunk by chunk -> finish
       ^        |
       +--------+   killed: the same command on the same file finds the open run and goes on there
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from dispatcher.db.tables import import_run
from dispatcher.domain.imports.rows import Fate, Lack, Tally
from dispatcher.errors import InputRefused

_LACKS = "pending_because"
_ASKED = "asked_to_confirm"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be taken in, and how: two that are equal are one run, if the first did not come to its end."""

    file: str
    file_sha256: bytes | None  # None: a pipe, which cannot be read again
    origin: str
    options: Mapping[str, Any]
    by: str

    def sha256(self, salt: bytes) -> bytes:
        """Give what tells this order from another. What comes through a pipe is like no other: `salt` sees to that."""
        told = json.dumps([self.origin, self.options], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256((self.file_sha256 or salt) + told.encode()).digest()


@dataclass(slots=True)
class Run:
    """A run as it stands. `started_at` is the moment by which its rows are judged, also when it goes on."""

    id: int
    rows_done: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A run, as it is told."""

    id: int
    file: str
    origin: str
    by: str
    rows_done: int
    counts: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None


def begin(conn: Connection, order: Order, salt: bytes, now: datetime) -> tuple[Run, Tally]:
    """Find the open run of this order, or open one; give it with what it has counted by now."""
    c, key = import_run.c, order.sha256(salt)
    is_open = (c.order_sha256 == key) & c.finished_at.is_(None)
    found = conn.execute(select(c.id, c.rows_done, c.started_at, c.counts).where(is_open)).one_or_none()
    if found is not None:
        return Run(found.id, found.rows_done, found.started_at), _tally(found.counts)
    row = {
        "order_sha256": key, "file": order.file, "file_sha256": order.file_sha256, "origin": order.origin,
        "options": dict(order.options), "rows_done": 0, "counts": {}, "by": order.by, "started_at": now,
    }  # fmt: skip
    return Run(int(conn.execute(insert(import_run).returning(c.id), row).scalar_one()), 0, now), Tally()


def advance(conn: Connection, run: Run, tally: Tally) -> None:
    """Write down that the rows of `tally` are taken in. Raises InputRefused if another process took them in meanwhile:
    nothing of this transaction may stay then.
    """
    c, done = import_run.c, tally.rows
    moved = conn.execute(
        update(import_run)
        .where(c.id == run.id, c.rows_done == run.rows_done, c.finished_at.is_(None))
        .values(rows_done=done, counts=counts(tally))
    )
    if moved.rowcount != 1:
        raise InputRefused("another process takes in the same file at this moment", "let it; or end it, and try again")


def rows_done(conn: Connection, run_id: int) -> int:
    """Give how many rows are taken in."""
    return int(conn.execute(select(import_run.c.rows_done).where(import_run.c.id == run_id)).scalar_one())


def finish(conn: Connection, run: Run, now: datetime) -> None:
    """Close a run: the same file is another run from now on."""
    conn.execute(update(import_run).where(import_run.c.id == run.id).values(finished_at=now))


def latest(conn: Connection, limit: int = 50) -> list[Listed]:
    """Give the latest runs, newest first."""
    c = import_run.c
    rows = conn.execute(
        select(c.id, c.file, c.origin, c.by, c.rows_done, c.counts, c.started_at, c.finished_at)
        .order_by(c.id.desc())
        .limit(limit)
    )
    return [Listed(*row) for row in rows]


def counts(tally: Tally) -> dict[str, Any]:
    """Give what was counted, in words."""
    told: dict[str, Any] = {fate.value: count for fate, count in tally.counts.items()}
    return told | {_LACKS: {lack.name.lower(): count for lack, count in tally.lacks.items()}, _ASKED: tally.asked}


def _tally(told: Mapping[str, Any]) -> Tally:
    tally = Tally()
    for fate in Fate:
        tally.counts[fate] = told.get(fate, 0)
    for name, count in told.get(_LACKS, {}).items():
        tally.lacks[Lack[name.upper()]] = count
    tally.asked = told.get(_ASKED, 0)
    return tally

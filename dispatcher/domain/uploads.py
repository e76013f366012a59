"""Files that were handed in, and how far each has come.

    looking -> looked -> importing -> imported
       |  ^      |           |
       |  +------+           |          read otherwise: it is looked at once more
       v         v           v
    failed    discarded    failed       and from failed to looking again

What must stay true: a move is one UPDATE whose WHERE names the states it may start from. At a file works who claimed it
last: each of their writes names the token of their claim, so whoever was overtaken writes nothing more. A claim that
makes no progress counts; after the fifth the file has failed, and stops nobody else's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from dispatcher.db.tables import upload
from dispatcher.db.terms import UploadKind, UploadState
from dispatcher.errors import MoveRefused
from dispatcher.shelf import Arrived, Kept

LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 5
RETENTION, ERASURE = "retention", "erasure"  # who discards where nobody of the staff did

_S = UploadState
# From which states each state may be entered.
MOVES: Mapping[UploadState, frozenset[UploadState]] = {
    _S.LOOKING: frozenset({_S.LOOKED, _S.FAILED}),
    _S.LOOKED: frozenset({_S.LOOKING}),
    _S.IMPORTING: frozenset({_S.LOOKED}),
    _S.IMPORTED: frozenset({_S.IMPORTING}),
    _S.FAILED: frozenset({_S.LOOKING, _S.IMPORTING}),
    _S.DISCARDED: frozenset({_S.LOOKING, _S.LOOKED, _S.FAILED}),
}
AT_WORK = (_S.LOOKING, _S.IMPORTING)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was handed in, as it stands."""

    id: int
    kind: UploadKind
    file: str
    stored: str
    octets: int
    sha256: bytes
    origin: str
    how: Mapping[str, Any]
    by: str
    at: datetime
    state: UploadState
    since: datetime
    begun_at: datetime | None
    columns: Mapping[str, Any] | None
    octets_done: int
    counts: Mapping[str, Any]
    looked: Mapping[str, Any] | None
    run_id: int | None
    decided_by: str | None
    problem: str | None
    cure: str | None
    token: int
    attempts: int
    file_gone_at: datetime | None
    rejects_gone_at: datetime | None


_COLUMNS = [upload.c[name] for name in Upload.__slots__]


class Overtaken(Exception):
    """Somebody else holds the file now, or it was discarded; nothing of this transaction may stay."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is handed in: of what kind, where its people come from, how it is to be read, and by whom."""

    kind: UploadKind
    origin: str
    how: Mapping[str, Any]
    by: str


def enter(conn: Connection, arrived: Arrived, order: Order, now: datetime) -> int:
    """Enter a file that lies on the shelf, and is looked at next; give its number."""
    row = {
        "kind": order.kind, "file": arrived.file, "stored": arrived.stored, "octets": arrived.octets,
        "sha256": arrived.sha256, "origin": order.origin, "how": dict(order.how), "by": order.by, "at": now,
        "state": UploadState.LOOKING, "since": now, "counts": {},
    }  # fmt: skip
    return int(conn.execute(insert(upload).returning(upload.c.id), row).scalar_one())


def by_id(conn: Connection, upload_id: int) -> Upload | None:
    """Give a file."""
    row = conn.execute(select(*_COLUMNS).where(upload.c.id == upload_id)).one_or_none()
    return None if row is None else _upload(row)


def page(
    conn: Connection, limit: int, *, before: int | None = None, after: int | None = None, kind: UploadKind | None = None
) -> list[Upload]:
    """Give the newest first, from `before` on downwards; or, with `after`, those just above it."""
    c = upload.c
    chosen = select(*_COLUMNS).limit(limit)
    if kind is not None:
        chosen = chosen.where(c.kind == kind)
    if after is not None:
        found = conn.execute(chosen.where(c.id > after).order_by(c.id)).all()
        return [_upload(row) for row in reversed(found)]
    if before is not None:
        chosen = chosen.where(c.id < before)
    return [_upload(row) for row in conn.execute(chosen.order_by(c.id.desc()))]


def handed_in(conn: Connection, run_ids: Collection[int]) -> set[int]:
    """Give which of these runs are of files that were handed in; the others were named at the command line."""
    return set(conn.execute(select(upload.c.run_id).where(upload.c.run_id.in_(sorted(run_ids)))).scalars())


# --- what somebody decides ---


def start(conn: Connection, upload_id: int, by: str, now: datetime) -> None:
    """Have a file taken in that was looked at. Raises MoveRefused."""
    if not _move(conn, upload_id, UploadState.IMPORTING, now, *_HAS_FILE, decided_by=by, **_AFRESH):
        raise MoveRefused("this file is not waiting to be imported", "look at where it stands by now")


def look_again(conn: Connection, upload_id: int, how: Mapping[str, Any], now: datetime) -> None:
    """Have a file looked at once more, read otherwise. Raises MoveRefused."""
    if not _move(conn, upload_id, UploadState.LOOKING, now, *_HAS_FILE, how=dict(how), looked=None, **_AFRESH):
        raise MoveRefused("this file cannot be looked at once more", "hand it in anew")


def discard(conn: Connection, upload_id: int, by: str, now: datetime) -> None:
    """Let go of a file before it is taken in. Raises MoveRefused."""
    if not _move(conn, upload_id, UploadState.DISCARDED, now, decided_by=by, **_LET_GO, **_gone(now)):
        raise MoveRefused("this file cannot be discarded any more", "look at where it stands by now")


def forget(conn: Connection, now: datetime) -> None:
    """Let go of every file that may name somebody who is erased. One that is being taken in goes at its end, for they
    are on the never-mail list by then; its rejected rows go at once.

    The caller holds the end of the chain, or has no row here: who takes a file in locks its row last of all.
    """
    c = upload.c
    waiting = c.state.in_(sorted(MOVES[UploadState.DISCARDED]))
    conn.execute(
        update(upload)
        .where(waiting, c.file_gone_at.is_(None))
        .values(state=UploadState.DISCARDED, since=now, decided_by=ERASURE, **_LET_GO, **_gone(now))
    )
    conn.execute(update(upload).where(c.rejects_gone_at.is_(None)).values(rejects_gone_at=now))


# --- what its time is over ---


def due(cutoff: datetime) -> Select[int, Any]:
    """Count what `let_go` would let go of, and since when the oldest stands."""
    return select(func.count(), func.min(upload.c.since)).where(_is_over(cutoff))


def let_go(conn: Connection, cutoff: datetime, now: datetime, limit: int) -> int:
    """Let go of files, and of rejected rows, with which nothing has happened since; give of how many."""
    c = upload.c
    ids = list(conn.execute(select(c.id).where(_is_over(cutoff)).order_by(c.id).limit(limit)).scalars())
    is_open = c.id.in_(ids) & c.state.in_([*AT_WORK, UploadState.LOOKED])
    conn.execute(
        update(upload)
        .where(is_open)
        .values(state=UploadState.DISCARDED, since=now, decided_by=RETENTION, **_LET_GO, file_gone_at=now)
    )
    gone = {
        "file_gone_at": func.coalesce(c.file_gone_at, now),
        "rejects_gone_at": func.coalesce(c.rejects_gone_at, now),
    }
    conn.execute(update(upload).where(c.id.in_(ids)).values(**gone))
    return len(ids)


def kept(conn: Connection, stored: Collection[str]) -> dict[str, Kept]:
    """Say of those names on the shelf that a row knows what is to be kept."""
    c = upload.c
    rows = conn.execute(select(c.stored, c.file_gone_at, c.rejects_gone_at).where(c.stored.in_(sorted(stored))))
    return {row.stored: Kept(row.file_gone_at is None, row.rejects_gone_at is None) for row in rows}


def _is_over(cutoff: datetime) -> ColumnElement[bool]:
    c = upload.c
    return and_(c.since <= cutoff, or_(c.file_gone_at.is_(None), c.rejects_gone_at.is_(None)))


# --- who works at it ---


def is_due(conn: Connection, now: datetime) -> bool:
    """Claim that a file waits for somebody to work at it."""
    return conn.execute(select(upload.c.id).where(_is_free(now)).limit(1)).one_or_none() is not None


def claim(conn: Connection, owner: str, now: datetime) -> Upload | None:
    """Claim the file that has waited longest; it is ours until the lease ends. None: none waits."""
    c = upload.c
    found = conn.execute(
        select(c.id).where(_is_free(now)).order_by(c.id).limit(1).with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    if found is None:
        return None
    mine = {"token": c.token + 1, "attempts": c.attempts + 1, "owner": owner, "lease_until": now + LEASE}
    begun = func.coalesce(c.begun_at, now)
    row = conn.execute(
        update(upload).where(c.id == found, _is_free(now)).values(begun_at=begun, **mine).returning(*_COLUMNS)
    ).one_or_none()
    return None if row is None else _upload(row)


def recognise(conn: Connection, mine: Upload, columns: Mapping[str, Any] | None, run_id: int | None) -> None:
    """Note what the columns of a claimed file mean. Raises Overtaken."""
    _write(conn, mine, columns=None if columns is None else dict(columns), run_id=run_id, problem=None, cure=None)


def advance(conn: Connection, mine: Upload, octets: int, counts: Mapping[str, Any], now: datetime) -> None:
    """Note how far a claimed file is, and renew the lease. Raises Overtaken."""
    done = {"octets_done": octets, "counts": dict(counts), "attempts": 0, "lease_until": now + LEASE}
    _write(conn, mine, **done)


def finish(conn: Connection, mine: Upload, counts: Mapping[str, Any], now: datetime) -> None:
    """End the stage at hand of a claimed file; one that is taken in is not needed any more. Raises Overtaken."""
    done = {"since": now, "octets_done": mine.octets, "counts": dict(counts), **_FREE}
    if mine.state is UploadState.LOOKING:
        _write(conn, mine, state=UploadState.LOOKED, looked=dict(counts), **done)
    else:
        _write(conn, mine, state=UploadState.IMPORTED, file_gone_at=now, **done)


def fail(conn: Connection, mine: Upload, what: str, cure: str, now: datetime) -> None:
    """Give a claimed file up that cannot be read. Raises Overtaken."""
    _write(conn, mine, state=UploadState.FAILED, since=now, problem=what, cure=cure, **_FREE)


def postpone(conn: Connection, mine: Upload, what: str, now: datetime) -> None:
    """Leave a claimed file to somebody else, and say why; nobody tries before the lease ends. Raises Overtaken."""
    _write(conn, mine, problem=what, attempts=0, lease_until=now + LEASE)


def release(conn: Connection, owner: str, *, is_dead: bool) -> None:
    """Give back what somebody held. It counts as no attempt, unless they died over it."""
    c = upload.c
    less = {} if is_dead else {"attempts": 0}
    conn.execute(update(upload).where(c.owner == owner, c.state.in_(AT_WORK)).values(**_FREE, **less))


_FREE: dict[str, Any] = {"owner": None, "lease_until": None}
_AFRESH: dict[str, Any] = {
    **_FREE, "begun_at": None, "octets_done": 0, "counts": {}, "attempts": 0, "problem": None, "cure": None,
}  # fmt: skip
_LET_GO: dict[str, Any] = {**_FREE, "problem": None, "cure": None}
_HAS_FILE = (upload.c.file_gone_at.is_(None),)


def _gone(now: datetime) -> dict[str, Any]:
    return {"file_gone_at": now, "rejects_gone_at": now}


def _is_free(now: datetime) -> ColumnElement[bool]:
    c = upload.c
    # Written out: else SQLite takes no partial index.
    waits = literal_column("state IN ('looking', 'importing')", Boolean())
    return and_(waits, or_(c.lease_until.is_(None), c.lease_until <= now))


def _move(
    conn: Connection, upload_id: int, to: UploadState, now: datetime, *also: ColumnElement[bool], **values: Any
) -> bool:
    c = upload.c
    moved = conn.execute(
        update(upload)
        .where(c.id == upload_id, c.state.in_(sorted(MOVES[to])), *also)
        .values(state=to, since=now, **values)
    )
    return moved.rowcount == 1


def _write(conn: Connection, mine: Upload, **values: Any) -> None:
    c = upload.c
    is_mine = and_(c.id == mine.id, c.token == mine.token, c.state == mine.state, c.owner.is_not(None))
    if conn.execute(update(upload).where(is_mine).values(**values)).rowcount != 1:
        raise Overtaken


def _upload(row: Any) -> Upload:
    values = {name: getattr(row, name) for name in Upload.__slots__}
    values |= {"kind": UploadKind(row.kind), "state": UploadState(row.state), "sha256": bytes(row.sha256)}
    return Upload(**values)

"""What the worker processes say of themselves: which live, and how each finds the relays; and what is asked of them.

    process --> report, every few seconds --> database --> pages, `doctor`
    "try it again" --> wish --> database --> each process, at its next look

What must stay true: nothing is decided by a report. A process that fell silent is told as silent, and nothing that it
said of a relay counts any more; nor does what another process has meanwhile found to be otherwise.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_, select

from dispatcher.db.columns import insert_or
from dispatcher.db.tables import relay_wish, worker_report
from dispatcher.db.terms import WorkerRole
from dispatcher.domain.delivery import batches

SILENT_AFTER = batches.LEASE  # from then on others take over what it had
_FORGOTTEN_AFTER = timedelta(hours=1)  # a silent one, while others live
_LET_GO_AFTER = timedelta(days=1)  # one that waits to be called
_MANY = 1000
_MOMENTS = ("since", "next_try_at", "well_at")


@dataclass(frozen=True, slots=True)
class Found:
    """How a process finds a relay. `since`: when it closed it, None: it is open. `kept_to`: the lines that it still
    uses. `well_at`: when a letter of this process was last answered there, as far as it looked.
    """

    relay: str
    lines_up: int = 0
    since: datetime | None = None
    next_try_at: datetime | None = None
    is_tried: bool = False
    kept_to: int = 0
    failures: int = 0
    why: str = ""
    well_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a process said of itself last."""

    process: str
    role: WorkerRole
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    is_sending: bool
    tick_at: datetime | None
    tick_ms: int | None
    relays: tuple[Found, ...]

    @property
    def lines_up(self) -> int:
        """Give how many lines it has open."""
        return sum(found.lines_up for found in self.relays)

    def is_silent(self, now: datetime) -> bool:
        """Claim that it should have given a sign and did not. One that waits to be called gives none."""
        is_expected = self.is_sending or self.role is WorkerRole.WATCH
        return is_expected and now - self.seen_at > SILENT_AFTER


def write(conn: Connection, report: Report) -> None:
    """Enter what a process says of itself, in the place of what it said before."""
    values = {
        **{name: getattr(report, name) for name in Report.__slots__},
        "relays": [_plain(f) for f in report.relays],
    }
    statement = insert_or(conn.dialect.name, worker_report).values(**values)
    conn.execute(statement.on_conflict_do_update(index_elements=["process"], set_=values))


def say_goodbye(conn: Connection, process: str) -> None:
    """Take away what a process said of itself: it ends in order."""
    conn.execute(delete(worker_report).where(worker_report.c.process == process))


def everyone(conn: Connection) -> list[Report]:
    """Give what every process said last, by host, and those that watch first."""
    rows = conn.execute(select(worker_report).order_by(worker_report.c.started_at).limit(_MANY))
    reports = [_read(row) for row in rows]
    return sorted(reports, key=lambda r: (r.host, list(WorkerRole).index(r.role), r.started_at, r.process))


def clear_up(conn: Connection, now: datetime) -> None:
    """Forget who fell silent and has a successor on the same host, or fell silent long ago."""
    w, newer = worker_report.c, worker_report.alias("newer")
    follows = (newer.c.host == w.host) & (newer.c.role == w.role) & (newer.c.started_at > w.seen_at)
    succeeded = select(newer.c.process).where(follows).exists()
    is_silent = w.seen_at < now - SILENT_AFTER
    is_over = w.seen_at < now - _FORGOTTEN_AFTER
    is_resting = w.is_sending.is_(False) & (w.role != WorkerRole.WATCH)
    gone = or_(is_silent & succeeded, is_over & ~is_resting, w.seen_at < now - _LET_GO_AFTER)
    conn.execute(delete(worker_report).where(gone))


def off(reports: Sequence[Report], now: datetime) -> list[Found]:
    """Give the relays that are off now, one statement each: since the first closed it, with the newest reason, and the
    first moment at which anybody tries it again.
    """
    told: dict[str, list[tuple[datetime, Found]]] = {}
    for report in reports:
        for found in report.relays:
            if found.since is not None and not report.is_silent(now) and not _is_outdated(found, report, reports):
                told.setdefault(found.relay, []).append((report.seen_at, found))
    return [_summed_up(statements) for _, statements in sorted(told.items())]


def try_again(conn: Connection, relay: str, now: datetime) -> int:
    """Have a relay tried again at once, and what waits for a relay be claimed; give how many batches these are."""
    statement = insert_or(conn.dialect.name, relay_wish).values(relay=relay, at=now)
    conn.execute(statement.on_conflict_do_update(index_elements=["relay"], set_={"at": now}))
    return batches.make_due(conn)


def wishes(conn: Connection) -> dict[str, datetime]:
    """Give which relay was last to be tried again when."""
    rows = conn.execute(select(relay_wish.c.relay, relay_wish.c.at).limit(_MANY))
    return {row.relay: row.at for row in rows}


def _is_outdated(found: Found, said_by: Report, reports: Sequence[Report]) -> bool:
    """Claim that another process has had letters answered by the relay since."""
    others = [it for report in reports if report is not said_by for it in report.relays if it.relay == found.relay]
    return any(it.since is None and it.well_at is not None and it.well_at > said_by.seen_at for it in others)


def _summed_up(statements: Sequence[tuple[datetime, Found]]) -> Found:
    newest = max(statements, key=lambda pair: pair[0])[1]
    every = [found for _, found in statements]
    return Found(
        newest.relay,
        sum(it.lines_up for it in every),
        min(it.since for it in every if it.since is not None),
        min((it.next_try_at for it in every if it.next_try_at is not None), default=None),
        any(it.is_tried for it in every),
        sum(it.kept_to for it in every),
        sum(it.failures for it in every),
        newest.why,
    )


def _plain(found: Found) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(found).items()}


def _found(entry: dict[str, Any]) -> Found:
    moments = {name: datetime.fromisoformat(entry[name]) for name in _MOMENTS if entry[name] is not None}
    return Found(**{**entry, **moments})


def _read(row: Any) -> Report:
    return Report(
        row.process, WorkerRole(row.role), row.host, row.pid, row.version, row.started_at, row.seen_at,
        row.is_sending, row.tick_at, row.tick_ms, tuple(map(_found, row.relays)),
    )  # fmt: skip

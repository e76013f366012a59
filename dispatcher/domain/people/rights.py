"""What people ask for by right (Art. 15 to 18, 20 and 21 GDPR): a log, and the clock of one month.

What must stay true: each request has one row and one end; the log holds no address, only keyed hashes, and so it says
after an erasure that there was one.
"""

import calendar
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Select, insert, select, update

from dispatcher.db.tables import rights_request
from dispatcher.db.terms import RightKind
from dispatcher.errors import InputRefused, NotFound
from dispatcher.zone import ZONE

LISTED = 1000
_COLUMNS = [rights_request.c[name] for name in (
    "id", "kind", "address_hash", "received_at", "due_on", "extended_at", "extension_reason", "done_at", "operator",
    "outcome",
)]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it stands in the log. `done_at`, `operator` and `outcome` are None while it is open."""

    id: int
    kind: RightKind
    address_hash: bytes
    received_at: datetime
    due_on: date
    extended_at: datetime | None
    extension_reason: str | None
    done_at: datetime | None
    operator: str | None
    outcome: str | None

    def days_left(self, now: datetime) -> int:
        """Give how many days are left; 0 on the last day, below it when it is overdue."""
        return (self.due_on - now.astimezone(ZONE).date()).days


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a request: for whom, what kind, when it came in (None: now), by whom, and the outcome in words."""

    kind: RightKind
    address_hash: bytes
    received_at: datetime | None
    operator: str
    outcome: str


def due_on(received_at: datetime) -> date:
    """Give the last day on which to answer: one month later, by calendar (Art. 12(3) GDPR).

    The day of the same number in the next month, or that month's last (Regulation 1182/71, Art. 3(2)(c)). That a Sunday
    or a holiday would put it off (Art. 3(4)) is not used: who answers a day earlier does no wrong.
    """
    return _months_later(received_at, 1)


def received(day: date, now: datetime) -> datetime:
    """Give the moment that a request of this day counts from: its beginning. Raises InputRefused for the future."""
    if day > now.astimezone(ZONE).date():
        raise InputRefused(f"{day} lies in the future", "name the day on which the request came in")
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)


def enter(conn: Connection, kind: RightKind, hashed: bytes, received_at: datetime) -> int:
    """Enter a request that is still to be done; give its id."""
    row = {"kind": kind, "address_hash": hashed, "received_at": received_at, "due_on": due_on(received_at)}
    return int(conn.execute(insert(rights_request).returning(rights_request.c.id), row).scalar_one())


def is_open(conn: Connection, kind: RightKind, hashed: bytes) -> bool:
    """Say whether a request of this kind waits under this address."""
    c = rights_request.c
    waiting = select(c.id).where(c.address_hash == hashed, c.kind == kind, c.done_at.is_(None)).limit(1)
    return conn.execute(waiting).one_or_none() is not None


def complete(conn: Connection, done: Done, now: datetime) -> int:
    """Write down that a right was served: every open request of its kind ends, or one is entered; give the oldest's id.

    Who asked twice is served once.
    """
    c = rights_request.c
    ended = (
        conn.execute(
            update(rights_request)
            .where(c.address_hash == done.address_hash, c.kind == done.kind, c.done_at.is_(None))
            .values(done_at=now, operator=done.operator, outcome=done.outcome)
            .returning(c.id)
        )
        .scalars()
        .all()
    )
    if ended:
        return int(min(ended))
    entered = enter(conn, done.kind, done.address_hash, done.received_at or now)
    close(conn, entered, done.operator, done.outcome, now)
    return entered


def close(conn: Connection, request_id: int, operator: str, outcome: str, now: datetime) -> Asked:
    """End an open request in words, whatever was done about it. Raises NotFound when none is open under this number,
    and InputRefused for no words.
    """
    if not outcome.strip():
        raise InputRefused("the outcome is empty", "say what was done, or why nothing was")
    c = rights_request.c
    row = conn.execute(
        update(rights_request)
        .where(c.id == request_id, c.done_at.is_(None))
        .values(done_at=now, operator=operator, outcome=outcome.strip())
        .returning(*_COLUMNS)
    ).one_or_none()
    if row is None:
        raise _none_open(request_id)
    return _asked(row)


def extend(conn: Connection, request_id: int, reason: str, now: datetime) -> Asked:
    """Put an open request off by two months, once: the person was told so within the first, and why (Art. 12(3) GDPR).

    Raises NotFound when none is open under this number; InputRefused for no reason, a second time, and too late.
    """
    if not reason.strip():
        raise InputRefused("the reason is empty", "say why it takes longer, as the person was told")
    c = rights_request.c
    received_at = conn.execute(
        select(c.received_at).where(c.id == request_id, c.done_at.is_(None))
    ).scalar_one_or_none()
    if received_at is None:
        raise _none_open(request_id)
    row = conn.execute(
        update(rights_request)
        .where(
            c.id == request_id, c.done_at.is_(None), c.extended_at.is_(None), c.due_on >= now.astimezone(ZONE).date()
        )
        .values(due_on=_months_later(received_at, 3), extended_at=now, extension_reason=reason.strip())
        .returning(*_COLUMNS)
    ).one_or_none()
    if row is None:
        raise InputRefused(
            f"request {request_id} was extended before, or its month is over",
            "answer it: it can be put off once, in time",
        )
    return _asked(row)


def as_facts(asked: Asked, now: datetime) -> dict[str, object]:
    """Give a request as data, for whoever lists it, exports it or proves it."""
    is_open = asked.done_at is None
    return {
        "id": asked.id, "kind": asked.kind.value, "address_hash": asked.address_hash, "received_at": asked.received_at,
        "due_on": asked.due_on, "extended_at": asked.extended_at, "extension_reason": asked.extension_reason,
        "days_left": asked.days_left(now) if is_open else None, "overdue": is_open and asked.days_left(now) < 0,
        "done_at": asked.done_at, "operator": asked.operator, "outcome": asked.outcome,
    }  # fmt: skip


def by_id(conn: Connection, request_id: int) -> Asked | None:
    """Find a request by its number."""
    row = conn.execute(select(*_COLUMNS).where(rights_request.c.id == request_id)).one_or_none()
    return None if row is None else _asked(row)


def listed(conn: Connection) -> list[Asked]:
    """Give the requests, open ones first and the most urgent at the top; at most LISTED."""
    c = rights_request.c
    return _all(conn, select(*_COLUMNS).order_by(c.done_at.is_not(None), c.done_at.desc(), c.due_on, c.id))


def of_address(conn: Connection, hashed: bytes) -> list[Asked]:
    """Give what was asked for under one address, oldest first."""
    c = rights_request.c
    return _all(conn, select(*_COLUMNS).where(c.address_hash == hashed).order_by(c.id))


def overdue(conn: Connection, now: datetime) -> list[Asked]:
    """Give the open requests whose last day is over."""
    c = rights_request.c
    today = now.astimezone(ZONE).date()
    return _all(conn, select(*_COLUMNS).where(c.done_at.is_(None), c.due_on < today).order_by(c.due_on, c.id))


def _months_later(received_at: datetime, months: int) -> date:
    day = received_at.astimezone(ZONE).date()
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def _none_open(request_id: int) -> NotFound:
    return NotFound(f"no request {request_id} is open", "`dispatcher subscribers rights` lists those that are")


def _all(conn: Connection, which: Select[tuple[object, ...]]) -> list[Asked]:
    return [_asked(row) for row in conn.execute(which.limit(LISTED))]


def _asked(row: object) -> Asked:
    given = {column.name: getattr(row, column.name) for column in _COLUMNS}
    return Asked(**{**given, "kind": RightKind(given["kind"]), "address_hash": bytes(given["address_hash"])})

"""Messages to endpoints on their way: claimed, delivered, tried again, given up.

    waiting -> delivered                       the receiver said 2xx
    waiting -> waiting ... -> given-up          ten attempts in a little over three days
    delivered, given-up -> waiting             on somebody's word

What must stay true: a message has the same id and the same octets at each attempt; a claim that nobody settles is
over after a minute, and whoever comes late records nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, func, select, update

from dispatcher.db.columns import among
from dispatcher.db.tables import webhook_endpoint, webhook_message
from dispatcher.db.terms import MessageState, WebhookKind
from dispatcher.domain.programs import webhooks

# How long to wait after the first, second, ... attempt that failed; after the last there is none.
WAITS = (
    timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=5),
    timedelta(hours=10), timedelta(hours=14), timedelta(hours=20), timedelta(hours=24),
)  # fmt: skip
LEASE = timedelta(minutes=1)
GONE = "410"  # the receiver wants nothing more, ever
_m = webhook_message.c


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands."""

    id: int
    endpoint_id: int
    message_id: str
    kind: WebhookKind
    at: datetime
    payload: str
    state: MessageState
    due_at: datetime | None
    attempts: int
    answer: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one attempt: the status as a number, or why there was none, in words."""

    message: Message
    answer: str

    @property
    def is_taken(self) -> bool:
        """Say whether the receiver took it."""
        return len(self.answer) == 3 and self.answer.startswith("2")


_COLUMNS = [_m[name] for name in Message.__slots__]


def due_endpoints(conn: Connection, now: datetime) -> list[int]:
    """Give the endpoints for which something is due."""
    e = webhook_endpoint.c
    is_due = select(_m.id).where(_m.endpoint_id == e.id, _m.due_at <= now).exists()
    return list(conn.execute(select(e.id).where(e.off_at.is_(None), is_due).order_by(e.id).limit(100)).scalars())


def claim(conn: Connection, endpoint_id: int, now: datetime, limit: int) -> list[Message]:
    """Claim messages that are due, the longest due first; another process finds them again when the lease is over."""
    e = webhook_endpoint.c
    due = (
        select(_m.id)
        .join(webhook_endpoint, e.id == _m.endpoint_id)
        .where(_m.endpoint_id == endpoint_id, _m.due_at <= now, e.off_at.is_(None))
        .order_by(_m.due_at, _m.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=webhook_message)
    )
    ids = list(conn.execute(due).scalars())
    claimed = update(webhook_message).where(among(conn, _m.id, ids))
    rows = conn.execute(claimed.values(due_at=now + LEASE, attempts=_m.attempts + 1).returning(*_COLUMNS))
    return sorted(map(_read, rows), key=lambda message: message.id)


def settle(conn: Connection, endpoint_id: int, answers: Sequence[Answered], now: datetime) -> list[Answered]:
    """Write down what came of attempts; give those that were given up. An endpoint that has taken nothing since the
    message happened is switched off with it, and one that says it is gone at once.
    """
    if any(each.is_taken for each in answers):
        conn.execute(update(webhook_endpoint).where(webhook_endpoint.c.id == endpoint_id).values(delivered_at=now))
    lost = []
    for each in answers:
        of, state, due_at = each.message, *_next(each, now)
        ended_at = None if state is MessageState.WAITING else now
        mine = update(webhook_message).where(_m.id == of.id, _m.attempts == of.attempts, _m.due_at.is_not(None))
        is_mine = conn.execute(
            mine.values(state=state, due_at=due_at, answer=each.answer, ended_at=ended_at).returning(_m.id)
        ).one_or_none()
        if is_mine and state is MessageState.GIVEN_UP:
            lost.append(each)
            webhooks.give_up(conn, endpoint_id, each.answer, now, since=of.at)
        if each.answer == GONE:
            webhooks.give_up(conn, endpoint_id, "it said 410: it wants nothing more", now)
    return lost


def log_of(conn: Connection, endpoint_id: int, limit: int, before: int | None = None) -> list[Message]:
    """Give what was to be told to an endpoint, the newest first: those with a smaller number than `before`."""
    wanted = select(*_COLUMNS).where(_m.endpoint_id == endpoint_id).order_by(_m.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(_m.id < before)
    return [_read(row) for row in conn.execute(wanted)]


def named(conn: Connection, message_id: str) -> Message:
    """Give the message of an id that we made."""
    return _read(conn.execute(select(*_COLUMNS).where(_m.message_id == message_id)).one())


def counts(conn: Connection) -> dict[int, dict[MessageState, int]]:
    """Count each endpoint's messages by state."""
    rows = conn.execute(select(_m.endpoint_id, _m.state, func.count().label("n")).group_by(_m.endpoint_id, _m.state))
    counted: dict[int, dict[MessageState, int]] = {}
    for row in rows:
        counted.setdefault(row.endpoint_id, {})[MessageState(row.state)] = row.n
    return counted


def counts_of(conn: Connection, endpoint_id: int, state: MessageState) -> int:
    """Count an endpoint's messages in a state."""
    mine = (_m.endpoint_id == endpoint_id) & (_m.state == state)
    return int(conn.execute(select(func.count()).where(mine)).scalar_one())


def replay(conn: Connection, endpoint_id: int, since: datetime | None, now: datetime) -> int:
    """Have messages delivered once more, under the same id: those that were given up, or (with `since`) all that
    happened since then and are not under way. Give how many. Raises NotFound, and MoveRefused when it is off.
    """
    webhooks.require_on(conn, endpoint_id)
    which = _m.state == MessageState.GIVEN_UP
    if since is not None:
        which = (_m.state != MessageState.WAITING) & (_m.at >= since)
    again = update(webhook_message).where(_m.endpoint_id == endpoint_id, which)
    return conn.execute(again.values(state=MessageState.WAITING, due_at=now, attempts=0, ended_at=None)).rowcount


def _next(each: Answered, now: datetime) -> tuple[MessageState, datetime | None]:
    """Say what becomes of a message after an attempt."""
    if each.is_taken:
        return MessageState.DELIVERED, None
    if each.message.attempts > len(WAITS):
        return MessageState.GIVEN_UP, None
    return MessageState.WAITING, now + WAITS[each.message.attempts - 1]


def _read(row: Row[tuple[object, ...]]) -> Message:
    values = {name: getattr(row, name) for name in Message.__slots__}
    return Message(**{**values, "kind": WebhookKind(values["kind"]), "state": MessageState(values["state"])})

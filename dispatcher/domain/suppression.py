"""The never-mail list. What must stay true: it wins over every consent, and it holds no address, only keyed hashes."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    LargeBinary,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    or_,
    select,
    true,
    tuple_,
)

from dispatcher.db.columns import Rows, Utc, given, insert_or, one_of_given
from dispatcher.db.tables import subscriber, subscription, suppression
from dispatcher.db.terms import EVERY_TOPIC, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import endings
from dispatcher.domain.programs import outbox

# What the staff may take off: their own entries, and a mailbox that works again. The rest is the person's word.
LIFTED_BY_STAFF = frozenset({SuppressionReason.OPERATOR, SuppressionReason.BOUNCED})

# What the person's own new double opt-in takes off the list. An erasure is no wish never to be written to again: its
# entry keeps imports from bringing the address back, and only its owner can press the button in the new mail.
LIFTED_BY_OPT_IN = frozenset({SuppressionReason.WITHDRAWN, SuppressionReason.ERASED})


@dataclass(frozen=True, slots=True)
class Suppression:
    """One entry, as it stands."""

    scope: str
    reason: SuppressionReason
    source: str
    at: datetime


class Entry(NamedTuple):
    """An entry to be made: for one topic, or (None) for every one."""

    address_hash: bytes
    scope: Topic | None
    reason: SuppressionReason
    source: str


def suppress(
    conn: Connection,
    hashes: Iterable[bytes],
    scope: Topic | None,
    reason: SuppressionReason,
    source: str,
    now: datetime,
) -> None:
    """Put addresses on the list, for one topic or (None) for every one. An entry that stands is kept, unless it only
    said `withdrawn`, or `erased` and the new reason is one that no double opt-in lifts: what is graver takes its place.
    """
    enter(conn, [Entry(hashed, scope, reason, source) for hashed in hashes], now)


def enter(conn: Connection, entries: Sequence[Entry], now: datetime) -> None:
    """Put many on the list at once, as `suppress` does; no address stands twice among them for one scope."""
    if not entries:
        return
    endings.note(conn, [endings.Ending(bytes(e.address_hash), e.scope, e.reason, now) for e in entries])
    _write(conn, entries, now)
    outbox.note_suppressed(conn, [(bytes(e.address_hash), e.scope or EVERY_TOPIC) for e in entries], now)


def _write(conn: Connection, entries: Sequence[Entry], now: datetime) -> None:
    rows = [(e.address_hash, e.scope or EVERY_TOPIC, e.reason.value, e.source) for e in entries]
    entering = _entering(conn.dialect.name)
    if conn.dialect.name == "postgresql":
        conn.execute(entering, {**_ENTRIES.values("postgresql", rows), "now": now})
    else:
        conn.execute(entering, [dict(zip(_NAMES, row, strict=True), at=now) for row in rows])


_NAMES = ("address_hash", "scope", "reason", "source")


@lru_cache(maxsize=2)
def _entering(dialect: str) -> Insert:
    statement = insert_or(dialect, suppression)
    if dialect != "postgresql":
        return _keeping_graver(statement)
    handed, at = _ENTRIES.table("postgresql"), bindparam("now", type_=Utc())
    return _keeping_graver(statement.from_select([*_NAMES, "at"], select(*handed.c, at).where(true())))


_ENTRIES = Rows("entries", {"address_hash": LargeBinary(), "scope": Text(), "reason": Text(), "source": Text()})


def _keeping_graver(statement: Any) -> Insert:
    keeping: Insert = statement.on_conflict_do_update(
        index_elements=["address_hash", "scope"],
        set_={c: statement.excluded[c] for c in ("reason", "source", "at")},
        where=or_(
            and_(
                suppression.c.reason == SuppressionReason.WITHDRAWN,
                statement.excluded.reason != SuppressionReason.WITHDRAWN,
            ),
            and_(
                suppression.c.reason == SuppressionReason.ERASED,
                *(statement.excluded.reason != reason for reason in sorted(LIFTED_BY_OPT_IN)),
            ),
        ),
    )
    return keeping


def lift_withdrawals(conn: Connection, hashed: bytes, topics: Iterable[Topic]) -> None:
    """Take `withdrawn` and `erased` entries off after a new double opt-in. Objections, complaints and the rest stay.

    An entry for everything goes on for every topic that was not confirmed: nothing else keeps old files from them.
    """
    confirmed = set(topics)
    s = suppression.c
    lifted = conn.execute(
        delete(suppression)
        .where(s.address_hash == hashed, s.scope.in_([EVERY_TOPIC, *confirmed]), s.reason.in_(LIFTED_BY_OPT_IN))
        .returning(s.scope, s.reason, s.source, s.at)
    ).all()
    for entry in lifted:
        if entry.scope == EVERY_TOPIC and len(confirmed) < len(Topic):
            others = [
                Entry(hashed, t, SuppressionReason(entry.reason), entry.source) for t in Topic if t not in confirmed
            ]
            _write(conn, others, entry.at)  # no new ending: the one that is noted goes on


def lift(conn: Connection, hashed: bytes, scope: str, source: str, now: datetime) -> bool:
    """Take an entry off that stands for one of LIFTED_BY_STAFF; False: there is none.

    It may have taken the place of one that a person's own word made. So that no file brings back who left, that one is
    made again: for whoever was erased, for what somebody has ended, and where nothing is known of the person any more.
    A restore from a backup puts a lifted entry back: its file knows what ends, not what begins.
    """
    s = suppression.c
    which = and_(s.address_hash == hashed, s.scope == scope, s.reason.in_(LIFTED_BY_STAFF))
    if conn.execute(delete(suppression).where(which).returning(s.scope)).one_or_none() is None:
        return False
    reason, ended = _own_word(conn, hashed)
    scopes = [topic for topic in Topic if topic in ended and scope in (EVERY_TOPIC, topic)]
    enter(conn, [Entry(hashed, topic, reason, source) for topic in scopes], now)
    return True


def _own_word(conn: Connection, hashed: bytes) -> tuple[SuppressionReason, set[str]]:
    """Give which topics a person has ended, and how; of an address that is nobody's it cannot be told: every one."""
    t = subscription.c
    rows = conn.execute(
        select(subscriber.c.erased_at, t.topic, t.state)
        .outerjoin(subscription, t.subscriber_id == subscriber.c.id)
        .where(subscriber.c.address_hash == hashed)
    ).all()
    if not rows:
        return SuppressionReason.WITHDRAWN, set(Topic)
    if rows[0].erased_at is not None:
        return SuppressionReason.ERASED, set(Topic)
    return SuppressionReason.WITHDRAWN, {row.topic for row in rows if row.state == SubscriptionState.WITHDRAWN}


_OF_ONE = (
    select(suppression.c.scope, suppression.c.reason, suppression.c.source, suppression.c.at)
    .where(suppression.c.address_hash == bindparam("hashed"))
    .order_by(suppression.c.at)
    .limit(100)
)


def entries(conn: Connection, hashed: bytes) -> list[Suppression]:
    """Give every entry for one address."""
    rows = conn.execute(_OF_ONE, {"hashed": hashed})
    return [Suppression(r.scope, SuppressionReason(r.reason), r.source, r.at) for r in rows]


def barred(conn: Connection, hashes: Collection[bytes]) -> dict[bytes, set[str]]:
    """Give by address hash, dozens at a time, the scopes that no double opt-in lifts; whoever has none is not there."""
    dialect = conn.dialect.name
    found: dict[bytes, set[str]] = {}
    for row in conn.execute(_of_each(dialect), {"hashes": given(dialect, suppression.c.address_hash, hashes)}):
        if row.reason not in LIFTED_BY_OPT_IN:
            found.setdefault(bytes(row.address_hash), set()).add(row.scope)
    return found


@lru_cache(maxsize=2)
def _of_each(dialect: str) -> Select[tuple[bytes, str, str]]:
    s = suppression.c
    return select(s.address_hash, s.scope, s.reason).where(one_of_given(dialect, s.address_hash, "hashes"))


def page(conn: Connection, after: tuple[bytes, str], limit: int) -> list[tuple[bytes, Suppression]]:
    """Give everybody's entries with their keyed hashes, in the order of hash and scope, those after one of them."""
    s = suppression.c
    rows = conn.execute(
        select(s.address_hash, s.scope, s.reason, s.source, s.at)
        .where(tuple_(s.address_hash, s.scope) > tuple_(*after))
        .order_by(s.address_hash, s.scope)
        .limit(limit)
    )
    return [(bytes(r.address_hash), Suppression(r.scope, SuppressionReason(r.reason), r.source, r.at)) for r in rows]


def covers(topic: Topic | None) -> ColumnElement[bool]:
    """Give the join condition of a subscriber with entries that forbid `topic` (None: only those for everything)."""
    return and_(suppression.c.address_hash == subscriber.c.address_hash, forbids(topic))


def forbids(topic: Topic | None) -> ColumnElement[bool]:
    """Give the condition (suppression) that an entry forbids `topic` (None: everything)."""
    scopes = [suppression.c.scope == EVERY_TOPIC]
    if topic is not None:
        scopes.append(suppression.c.scope == topic)
    return or_(*scopes)

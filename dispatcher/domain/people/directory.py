"""Who is there, the newest first and page by page; and what is known of an address that is nobody's.

What must stay true: a page costs the same wherever it is, with a million people too (keyset, never an offset); an
address is looked for by its keyed hash alone, so no index over addresses has to be kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection, Select, literal_column, select

from dispatcher.db.columns import among
from dispatcher.db.tables import former_address, subscriber, subscription
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain import suppression
from dispatcher.domain.people import rights
from dispatcher.domain.people.rights import Asked
from dispatcher.domain.suppression import Suppression


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which people: those who ever asked for a topic and, if a state is named, stand so with it. `before` and `after`
    are numbers of people to page by.
    """

    topic: Topic | None = None
    state: SubscriptionState | None = None
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A person in a list. `address` is None once it is gone."""

    id: int
    address: str | None
    name: str
    created_at: datetime
    paused_until: date | None
    topics: Mapping[Topic, SubscriptionState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traces:
    """What is known of an address that belongs to nobody here: entries on the never-mail list, requests by right, and
    whose it was until they moved.
    """

    entries: Sequence[Suppression]
    asked: Sequence[Asked]
    moved: int | None


def page(conn: Connection, wanted: Wanted, limit: int) -> Sequence[Line]:
    """Give the newest first, from `before` on downwards; or, with `after`, those just above it."""
    ids = _few_pending(conn, wanted, limit)
    if ids is None:
        ids = list(conn.execute(_ids(wanted).limit(limit)).scalars())
    if not ids:
        return []
    s, t = subscriber.c, subscription.c
    stands: dict[int, dict[Topic, SubscriptionState]] = {}
    for row in conn.execute(select(t.subscriber_id, t.topic, t.state).where(among(conn, t.subscriber_id, ids))):
        stands.setdefault(row.subscriber_id, {})[Topic(row.topic)] = SubscriptionState(row.state)
    rows = conn.execute(
        select(s.id, s.address, s.name, s.created_at, s.paused_until)
        .where(among(conn, s.id, ids))
        .order_by(s.id.desc())
    )
    return [Line(*row, topics=stands.get(row.id, {})) for row in rows]


def traces(conn: Connection, hashed: bytes) -> Traces:
    """Give what is known of an address beside the person who has it."""
    f = former_address.c
    had = select(f.subscriber_id).where(f.address_hash == hashed).order_by(f.event_id.desc()).limit(1)
    return Traces(
        suppression.entries(conn, hashed),
        rights.of_address(conn, hashed),
        conn.execute(had).scalar_one_or_none(),
    )


def _few_pending(conn: Connection, wanted: Wanted, limit: int) -> list[int] | None:
    """Give the page of those who have not confirmed, where they are few: they have an index of their own, and to look
    for them among everybody would take half a second. None: they are many, or others are wanted.
    """
    if wanted.topic is None or wanted.state is not SubscriptionState.PENDING:
        return None
    t = subscription.c
    waiting = t.state == literal_column(
        f"'{SubscriptionState.PENDING}'"
    )  # written out: else SQLite takes no such index
    found = conn.execute(select(t.subscriber_id).where(waiting, t.topic == wanted.topic).limit(_FEW + 1)).scalars()
    ids = sorted(found, reverse=True)
    if len(ids) > _FEW:
        return None
    if wanted.after is not None:
        return [each for each in ids if each > wanted.after][-limit:]
    return [each for each in ids if wanted.before is None or each < wanted.before][:limit]


_FEW = 5_000


def _ids(wanted: Wanted) -> Select[int]:
    """From subscriptions where they are asked about: their key is (topic, person), so it is read in order."""
    t = subscription.c
    number = subscriber.c.id if wanted.topic is None else t.subscriber_id
    chosen = select(number)
    if wanted.topic is not None:
        chosen = chosen.where(t.topic == wanted.topic)
        if wanted.state is not None:
            chosen = chosen.where(t.state == wanted.state)
    if wanted.after is not None:
        return chosen.where(number > wanted.after).order_by(number)
    if wanted.before is not None:
        chosen = chosen.where(number < wanted.before)
    return chosen.order_by(number.desc())

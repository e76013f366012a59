"""On which words people's consent rests: counted, and by name."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from dispatcher.db.tables import subscriber, subscription
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain.coverage import is_covered


@dataclass(frozen=True, slots=True)
class Resting:
    """How many people stand so with a topic, under the words of one version (None: not known which)."""

    number: int | None
    topic: Topic
    state: SubscriptionState
    people: int
    is_covered: bool  # a confirmed consent under these words is good now


@dataclass(frozen=True, slots=True)
class Person:
    """Someone whose subscription rests on a version."""

    subscriber_id: int
    address: str | None
    topic: Topic
    state: SubscriptionState


def counted(conn: Connection) -> list[Resting]:
    """Count everybody, by topic, words and state."""
    s = subscription.c
    found = []
    for topic in Topic:
        each = select(s.declaration_number, s.state, is_covered(topic).label("covered")).where(s.topic == topic)
        row = each.subquery().c
        key = (row.declaration_number, row.state, row.covered)
        rows = conn.execute(select(*key, func.count()).group_by(*key).order_by(*key))
        found += [Resting(row[0], topic, SubscriptionState(row[1]), row[3], bool(row[2])) for row in rows]
    return found


def people(conn: Connection, number: int | None) -> Iterator[Person]:
    """Give everybody whose subscription rests on the words of this number, by topic."""
    s = subscription.c
    theirs: ColumnElement[bool] = s.declaration_number.is_not_distinct_from(number)
    rows = conn.execute(
        select(s.subscriber_id, subscriber.c.address, s.topic, s.state)
        .join(subscriber, subscriber.c.id == s.subscriber_id)
        .where(theirs)
        .order_by(s.topic, s.subscriber_id)
        .execution_options(yield_per=1000)
    )
    for row in rows:
        yield Person(row.subscriber_id, row.address, Topic(row.topic), SubscriptionState(row.state))

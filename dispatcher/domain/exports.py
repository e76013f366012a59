"""All people, page by page: where each stands with each topic, since when and by what evidence; and what stands on the
never-mail list for them. As a table that `imports` reads back.

What must stay true: memory does not grow with the number of people, no cell is a formula to a spreadsheet program, and
whoever may not be mailed comes out as that; whose data is restricted (Art. 18 GDPR) does not come out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from dispatcher.db.columns import one_of_many
from dispatcher.db.engine import reading
from dispatcher.db.tables import consent_event, declaration, subscriber, subscription, suppression
from dispatcher.db.terms import EVERY_TOPIC, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain.imports.columns import own_columns
from dispatcher.domain.spreadsheets import guarded

PAGE = 2000  # people to a transaction


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which people: those who ever asked for one of these topics and, if a state is named, stand so with one."""

    topics: tuple[Topic, ...] = tuple(Topic)
    state: SubscriptionState | None = None


@dataclass(frozen=True, slots=True)
class Stands:
    """How a person stands with a topic, and by what evidence."""

    state: SubscriptionState
    since: datetime
    ip: str | None
    source: str
    declaration: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """A person with an address. `suppressed` holds reason and scope of what is more than a withdrawal."""

    id: int
    public_id: bytes
    address: str
    name: str
    language: str
    zone: str | None
    topics: dict[Topic, Stands] = field(default_factory=dict)
    suppressed: list[tuple[SuppressionReason, str]] = field(default_factory=list)


def count(conn: Connection, wanted: Wanted) -> int:
    """Give how many people there are."""
    return int(conn.execute(select(func.count()).select_from(subscriber).where(_is_wanted(wanted))).scalar_one())


def count_restricted(conn: Connection) -> int:
    """Give how many people are left out because their data is restricted."""
    restricted = select(func.count()).where(subscriber.c.restricted_at.is_not(None))
    return int(conn.execute(restricted).scalar_one())


def pages(engine: Engine, wanted: Wanted, size: int = PAGE) -> Iterator[list[Person]]:
    """Give all of them in the order in which they came, each page as it stands at that moment."""
    last = 0
    while True:
        with reading(engine).connect() as conn:
            found = page(conn, wanted, last, size)
        if not found:
            return
        yield found
        last = found[-1].id


def page(conn: Connection, wanted: Wanted, after: int, size: int) -> list[Person]:
    """Give the people whose ids come after this one."""
    s = subscriber.c
    rows = conn.execute(
        select(s.id, s.public_id, s.address, s.name, s.language, s.zone, s.address_hash)
        .where(s.id > after, _is_wanted(wanted))
        .order_by(s.id)
        .limit(size)
    ).all()
    people = {
        row.id: Person(row.id, bytes(row.public_id), row.address, row.name, row.language, row.zone) for row in rows
    }
    if people:
        _add_topics(conn, people, wanted)
        _add_suppressions(conn, people, {bytes(row.address_hash): row.id for row in rows})
    return list(people.values())


def header(wanted: Wanted) -> list[str]:
    """Give the names of the columns of `cells`."""
    return own_columns(wanted.topics)


def cells(person: Person, wanted: Wanted) -> list[str]:
    """Give a person as a row that an import reads back."""
    row = [person.address, person.name, person.language, person.zone or ""]
    for topic in wanted.topics:
        stands = person.topics.get(topic)
        row += [""] * 5 if stands is None else _group(stands)
    row.append(" ".join(_entry(reason, scope) for reason, scope in person.suppressed))
    return [guarded(cell) for cell in row]


def facts(person: Person) -> dict[str, Any]:
    """Give a person as JSON has it."""
    return {
        "address": person.address,
        "name": person.name,
        "language": person.language,
        "zone": person.zone,
        "topics": {
            topic: {"state": s.state, "since": s.since.isoformat(), "ip": s.ip, "source": s.source,
                    "declaration": s.declaration}
            for topic, s in person.topics.items()
        },
        "suppressed": [_entry(reason, scope) for reason, scope in person.suppressed],
    }  # fmt: skip


def _group(stands: Stands) -> list[str]:
    return [stands.state.value, stands.since.isoformat(), stands.ip or "", stands.source, stands.declaration or ""]


def _entry(reason: SuppressionReason, scope: str) -> str:
    return reason.value if scope == EVERY_TOPIC else f"{reason}:{scope}"


def _is_wanted(wanted: Wanted) -> ColumnElement[bool]:
    t = subscription.c
    stands: ColumnElement[bool] = t.topic.in_(wanted.topics)
    if wanted.state is not None:
        stands = stands & (t.state == wanted.state)
    asked = select(t.subscriber_id).where(t.subscriber_id == subscriber.c.id, stands).exists()
    return subscriber.c.address.is_not(None) & subscriber.c.restricted_at.is_(None) & asked


def _add_topics(conn: Connection, people: dict[int, Person], wanted: Wanted) -> None:
    t, e, d = subscription.c, consent_event.c, declaration.c
    named = func.coalesce(e.declaration_named, d.key + "-" + d.version)
    rows = conn.execute(
        select(t.subscriber_id, t.topic, t.state, t.since, e.ip, e.source, named.label("declaration"))
        .join_from(subscription, consent_event, e.id == t.event_id)
        .join(declaration, d.id == e.declaration_id, isouter=True)
        .where(one_of_many(conn, t.subscriber_id, people), t.topic.in_(wanted.topics))
    )
    for row in rows:
        stands = Stands(SubscriptionState(row.state), row.since, row.ip, row.source, row.declaration)
        people[row.subscriber_id].topics[Topic(row.topic)] = stands


def _add_suppressions(conn: Connection, people: dict[int, Person], ids: dict[bytes, int]) -> None:
    n = suppression.c
    rows = conn.execute(
        select(n.address_hash, n.scope, n.reason).where(one_of_many(conn, n.address_hash, ids)).order_by(n.scope)
    )
    for hashed, scope, reason in rows:
        person = people[ids[bytes(hashed)]]
        if not _is_told(person, scope, SuppressionReason(reason)):
            person.suppressed.append((SuppressionReason(reason), scope))


def _is_told(person: Person, scope: str, reason: SuppressionReason) -> bool:
    """Tell whether the state of the topic says so already."""
    if reason is not SuppressionReason.WITHDRAWN or scope == EVERY_TOPIC:
        return False
    stands = person.topics.get(Topic(scope))
    return stands is not None and stands.state is SubscriptionState.WITHDRAWN

"""How consent events and what they make of subscriptions are written, many at once, on both databases.

PostgreSQL gets one statement for all of them, each column as one array; many are copied. On SQLite a row is a call, and
costs a third of what it costs to take it out of a piece of JSON. What the events make of subscriptions is read from
them where they stand.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql

from dispatcher.db.columns import Id, Rows, insert_or, stored
from dispatcher.db.copying import copy
from dispatcher.db.tables import consent_chain, consent_event, declaration, subscription
from dispatcher.db.terms import ConsentKind, SubscriptionState
from dispatcher.domain.proof import chain, chain_head
from dispatcher.domain.proof.chain import COLUMNS

# What an event makes of the subscription it concerns; None: it leaves it as it is.
MAKES: dict[ConsentKind, SubscriptionState | None] = {
    ConsentKind.REQUESTED: SubscriptionState.PENDING,
    ConsentKind.LISTED: SubscriptionState.PENDING,
    ConsentKind.CONFIRMATION_SENT: None,
    ConsentKind.CONFIRMED: SubscriptionState.CONFIRMED,
    ConsentKind.IMPORTED: SubscriptionState.CONFIRMED,
    ConsentKind.WITHDRAWN: SubscriptionState.WITHDRAWN,
    ConsentKind.OBJECTED: SubscriptionState.WITHDRAWN,
    ConsentKind.EXPIRED: SubscriptionState.WITHDRAWN,
    ConsentKind.ERASED: SubscriptionState.WITHDRAWN,
    # What concerns the person, and leaves what they agreed to as it is.
    ConsentKind.PAUSED: None,
    ConsentKind.RESUMED: None,
    ConsentKind.RESTRICTED: None,
    ConsentKind.RELEASED: None,
    ConsentKind.MOVE_ASKED: None,
    ConsentKind.MOVE_ALLOWED: None,
    ConsentKind.ADDRESS_CHANGED: None,
}
_MANY = 50  # events, of which a second round trip does not matter
_STANDING = ("topic", "subscriber_id", "state", "event_id", "since", "declaration_number")
_EVENTS = Rows("events", {name: consent_event.c[name].type for name in COLUMNS})


def write(conn: Connection, rows: Sequence[tuple[chain.Value, ...]], last_id: int, head: bytes) -> None:
    """Write events, each in the order of chain.COLUMNS, and set the end of the chain behind the last of them."""
    if conn.dialect.name == "postgresql" and len(rows) < _MANY:
        end = chain_head.behind(len(rows), last_id, head)
        conn.execute(_insert_events(), {**_EVENTS.values("postgresql", rows), **end})
        return
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql(_one_event(), list(_for_sqlite(rows)))
    else:
        copy(conn, consent_event, COLUMNS, rows)
    chain_head.move(conn, len(rows), last_id, head)


def set_standings(conn: Connection, first_id: int, last_id: int, *, has_pairs: bool, are_new: bool = False) -> None:
    """Say where people stand now by the events of these numbers. `has_pairs`: there are two for one person and topic,
    of which the later decides; to look for them takes PostgreSQL half as long as all the rest. `are_new`: nobody of
    them stands anywhere yet, so that nothing has to be looked up; where it is not so, the key of the table says no.
    """
    statement = _set_standings(conn.dialect.name, has_pairs, are_new)
    conn.execute(statement, {"first_id": first_id, "last_id": last_id})


def making(state: SubscriptionState) -> list[ConsentKind]:
    """Give the kinds of events that put a subscription into this state."""
    return [kind for kind, made in MAKES.items() if made is state]


def _for_sqlite(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[object, ...]]:
    """Give events as the driver takes them at once: times as they are stored, and no word that is of an enumeration,
    about which it would look further each time. Most of it stands in the next row, too.
    """
    what_, plain, spoken = None, ("", "", ""), None
    for number, who, topic, kind, at, given_at, language, *rest in rows:
        if (what := (topic, kind, at, language)) != what_:
            what_, plain, spoken = what, (topic and str(topic), str(kind), stored(at)), language and str(language)
        yield number, who, *plain, given_at and stored(given_at), spoken, *rest


@lru_cache(maxsize=1)
def _insert_events() -> Insert:
    rows = _EVENTS.table("postgresql")
    moved = chain_head.moving().returning(consent_chain.c.id).cte("moved")
    return postgresql.insert(consent_event).from_select(COLUMNS, select(*rows.c)).add_cte(moved)


@lru_cache(maxsize=1)
def _one_event() -> str:
    places = ", ".join("?" * len(COLUMNS))
    return f"INSERT INTO consent_event ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608  (our own words)


@lru_cache(maxsize=8)
def _set_standings(dialect: str, has_pairs: bool, are_new: bool) -> Insert:
    e, d = consent_event.c, declaration.c
    made = case(*((_is_one_of(making(state)), _word(state)) for state in SubscriptionState))
    decides = and_(
        e.id.between(bindparam("first_id", type_=Id), bindparam("last_id", type_=Id)),
        e.topic.is_not(None),
        _is_one_of([kind for kind, state in MAKES.items() if state is not None]),
    )
    stands = select(e.topic, e.subscriber_id, made, e.id, func.coalesce(e.given_at, e.at), d.number).join_from(
        consent_event, declaration, d.id == e.declaration_id, isouter=True
    )
    if has_pairs:
        decides = e.id.in_(select(func.max(e.id)).where(decides).group_by(e.topic, e.subscriber_id))
    stands = stands.where(decides)
    entering = insert_or(dialect, subscription).from_select(_STANDING, stands)
    return entering if are_new else _deciding(entering)


def _deciding(statement: Any) -> Insert:
    """The newer event decides; but whoever has agreed and asks once more goes on having agreed, lesser words take no
    newer ones away, and the words that somebody left stay beside it.
    """
    new, none = statement.excluded, literal_column("0", Integer())
    words = case(
        (new.state == _word(SubscriptionState.WITHDRAWN), subscription.c.declaration_number),
        else_=new.declaration_number,
    )
    deciding: Insert = statement.on_conflict_do_update(
        index_elements=["topic", "subscriber_id"],
        set_={c: new[c] for c in ("state", "event_id", "since")} | {"declaration_number": words},
        where=or_(
            subscription.c.state != _word(SubscriptionState.CONFIRMED),
            new.state == _word(SubscriptionState.WITHDRAWN),
            and_(
                new.state == _word(SubscriptionState.CONFIRMED),
                func.coalesce(new.declaration_number, none) >= func.coalesce(subscription.c.declaration_number, none),
            ),
        ),
    )
    return deciding


def _is_one_of(kinds: Sequence[ConsentKind]) -> ColumnElement[bool]:
    """Spelt out: IN would be written anew each time."""
    return or_(*(consent_event.c.kind == literal_column(f"'{kind.value}'", Text()) for kind in kinds))


def _word(state: SubscriptionState) -> ColumnElement[str]:
    return literal_column(f"'{state.value}'", Text())

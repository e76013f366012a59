"""A person: found by address or by public id, added once, and their story told."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Insert, LargeBinary, Row, Select, Text, and_, bindparam, select, text, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import ReturningInsert

from dispatcher.db.columns import Rows, Utc, given, insert_or, one_of_given, one_of_many, stored
from dispatcher.db.copying import copy
from dispatcher.db.entering import enter
from dispatcher.db.tables import campaign, consent_event, delivery, subscriber
from dispatcher.db.terms import Language
from dispatcher.domain.addresses import Address
from dispatcher.domain.rates import providers
from dispatcher.domain.tokens import new_public_ids


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A person as we know them. `address` is None once erased; `paused_until` is the day on which letters go again;
    `restricted_at` is set while it is only kept (Art. 18 GDPR)."""

    id: int
    public_id: bytes
    address: str | None
    address_hash: bytes
    name: str
    language: Language
    created_at: datetime
    paused_until: date | None = None
    restricted_at: datetime | None = None


class Newcomer(NamedTuple):
    """A person to be added: the address with its keyed hash, and what they told us."""

    address: Address
    address_hash: bytes
    name: str
    language: Language
    zone: str | None = None


def by_hash(conn: Connection, hashed: bytes) -> Subscriber | None:
    """Find a person by the keyed hash of an address."""
    return _one(conn, _BY_HASH, hashed)


def by_public_id(conn: Connection, public_id: bytes) -> Subscriber | None:
    """Find a person by the id in a link."""
    return _one(conn, _BY_PUBLIC_ID, public_id)


def by_public_ids(conn: Connection, public_ids: Collection[bytes]) -> dict[bytes, Subscriber]:
    """Find people by the ids in their links, dozens at a time; give them by these."""
    dialect = conn.dialect.name
    rows = conn.execute(_by_public_ids(dialect), {"wanted": given(dialect, subscriber.c.public_id, public_ids)})
    return {person.public_id: person for person in map(_person, rows)}


def by_id(conn: Connection, subscriber_id: int) -> Subscriber | None:
    """Find a person by our own number."""
    return _one(conn, _BY_ID, subscriber_id)


def held(conn: Connection, subscriber_id: int) -> Subscriber | None:
    """Lock a person's row until the transaction ends, and give it as it stands then. Who locks open requests of theirs
    too does so before.
    """
    return _one(conn, _HELD, subscriber_id)


def by_hashes(conn: Connection, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """Give the ids of those who are known, by address hash. Some thousands at a time at most."""
    if not hashes:
        return {}
    c = subscriber.c
    rows = conn.execute(select(c.address_hash, c.id).where(one_of_many(conn, c.address_hash, hashes)))
    return {bytes(hashed): subscriber_id for hashed, subscriber_id in rows}


def add(conn: Connection, newcomers: Iterable[Newcomer], now: datetime) -> dict[bytes, int]:
    """Add people; whoever is known already stays as they are. Give the ids of all of them, by address hash.

    Somebody whose profile went after they had left, and who comes back, is the same person: the profile is new. Nobody
    gets one back who was erased on their word, or whose data is restricted.
    """
    rows = _rows(list(newcomers))
    if not rows:
        return {}
    if conn.dialect.name == "postgresql":
        ids = _add_at_once(conn, rows, now)
    else:
        ids, statement = {}, _add_one_by_one()
        at = stored(now)
        values = [dict(zip(_NEW, row, strict=True), language=str(row[5]), created_at=at) for row in rows]
        assert statement.positiontup is not None
        conn.exec_driver_sql(str(statement), list(map(itemgetter(*statement.positiontup), values)))
    return ids | by_hashes(conn, [row[2] for row in rows if row[2] not in ids])


def copy_unknown(conn: Connection, newcomers: Sequence[Newcomer], now: datetime) -> dict[bytes, int] | None:
    """Add people whom nobody knew a moment ago, with half the work that `add` makes PostgreSQL; give their ids. None:
    nobody was added, for somebody else has entered one of them since, or this is SQLite.
    """
    if conn.dialect.name != "postgresql":
        return None
    if not newcomers:
        return {}
    ids = conn.execute(_NUMBERS, {"count": len(newcomers)}).scalars().all()
    rows = [(of, *row, now) for of, row in zip(ids, _rows(newcomers), strict=True)]
    try:
        with conn.begin_nested():
            copy(conn, subscriber, ("id", *_NEW, "created_at"), rows)
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != _UNIQUE_VIOLATION:
            raise
        return None
    return {row[3]: of for of, row in zip(ids, rows, strict=True)}


_UNIQUE_VIOLATION = "23505"  # of SQLSTATE
# The sequence is looked up once: for each row it takes PostgreSQL ten times as long as to give a number out.
_NUMBERS = text(
    "WITH ids AS MATERIALIZED (SELECT pg_get_serial_sequence('subscriber', 'id')::regclass AS of)"
    " SELECT nextval(ids.of) FROM ids, generate_series(1, :count)"
)


def _rows(newcomers: Sequence[Newcomer]) -> list[tuple[Any, ...]]:
    """Give newcomers in the order of _NEW."""
    provider = providers.by_domain
    return [
        (public_id, address.mail, hashed, provider(address.domain), name, language, zone)
        for public_id, (address, hashed, name, language, zone) in zip(
            new_public_ids(len(newcomers)), newcomers, strict=True
        )
    ]


_NEW = ("public_id", "address", "address_hash", "provider", "name", "language", "zone")
_NEWCOMERS = Rows(
    "newcomers",
    {name: LargeBinary() if name in {"public_id", "address_hash"} else Text() for name in _NEW},
)


def _add_at_once(conn: Connection, rows: Sequence[tuple[object, ...]], now: datetime) -> dict[bytes, int]:
    """PostgreSQL: give the ids of those who were added, or came back."""
    handed = _NEWCOMERS.table("postgresql")
    given = select(*handed.c, bindparam("now", type_=Utc())).where(true())
    statement = _or_give_back(postgresql.insert(subscriber).from_select([*_NEW, "created_at"], given))
    added = conn.execute(
        statement.returning(subscriber.c.address_hash, subscriber.c.id),
        {**_NEWCOMERS.values("postgresql", rows), "now": now},
    )
    return {bytes(hashed): subscriber_id for hashed, subscriber_id in added}


@lru_cache(maxsize=1)
def _add_one_by_one() -> SQLCompiler:
    """SQLite: to hand the driver its values oneself takes a third of what it takes to have them looked up and bound."""
    compiled = _or_give_back(sqlite.insert(subscriber)).compile(
        dialect=sqlite.dialect(), column_keys=[*_NEW, "created_at"]
    )
    assert isinstance(compiled, SQLCompiler)
    return compiled


def _or_give_back(statement: Any) -> Insert:
    """Give a profile back. The row is locked in any case, so that retention, which looks for people without any topic,
    waits or passes by.
    """
    giving: Insert = statement.on_conflict_do_update(
        index_elements=["address_hash"],
        set_={c: statement.excluded[c] for c in ("address", "provider", "name", "language", "zone")},
        where=and_(
            subscriber.c.address.is_(None), subscriber.c.erased_at.is_(None), subscriber.c.restricted_at.is_(None)
        ),
    )
    return giving


def ensure(conn: Connection, newcomer: Newcomer, now: datetime) -> Subscriber:
    """Find a person, adding them first if nobody knows them, as `add` does for many. Their row is locked."""
    (public_id,) = new_public_ids(1)
    added = conn.execute(_adding(conn.dialect.name), _row(public_id, newcomer, now)).one_or_none()
    found = _person(added) if added is not None else by_hash(conn, newcomer.address_hash)
    assert found is not None
    return found


@lru_cache(maxsize=2)
def _adding(dialect: str) -> ReturningInsert[Any]:
    return _or_give_back(insert_or(dialect, subscriber)).returning(*_COLUMNS)


def add_new(conn: Connection, newcomers: Sequence[Newcomer], now: datetime) -> dict[bytes, int]:
    """Add those whom nobody knows yet, dozens at a time; give their ids by address hash. Nobody known is touched, nor
    waited for, but for whoever adds the same person in a transaction that has not ended.
    """
    in_order = sorted(newcomers, key=lambda new: new.address_hash)  # or two who add the same people might deadlock
    rows = [_row(public_id, new, now) for public_id, new in zip(new_public_ids(len(in_order)), in_order, strict=True)]
    return enter(conn, subscriber.c.address_hash, rows)


def _row(public_id: bytes, new: Newcomer, now: datetime) -> dict[str, object]:
    return {
        "public_id": public_id,
        "address": new.address.mail,
        "address_hash": new.address_hash,
        "provider": providers.by_domain(new.address.domain),
        "name": new.name,
        "language": new.language,
        "zone": new.zone,
        "created_at": now,
    }


def come_back(conn: Connection, newcomer: Newcomer) -> None:
    """Write down address and name of somebody who was erased and now signs up anew; whoever has an address keeps it.

    That they were erased stays noted until they have confirmed: until then somebody typed an address, no more.
    """
    c = subscriber.c
    conn.execute(
        update(subscriber)
        .where(c.address_hash == newcomer.address_hash, c.address.is_(None))
        .values(
            address=newcomer.address.mail,
            provider=providers.by_domain(newcomer.address.domain),
            name=newcomer.name,
            language=newcomer.language,
        )
    )


def learn_zones(conn: Connection, zones: Mapping[bytes, str]) -> None:
    """Note the zones of people, by address hash, who are known and have none yet; nobody else's, and nothing about
    whoever's data is restricted.
    """
    if not zones:
        return
    c = subscriber.c
    found = by_hashes(conn, list(zones))
    may_learn = and_(c.zone.is_(None), c.address.is_not(None), c.restricted_at.is_(None))
    without = select(c.id).where(one_of_many(conn, c.id, found.values()), may_learn).order_by(c.id)
    ids = set(conn.execute(without.with_for_update(key_share=True)).scalars()) if found else set()
    learnt = [{"of": who, "to": zones[hashed]} for hashed, who in found.items() if who in ids]
    if learnt:
        conn.execute(update(subscriber).where(c.id == bindparam("of")).values(zone=bindparam("to")), learnt)


def set_language(conn: Connection, subscriber_id: int, language: Language) -> None:
    """Write to a person in another language from now on."""
    conn.execute(update(subscriber).where(subscriber.c.id == subscriber_id).values(language=language))


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of a person's story: when, what, about what, and the proof in words."""

    at: datetime
    what: str
    topic: str
    detail: str


def story(conn: Connection, subscriber_id: int, limit: int = 200) -> list[Happening]:
    """Tell what happened between us and a person, oldest first: consent events and deliveries."""
    e, d = consent_event.c, delivery.c
    events = conn.execute(
        select(e.at, e.kind, e.topic, e.source)
        .where(e.subscriber_id == subscriber_id)
        .order_by(e.id.desc())
        .limit(limit)
    )
    told = [Happening(r.at, r.kind, r.topic or "", r.source) for r in events]
    sent = conn.execute(
        select(d.at, d.outcome, campaign.c.topic, campaign.c.name, d.consent_event_id)
        .join(campaign, campaign.c.id == d.campaign_id)
        .where(d.subscriber_id == subscriber_id)
        .order_by(d.at.desc())
        .limit(limit)
    )
    for r in sent:
        under = f", under consent event {r.consent_event_id}" if r.consent_event_id else ""
        told.append(Happening(r.at, f"letter {r.outcome}", r.topic or "", f"{r.name}{under}"))
    return sorted(told, key=lambda h: h.at)


_COLUMNS = [subscriber.c[name] for name in Subscriber.__slots__]
# Put together once: to do that anew costs more than to run them.
_PERSON = select(*_COLUMNS)
_BY_HASH = _PERSON.where(subscriber.c.address_hash == bindparam("wanted"))
_BY_PUBLIC_ID = _PERSON.where(subscriber.c.public_id == bindparam("wanted"))
_BY_ID = _PERSON.where(subscriber.c.id == bindparam("wanted"))


@lru_cache(maxsize=2)
def _by_public_ids(dialect: str) -> Select[Any]:
    return _PERSON.where(one_of_given(dialect, subscriber.c.public_id, "wanted"))


# Not against who refers to the row: an append to the ledger does, and would wait for nothing.
_HELD = _BY_ID.with_for_update(key_share=True)


def _one(conn: Connection, which: Select[Any], wanted: bytes | int) -> Subscriber | None:
    row = conn.execute(which, {"wanted": wanted}).one_or_none()
    return _person(row) if row is not None else None


def _person(row: Row[Any]) -> Subscriber:
    return Subscriber(
        row.id,
        bytes(row.public_id),
        row.address,
        bytes(row.address_hash),
        row.name,
        Language(row.language),
        row.created_at,
        row.paused_until,
        row.restricted_at,
    )

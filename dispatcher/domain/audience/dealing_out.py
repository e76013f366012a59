"""An audience is frozen: who may not be written to goes into the ledger with the reason, the others are dealt out into
batches of one mailbox provider each; where each reader's own clock counts, also of one moment each; where subjects are
tried, also of one subject each.

What must stay true: everybody of the audience is in exactly one of the two, also while consent changes; and in one
batch, which has one subject. Who gets which hangs on the audience and the campaign's number, and on nothing else.
A large audience comes in portions, each dealt out by itself behind those before it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    case,
    func,
    insert,
    literal,
    null,
    select,
)

from dispatcher.db.columns import Id, IdList, Rows, Utc, collect
from dispatcher.db.tables import batch, delivery, subscriber
from dispatcher.db.terms import BatchState, Outcome

PAGE = 500  # recipients to a batch
_PRIME = 2**31 - 1
_PAGE_COLUMNS = ["campaign_id", "no", "state", "subscriber_ids", "provider"]
_DUES = Rows("dues", {"zone": Text(), "at": Utc()})
# Everybody whom a campaign may be for, looked at once, while an audience is frozen on SQLite.
_LOOKED_AT = Table(
    "looked_at",
    MetaData(),
    Column("subscriber_id", Integer, primary_key=True),
    Column("provider", Text),
    Column("reason", Text),
    prefixes=["TEMPORARY"],
)


@dataclass(frozen=True, slots=True)
class Dues:
    """When letters are due, by the zone that people have; `otherwise`: to all others."""

    by_zone: Mapping[str, datetime]
    otherwise: datetime


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of subjects: how many, and what part of the audience (per cent) gets them, all together."""

    variants: int
    share: int


def freeze(
    conn: Connection, campaign_id: int, people: Select[Any], now: datetime, apart: Dues | Trial | None = None
) -> int:
    """Freeze an audience or a portion of it, `people` as audiences.py gives them: who is withheld into the ledger, the
    others into batches of one mailbox provider each, all providers alternating in proportion. Give its size. Whoever
    calls this holds the campaign's row, under which batches get their numbers.

    What sets people `apart`: with Dues a batch is of one moment too, and is not claimed before it. With a Trial it has
    one subject; equally many people get each, and the batches of all others wait. Of fewer people than that all get
    the first.
    """
    last = conn.execute(select(func.max(batch.c.no)).where(batch.c.campaign_id == campaign_id)).scalar_one()
    deal = _Deal(campaign_id, now, apart, 0 if last is None else last + 1)
    freeze_all = _freeze_at_once if conn.dialect.name == "postgresql" else _freeze_in_steps
    return freeze_all(conn, deal, people)


def freeze_one(conn: Connection, campaign_id: int, subscriber_id: int, provider: str | None = None) -> None:
    """Freeze an audience of one person. `provider` is that of the mailbox, if it is not the one that they have."""
    of_whom = select(
        literal(campaign_id, Id),
        literal(0, Integer()),
        literal(BatchState.READY.value),
        literal([subscriber_id], IdList),
        literal(provider) if provider else subscriber.c.provider,
    ).where(subscriber.c.id == subscriber_id)
    conn.execute(insert(batch).from_select(_PAGE_COLUMNS, of_whom))


@dataclass(frozen=True, slots=True)
class _Deal:
    campaign_id: int
    now: datetime
    apart: Dues | Trial | None
    first_no: int  # of its batches

    def values(self, dialect: str) -> dict[str, str]:
        return _DUES.values(dialect, list(self.apart.by_zone.items())) if isinstance(self.apart, Dues) else {}


def _freeze_at_once(conn: Connection, deal: _Deal, all_: Select[Any]) -> int:
    """PostgreSQL: one look at everybody. Whose consent changes meanwhile still belongs to exactly one of the two."""
    people = all_.cte("people")
    withheld = _withhold(deal, people).returning(delivery.c.subscriber_id).cte("withheld")
    sizes = func.cardinality(batch.c.subscriber_ids).label("size")
    paged = _page(deal, people, "postgresql").returning(sizes).cte("paged")
    reached = select(func.coalesce(func.sum(paged.c.size), 0)).scalar_subquery()
    kept_back = select(func.count()).select_from(withheld).scalar_subquery()
    return int(conn.execute(select(reached + kept_back), deal.values("postgresql")).scalar_one())


def _freeze_in_steps(conn: Connection, deal: _Deal, all_: Select[Any]) -> int:
    """SQLite: nobody else can write meanwhile. To look at everybody twice would take half as long again."""
    _LOOKED_AT.create(conn)
    conn.execute(insert(_LOOKED_AT).from_select(list(_LOOKED_AT.c), all_))
    kept_back = conn.execute(_withhold(deal, _LOOKED_AT)).rowcount
    paging = _page(deal, _LOOKED_AT, "sqlite").returning(func.json_array_length(batch.c.subscriber_ids))
    reached: int = sum(conn.execute(paging, deal.values("sqlite")).scalars())
    _LOOKED_AT.drop(conn)
    return reached + kept_back


def _withhold(deal: _Deal, people: FromClause) -> Insert:
    reasons = select(
        literal(deal.campaign_id, Id),
        people.c.subscriber_id,
        literal(Outcome.WITHHELD.value),
        literal(deal.now, delivery.c.at.type),
        people.c.reason,
    ).where(people.c.reason.is_not(None))
    return insert(delivery).from_select(["campaign_id", "subscriber_id", "outcome", "at", "reply"], reasons)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """People, and what sets them apart beside their mailbox provider: `due` or `variant`."""

    people: FromClause
    found: FromClause
    by: Mapping[str, ColumnElement[Any]]


def _page(deal: _Deal, people: FromClause, dialect: str) -> Insert:
    """Deal people out: those who are alike in order of id, PAGE to a batch; the k-th of n batches of a kind stands at
    the (k - 1/2)/n-th part of the whole, so that in any stretch each has its share.
    """
    of = _kinds(deal, people, dialect)
    who, provider = of.people.c.subscriber_id, of.people.c.provider
    place = func.row_number().over(partition_by=[provider, *of.by.values()], order_by=who) - 1
    named = [value.label(name) for name, value in of.by.items()]
    each = (
        select(who, provider, *named, (place // PAGE).label("page"))
        .select_from(of.found)
        .where(of.people.c.reason.is_(None))
        .subquery("placed")
    )
    kind = [each.c.provider, *(each.c[name] for name in of.by)]
    page = select(*kind, each.c.page, collect(each.c.subscriber_id).label("ids")).group_by(*kind, each.c.page)
    pages = page.subquery("page")
    count = func.count().over(partition_by=[pages.c.provider, *(pages.c[name] for name in of.by)])
    counted = select(pages, ((pages.c.page + 0.5) / count).label("part")).subquery("counted").c
    turn = func.row_number().over(order_by=[counted.part, counted.provider, *(counted[name] for name in of.by)])
    no = turn + (deal.first_no - 1)
    row = [literal(deal.campaign_id, Id), no, literal(BatchState.READY.value), counted.ids, counted.provider]
    columns: dict[str, ColumnElement[Any]] = dict(zip(_PAGE_COLUMNS, row, strict=True))
    if "due" in of.by:
        columns |= {"due_at": counted.due, "not_before": counted.due}
    if "variant" in of.by:
        waits = case((counted.variant.is_(None), BatchState.WAITING.value), else_=BatchState.READY.value)
        columns |= {"state": waits, "variant": counted.variant}
    return insert(batch).from_select(list(columns), select(*columns.values()))


def _kinds(deal: _Deal, people: FromClause, dialect: str) -> _Kinds:
    match deal.apart:
        case None:
            return _Kinds(people, people, {})
        case Dues() as dues:
            found, due = _timed(deal, dues, people, dialect)
            return _Kinds(people, found, {"due": due})
        case Trial() as trial:
            tried = _tried(deal, trial, people)
            return _Kinds(tried, tried, {"variant": tried.c.variant})


def _tried(deal: _Deal, trial: Trial, people: FromClause) -> FromClause:
    """Give who may be written to with their subject: the first so many in an order that looks like chance get the
    first, the next as many the second; NULL: they wait. If there is nobody for each, all get the first.
    """
    p = people.c
    rank = (
        func.row_number(type_=Integer()).over(order_by=[_lot(deal.campaign_id, p.subscriber_id), p.subscriber_id]) - 1
    )
    ranked = (
        select(p.subscriber_id, p.provider, p.reason, rank.label("rank"), func.count().over().label("total"))
        .where(p.reason.is_(None))
        .subquery("ranked")
        .c
    )
    size = ranked.total * trial.share // (100 * trial.variants)
    variant = case((size == 0, 1), (ranked.rank < size * trial.variants, ranked.rank // size + 1), else_=null())
    return select(ranked.subscriber_id, ranked.provider, ranked.reason, variant.label("variant")).subquery("tried")


def _lot(campaign_id: int, who: ColumnElement[int]) -> ColumnElement[int]:
    """Draw a lot for each person, another in each campaign: a quadratic modulo a prime, for SQLite has no hash. The
    prime has 31 bits, so that both databases hold each product.
    """
    seed = hashlib.sha256(f"trial {campaign_id}".encode()).digest()
    factor, start, shift = (int.from_bytes(seed[at : at + 8]) % (_PRIME - 1) + 1 for at in (0, 8, 16))
    prime = literal(_PRIME, Id)
    drawn = (who % prime * literal(factor, Id) + literal(start, Id)) % prime
    return drawn * ((drawn + literal(shift, Id)) % prime) % prime


def _timed(deal: _Deal, dues: Dues, people: FromClause, dialect: str) -> tuple[FromClause, ColumnElement[datetime]]:
    """Give people with their moments; a moment that has passed is none: they are served with the launch."""
    theirs = _DUES.table(dialect)
    found = people.join(subscriber, subscriber.c.id == people.c.subscriber_id)
    at = func.coalesce(theirs.c.at, literal(dues.otherwise, Utc()), type_=Utc())
    due = case((at > literal(deal.now, Utc()), at), else_=null())
    return found.outerjoin(theirs, theirs.c.zone == subscriber.c.zone), due

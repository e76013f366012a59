"""An audience is frozen: who may not be written to goes into the ledger with the reason, the others are dealt out into
batches of one mailbox provider each; where each reader's own clock counts, also of one moment each.

What must stay true: everybody of the audience is in exactly one of the two, also while consent changes.
"""

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
    cast,
    func,
    insert,
    literal,
    null,
    select,
)

from dispatcher.db.columns import Id, IdList, Rows, Utc, collect
from dispatcher.db.tables import batch, delivery, subscriber
from dispatcher.db.terms import BatchState, Outcome, Topic
from dispatcher.domain import audiences

PAGE = 500  # recipients to a batch
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


def freeze(
    conn: Connection, campaign_id: int, topic: Topic, now: datetime, renews: int | None = None, dues: Dues | None = None
) -> int:
    """Freeze an audience (`renews`: of whose consent is to be renewed): withheld people into the ledger, the others
    into batches of one mailbox provider each, all providers alternating in proportion. Give its size.

    With `dues` a batch is of one moment too, and is not claimed before it.
    """
    people = audiences.everyone(topic) if renews is None else audiences.to_renew(topic, renews)
    deal = _Deal(campaign_id, now, dues)
    freeze_all = _freeze_at_once if conn.dialect.name == "postgresql" else _freeze_in_steps
    reached = freeze_all(conn, deal, people)
    kept_back = select(func.count()).where(delivery.c.campaign_id == campaign_id)
    return int(reached + conn.execute(kept_back).scalar_one())


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
    dues: Dues | None

    def values(self, dialect: str) -> dict[str, str]:
        return _DUES.values(dialect, list(self.dues.by_zone.items())) if self.dues else {}


def _freeze_at_once(conn: Connection, deal: _Deal, all_: Select[Any]) -> int:
    """PostgreSQL: one look at everybody. Whose consent changes meanwhile still belongs to exactly one of the two."""
    people = all_.cte("people")
    withheld = _withhold(deal, people).cte("withheld")
    paging = _page(deal, people, "postgresql").add_cte(withheld)
    sizes = paging.returning(func.cardinality(batch.c.subscriber_ids))
    return sum(conn.execute(sizes, deal.values("postgresql")).scalars())


def _freeze_in_steps(conn: Connection, deal: _Deal, all_: Select[Any]) -> int:
    """SQLite: nobody else can write meanwhile. To look at everybody twice would take half as long again."""
    _LOOKED_AT.create(conn)
    conn.execute(insert(_LOOKED_AT).from_select(list(_LOOKED_AT.c), all_))
    conn.execute(_withhold(deal, _LOOKED_AT))
    paging = _page(deal, _LOOKED_AT, "sqlite").returning(func.json_array_length(batch.c.subscriber_ids))
    reached: int = sum(conn.execute(paging, deal.values("sqlite")).scalars())
    _LOOKED_AT.drop(conn)
    return reached


def _withhold(deal: _Deal, people: FromClause) -> Insert:
    reasons = select(
        literal(deal.campaign_id, Id),
        people.c.subscriber_id,
        literal(Outcome.WITHHELD.value),
        literal(deal.now, delivery.c.at.type),
        people.c.reason,
    ).where(people.c.reason.is_not(None))
    return insert(delivery).from_select(["campaign_id", "subscriber_id", "outcome", "at", "reply"], reasons)


def _page(deal: _Deal, people: FromClause, dialect: str) -> Insert:
    """Deal people out: those who are alike in order of id, PAGE to a batch; the k-th of n batches of a kind stands at
    the (k - 1/2)/n-th part of the whole, so that in any stretch each has its share.
    """
    found, due = (people, None) if deal.dues is None else _timed(deal, deal.dues, people, dialect)
    alike = [people.c.provider] if due is None else [people.c.provider, due]
    place = func.row_number().over(partition_by=alike, order_by=people.c.subscriber_id) - 1
    moment = cast(null(), Utc()) if due is None else due
    each = (
        select(people.c.subscriber_id, people.c.provider, moment.label("due"), (place // PAGE).label("page"))
        .select_from(found)
        .where(people.c.reason.is_(None))
        .subquery("placed")
    )
    page = (
        select(each.c.provider, each.c.due, each.c.page, collect(each.c.subscriber_id).label("ids"))
        .group_by(each.c.provider, each.c.due, each.c.page)
        .subquery("page")
    )
    count = func.count().over(partition_by=[page.c.provider] if due is None else [page.c.provider, page.c.due])
    counted = select(page, ((page.c.page + 0.5) / count).label("part")).subquery("counted").c
    no = func.row_number().over(order_by=[counted.part, counted.provider, counted.due]) - 1
    ready = literal(BatchState.READY.value)
    pages = select(literal(deal.campaign_id, Id), no, ready, counted.ids, counted.provider, counted.due, counted.due)
    return insert(batch).from_select([*_PAGE_COLUMNS, "due_at", "not_before"], pages)


def _timed(deal: _Deal, dues: Dues, people: FromClause, dialect: str) -> tuple[FromClause, ColumnElement[datetime]]:
    """Give people with their moments; a moment that has passed is none: they are served with the launch."""
    theirs = _DUES.table(dialect)
    found = people.join(subscriber, subscriber.c.id == people.c.subscriber_id)
    at = func.coalesce(theirs.c.at, literal(dues.otherwise, Utc()), type_=Utc())
    due = case((at > literal(deal.now, Utc()), at), else_=null())
    return found.outerjoin(theirs, theirs.c.zone == subscriber.c.zone), due

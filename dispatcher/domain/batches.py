"""Pages of a frozen audience, each of one mailbox provider: made at launch, claimed by workers, given back or done.

    ready -> leased -> done                      every recipient has a delivery row
               |  \\-> deferred -> leased ...     only 4xx answers are left; due at not_before
               \\-> ready                         given back: paused, shut down, relay away

What must stay true: a claim raises the token, and only the holder of the token may write to the batch (the fence).
`in_flight` names the letters of a batch whose dots may be out: the gate writes it before the dots leave. Whoever claims
a batch whose holder vanished first settles what that holder had in flight.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

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
    and_,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from dispatcher.db.columns import Id, IdList, Rows, Utc, among, collect
from dispatcher.db.tables import batch, campaign, deferral, delivery, subscriber
from dispatcher.db.terms import BatchState, CampaignKind, CampaignState, Outcome, Topic, UnknownPolicy
from dispatcher.domain import audiences, ledger
from dispatcher.domain.ledger import Deferral, Final, Record, Released
from dispatcher.domain.providers import Provider

PAGE = 500  # recipients to a batch
LEASE = timedelta(seconds=60)
_OPEN = (BatchState.READY, BatchState.LEASED, BatchState.DEFERRED)
DIED_IN_FLIGHT = "the worker ended before the relay's answer was recorded"


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that is ours until the lease ends, or until someone else's token."""

    campaign_id: int
    no: int
    token: int
    attempts: int
    subscriber_ids: tuple[int, ...]
    provider: str = Provider.OTHER  # whose mailboxes these are, all of them

    @property
    def key(self) -> tuple[int, int]:
        """Give the batch's primary key."""
        return self.campaign_id, self.no


@dataclass(frozen=True, slots=True)
class Closed:
    """What no batch is claimed of for now: providers and campaigns that are paused, or out of permits."""

    providers: frozenset[str] = frozenset()
    campaigns: frozenset[int] = frozenset()


NOTHING_CLOSED = Closed()


class Flight(NamedTuple):
    """A letter whose dot may be out, as `batch.in_flight` has it: its attempt, by which consent, over which relay."""

    subscriber_id: int
    attempt: int
    consent_event_id: int
    relay: str


_CLAIMED = (
    batch.c.campaign_id, batch.c.no, batch.c.token, batch.c.attempts, batch.c.subscriber_ids, batch.c.in_flight,
    batch.c.provider,
)  # fmt: skip
_PAGE_COLUMNS = ["campaign_id", "no", "state", "subscriber_ids", "provider"]
SERVED = Rows("served", {"id": Id})
# Everybody whom a campaign may be for, looked at once, while an audience is frozen on SQLite.
_LOOKED_AT = Table(
    "looked_at",
    MetaData(),
    Column("subscriber_id", Integer, primary_key=True),
    Column("provider", Text),
    Column("reason", Text),
    prefixes=["TEMPORARY"],
)
HELD = Rows("held", {"campaign_id": Id, "no": Integer(), "token": Integer()})


def freeze(conn: Connection, campaign_id: int, topic: Topic, now: datetime, renews: int | None = None) -> int:
    """Freeze an audience (`renews`: of whose consent is to be renewed): withheld people into the ledger, the others
    into batches of one mailbox provider each, all providers alternating in proportion. Give its size.
    """
    people = audiences.everyone(topic) if renews is None else audiences.to_renew(topic, renews)
    of = (campaign_id, people, now)
    reached = _freeze_at_once(conn, *of) if conn.dialect.name == "postgresql" else _freeze_in_steps(conn, *of)
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


def claim(
    conn: Connection, worker: str, kinds: Sequence[CampaignKind], now: datetime, closed: Closed = NOTHING_CLOSED
) -> Claim | None:
    """Claim the next batch for `worker`; a claimed one is ours until `now` + LEASE, unless renewed. None: no work.

    What is `closed` is passed over: it keeps its place, and does not stand in the way of what comes behind it.
    Letters that a vanished holder had in flight become `unknown` here, or are left to be sent again, as the campaign's
    policy says.
    """
    values = {"worker": worker, "now": now, "until": now + LEASE}
    row = conn.execute(_claiming(tuple(kinds), closed), values).one_or_none()
    if row is None:
        return None
    mine = Claim(row.campaign_id, row.no, row.token, row.attempts, tuple(row.subscriber_ids), row.provider)
    _settle_orphans(conn, mine, row.in_flight, now)
    return mine


def claimable(now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Give the condition (batch joined with campaign) under which a batch waits for a worker."""
    due = or_(batch.c.not_before.is_(None), batch.c.not_before <= now)
    return and_(
        campaign.c.state == CampaignState.SENDING,
        or_(
            and_(batch.c.state.in_([BatchState.READY, BatchState.DEFERRED]), due),
            and_(batch.c.state == BatchState.LEASED, batch.c.lease_until < now),
        ),
    )


def renew(conn: Connection, held: Sequence[Claim], now: datetime) -> dict[tuple[int, int], CampaignState]:
    """Renew the leases of these batches; give their campaigns' states, by batch. One that is missing is lost to us.

    The row lock this takes is the fence: whoever claims the batch comes wholly before us or wholly after us.
    """
    if not held:
        return {}
    mine = HELD.table(conn.dialect.name)
    state = select(campaign.c.state).where(campaign.c.id == batch.c.campaign_id).scalar_subquery()
    renewed = conn.execute(
        update(batch)
        .where(
            batch.c.campaign_id == mine.c.campaign_id,
            batch.c.no == mine.c.no,
            batch.c.token == mine.c.token,
            batch.c.state == BatchState.LEASED,
        )
        .values(lease_until=now + LEASE)
        .returning(batch.c.campaign_id, batch.c.no, state),
        HELD.values(conn.dialect.name, [(c.campaign_id, c.no, c.token) for c in held]),
    )
    return {(campaign_id, no): CampaignState(word) for campaign_id, no, word in renewed}


def settle(conn: Connection, mine: Claim) -> BatchState | None:
    """Close a claim after its recipients were served: done, deferred, or ready for what is left.

    None: the batch was not ours any more, nothing was changed.
    """
    ids = SERVED.values(conn.dialect.name, [(who,) for who in mine.subscriber_ids])
    served, waiting, first = conn.execute(
        _tally(conn.dialect.name), {"of": mine.campaign_id, "no": mine.no, **ids}
    ).one()
    if served == len(mine.subscriber_ids):
        return _leave(conn, mine, BatchState.DONE, None, None)
    if served + waiting >= len(mine.subscriber_ids):
        return _leave(conn, mine, BatchState.DEFERRED, first, None)
    return _leave(conn, mine, BatchState.READY, None, None)


def give_back(conn: Connection, mine: Claim, not_before: datetime | None, problem: str | None) -> BatchState | None:
    """Give a claim back unfinished, not to be claimed before a moment, with the reason in words."""
    return _leave(conn, mine, BatchState.READY, not_before, problem)


def close_cancelled(conn: Connection, now: datetime, limit: int = 100) -> None:
    """Settle what vanished workers had in flight of cancelled campaigns, whose batches nobody claims any more."""
    dead = (
        select(batch.c.campaign_id, batch.c.no)
        .join(campaign, campaign.c.id == batch.c.campaign_id)
        .where(campaign.c.state == CampaignState.CANCELLED)
        .where(batch.c.state == BatchState.LEASED, batch.c.lease_until < now)
        .limit(limit)
        .with_for_update(skip_locked=True, of=batch)
        .cte("dead")
    )
    freed = conn.execute(
        update(batch)
        .where(batch.c.campaign_id == dead.c.campaign_id, batch.c.no == dead.c.no)
        .values(state=BatchState.READY, owner=None, lease_until=None, token=batch.c.token + 1)
        .returning(*_CLAIMED)
    ).all()
    for row in freed:
        mine = Claim(row.campaign_id, row.no, row.token, row.attempts, tuple(row.subscriber_ids), row.provider)
        _settle_orphans(conn, mine, row.in_flight, now, UnknownPolicy.HOLD)


def waiting(
    conn: Connection, kinds: Sequence[CampaignKind], now: datetime, limit: int, closed: Closed = NOTHING_CLOSED
) -> int:
    """Count batches that wait for a worker, up to `limit`, without those that are closed."""
    some = (
        select(batch.c.no)
        .join(campaign, campaign.c.id == batch.c.campaign_id)
        .where(campaign.c.kind.in_(kinds), claimable(now), *_open_to(closed))
        .limit(limit)
        .subquery()
    )
    return int(conn.execute(select(func.count()).select_from(some)).scalar_one())


def _freeze_at_once(conn: Connection, campaign_id: int, all_: Select[Any], now: datetime) -> int:
    """PostgreSQL: one look at everybody. Whose consent changes meanwhile still belongs to exactly one of the two."""
    people = all_.cte("people")
    withheld = _withhold(campaign_id, people, now).cte("withheld")
    paging = _page(campaign_id, people).add_cte(withheld).returning(func.cardinality(batch.c.subscriber_ids))
    return sum(conn.execute(paging).scalars())


def _freeze_in_steps(conn: Connection, campaign_id: int, all_: Select[Any], now: datetime) -> int:
    """SQLite: nobody else can write meanwhile. To look at everybody twice would take half as long again."""
    _LOOKED_AT.create(conn)
    conn.execute(insert(_LOOKED_AT).from_select(list(_LOOKED_AT.c), all_))
    conn.execute(_withhold(campaign_id, _LOOKED_AT, now))
    paging = _page(campaign_id, _LOOKED_AT).returning(func.json_array_length(batch.c.subscriber_ids))
    reached: int = sum(conn.execute(paging).scalars())
    _LOOKED_AT.drop(conn)
    return reached


def _withhold(campaign_id: int, people: FromClause, now: datetime) -> Insert:
    reasons = select(
        literal(campaign_id, Id),
        people.c.subscriber_id,
        literal(Outcome.WITHHELD.value),
        literal(now, delivery.c.at.type),
        people.c.reason,
    ).where(people.c.reason.is_not(None))
    return insert(delivery).from_select(["campaign_id", "subscriber_id", "outcome", "at", "reply"], reasons)


def _page(campaign_id: int, people: FromClause) -> Insert:
    """Deal people out: a provider's in order of id, PAGE to a batch; the k-th of n batches of a provider stands at the
    (k - 1/2)/n-th part of the whole, so that in any stretch each has its share.
    """
    theirs = people.c.provider
    place = func.row_number().over(partition_by=theirs, order_by=people.c.subscriber_id) - 1
    placed = select(people.c.subscriber_id, theirs, (place // PAGE).label("page")).where(people.c.reason.is_(None))
    each = placed.subquery("placed")
    page = (
        select(each.c.provider, each.c.page, collect(each.c.subscriber_id).label("ids"))
        .group_by(each.c.provider, each.c.page)
        .subquery("page")
    )
    count = func.count().over(partition_by=page.c.provider)
    counted = select(page, ((page.c.page + 0.5) / count).label("part")).subquery("counted")
    no = func.row_number().over(order_by=[counted.c.part, counted.c.provider]) - 1
    pages = select(literal(campaign_id, Id), no, literal(BatchState.READY.value), counted.c.ids, counted.c.provider)
    return insert(batch).from_select(_PAGE_COLUMNS, pages)


def _open_to(closed: Closed) -> Iterator[ColumnElement[bool]]:
    if closed.providers:
        yield batch.c.provider.not_in(sorted(closed.providers))
    if closed.campaigns:
        yield batch.c.campaign_id.not_in(sorted(closed.campaigns))


def _leave(
    conn: Connection, mine: Claim, state: BatchState, not_before: datetime | None, problem: str | None
) -> BatchState | None:
    key = {"of": mine.campaign_id, "at": mine.no, "mine": mine.token}
    values = {"to": state, "due": not_before, "problem": problem}
    left = conn.execute(_LEAVING, {**key, **values})
    return state if left.one_or_none() is not None else None


# The statements of every claim, put together once: to do that anew costs as much as to run them.


@lru_cache(maxsize=64)
def _claiming(kinds: tuple[CampaignKind, ...], closed: Closed) -> ReturningUpdate[Any]:
    now, until = bindparam("now", type_=Utc()), bindparam("until", type_=Utc())
    pick = (
        select(batch.c.campaign_id, batch.c.no)
        .join(campaign, campaign.c.id == batch.c.campaign_id)
        .where(campaign.c.kind.in_(kinds), claimable(now), *_open_to(closed))
        .order_by(campaign.c.priority.desc(), batch.c.campaign_id, batch.c.no)
        .limit(1)
        # A CTE: inside IN (...) the planner may run the locking SELECT more than once.
        .with_for_update(skip_locked=True, of=batch)
        .cte("pick")
    )
    return (
        update(batch)
        .where(batch.c.campaign_id == pick.c.campaign_id, batch.c.no == pick.c.no)
        .values(
            state=BatchState.LEASED,
            owner=bindparam("worker"),
            token=batch.c.token + 1,
            attempts=batch.c.attempts + 1,
            lease_until=until,
        )
        .returning(*_CLAIMED)
    )


@lru_cache(maxsize=2)
def _tally(dialect: str) -> Select[Any]:
    """How many of a batch have a delivery row, how many wait, and until when the first of these."""
    of, ids = bindparam("of", type_=Id), SERVED.table(dialect)
    # IN, not a join: for a join SQLite walks through the whole campaign, once for each of these ids.
    mine = and_(delivery.c.campaign_id == of, delivery.c.subscriber_id.in_(select(ids.c.id)))
    served = select(func.count()).where(mine).scalar_subquery()
    return select(served, func.count(), func.min(deferral.c.retry_at)).where(
        deferral.c.campaign_id == of, deferral.c.batch_no == bindparam("no", type_=Integer())
    )


_LEAVING = (
    update(batch)
    .where(batch.c.campaign_id == bindparam("of"), batch.c.no == bindparam("at"))
    .where(batch.c.token == bindparam("mine"), batch.c.state == BatchState.LEASED)
    .values(
        state=bindparam("to"),
        owner=None,
        lease_until=None,
        in_flight=None,
        not_before=bindparam("due"),
        last_error=bindparam("problem"),
        attempts=0,  # whoever gives a batch back has survived it
        left_last=None,
    )
    .returning(batch.c.no)
)


def _settle_orphans(
    conn: Connection, mine: Claim, in_flight: list[list[Any]] | None, now: datetime, policy: UnknownPolicy | None = None
) -> None:
    """Turn letters of earlier holders whose answer is not recorded into `unknown`, or, as the policy (the campaign's,
    unless given) says, into such as are sent again.
    """
    if not in_flight:
        return
    if policy is None:
        found = select(campaign.c.unknown_policy).where(campaign.c.id == mine.campaign_id)
        policy = UnknownPolicy(conn.execute(found).scalar_one())
    flights = [Flight(*entry) for entry in in_flight]
    who = among(conn, deferral.c.subscriber_id, [flight.subscriber_id for flight in flights])
    waiting = select(deferral.c.subscriber_id, deferral.c.attempt).where(
        deferral.c.campaign_id == mine.campaign_id, who
    )
    answered: dict[int, int] = {row.subscriber_id: row.attempt for row in conn.execute(waiting)}
    lost = [flight for flight in flights if answered.get(flight.subscriber_id, 0) < flight.attempt]
    released = [Released(mine.campaign_id, flight.subscriber_id) for flight in lost]
    ledger.record(conn, [*(_orphan(mine, flight, policy, now) for flight in lost), *released], now)
    ours = and_(batch.c.campaign_id == mine.campaign_id, batch.c.no == mine.no, batch.c.token == mine.token)
    conn.execute(update(batch).where(ours).values(in_flight=None))


def _orphan(mine: Claim, f: Flight, policy: UnknownPolicy, now: datetime) -> Record:
    if policy is UnknownPolicy.HOLD:
        return Final(
            mine.campaign_id, f.subscriber_id, Outcome.UNKNOWN, f.consent_event_id, None, DIED_IN_FLIGHT, f.relay
        )
    return Deferral(
        mine.campaign_id, f.subscriber_id, mine.no, f.attempt, now, None, DIED_IN_FLIGHT, f.relay, f.consent_event_id
    )

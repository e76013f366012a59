"""Pages of a frozen audience, each of one mailbox provider: made at launch, claimed by workers, given back or done.

    waiting -> ready                             of a trial of subjects: its winner is chosen (trials.py)
    ready -> leased -> done                      every recipient has a delivery row
               |  \\-> deferred -> leased ...     only 4xx answers are left; due at not_before
               \\-> ready                         given back: paused, shut down, relay away

What must stay true: a claim raises the token, and only the holder of the token may write to the batch (the fence).
`in_flight` names the letters of a batch whose dots may be out: the gate writes it before the dots leave. Whoever claims
a batch whose holder vanished first settles what that holder had in flight.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from dispatcher.db import shortcut
from dispatcher.db.columns import Id, Rows, Utc, among, read, words, written
from dispatcher.db.shortcut import Shortcut, both
from dispatcher.db.tables import batch, campaign, deferral, delivery
from dispatcher.db.terms import BatchState, CampaignKind, CampaignState, Outcome, UnknownPolicy
from dispatcher.domain import ledger
from dispatcher.domain.delivery import flights
from dispatcher.domain.delivery.flights import Flight
from dispatcher.domain.ledger import Deferral, Final, Record, Released
from dispatcher.domain.newsletters.campaigns import edition_for
from dispatcher.domain.rates.providers import Provider

LEASE: timedelta = timedelta(seconds=60)
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
    due_at: datetime | None = None  # when their time came, if not with the launch
    variant: int | None = None  # which subject of a trial they get
    # Made once, for both are asked for many times a letter: the batch's primary key, and by what its letters are
    # composed, the campaign and the subject of a trial.
    key: tuple[int, int] = field(init=False)
    edition: tuple[int, int | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.campaign_id, self.no))
        object.__setattr__(self, "edition", (self.campaign_id, self.variant))


@dataclass(frozen=True, slots=True)
class Closed:
    """What no batch is claimed of for now: providers and campaigns that are paused, or out of permits."""

    providers: frozenset[str] = frozenset()
    campaigns: frozenset[int] = frozenset()


NOTHING_CLOSED = Closed()


_CLAIMED = (
    batch.c.campaign_id, batch.c.no, batch.c.token, batch.c.attempts, batch.c.subscriber_ids, batch.c.in_flight,
    batch.c.provider, batch.c.due_at, batch.c.variant,
)  # fmt: skip
SERVED = Rows("served", {"id": Id}, packed=True)
HELD = Rows("held", {"campaign_id": Id, "no": Integer(), "token": Integer()})


def claim(
    conn: Connection, worker: str, kinds: Sequence[CampaignKind], now: datetime, closed: Closed = NOTHING_CLOSED
) -> Claim | None:
    """Claim the next batch for `worker`; a claimed one is ours until `now` + LEASE, unless renewed. None: no work.

    What is `closed` is passed over: it keeps its place, and does not stand in the way of what comes behind it.
    Letters that a vanished holder had in flight become `unknown` here, or are left to be sent again, as the campaign's
    policy says.
    """
    values = {"worker": worker, "now": now, "until": now + LEASE}
    claiming = _claiming(tuple(kinds), closed)
    if conn.dialect.name == "postgresql":
        rows: Sequence[Any] = shortcut.run(conn, _prepared(claiming), values)
    else:
        rows = conn.execute(claiming, values).all()
    if not rows:
        return None
    mine, in_flight = _claimed(rows[0])
    _settle_orphans(conn, mine, in_flight, now)
    return mine


def claimable(now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Give the condition (batch joined with campaign) under which a batch waits for a worker."""
    due = or_(batch.c.not_before.is_(None), batch.c.not_before <= now)
    return and_(
        campaign.c.state.in_(words(CampaignState.SENDING)),
        or_(campaign.c.prices_until.is_(None), campaign.c.prices_until > now),
        or_(
            and_(batch.c.state.in_(words(BatchState.READY, BatchState.DEFERRED)), due),
            and_(batch.c.state.in_(words(BatchState.LEASED)), batch.c.lease_until < now),
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
    tally = _tally(conn.dialect.name)
    ((served, waiting, first),) = shortcut.run(conn, tally, {"of": mine.campaign_id, "no": mine.no, **ids})
    if served == len(mine.subscriber_ids):
        return _leave(conn, mine, BatchState.DONE, None, None)
    if served + waiting >= len(mine.subscriber_ids):
        return _leave(conn, mine, BatchState.DEFERRED, read(first), None)
    return _leave(conn, mine, BatchState.READY, None, None)


def give_back(conn: Connection, mine: Claim, not_before: datetime | None, problem: str | None) -> BatchState | None:
    """Give a claim back unfinished, not to be claimed before a moment, with the reason in words."""
    return _leave(conn, mine, BatchState.READY, not_before, problem)


def make_due(conn: Connection) -> int:
    """Let be claimed at once what waits because no relay could be used; give how many batches these are.

    Only such a batch is ready and has both a moment and a problem: what waits for a reader's own clock has no problem,
    and what waits for the retries of deferred letters is not ready.
    """
    is_put_off = and_(
        batch.c.state == BatchState.READY, batch.c.not_before.is_not(None), batch.c.last_error.is_not(None)
    )
    return conn.execute(update(batch).where(is_put_off).values(not_before=None)).rowcount


def close_cancelled(conn: Connection, now: datetime, limit: int = 100) -> None:
    """Settle what vanished workers had in flight of cancelled campaigns, whose batches nobody claims any more."""
    _close_vanished(conn, campaign.c.state == CampaignState.CANCELLED, now, limit)


def are_all_in(conn: Connection, campaign_id: int, now: datetime) -> bool:
    """Settle what vanished workers had in flight of a campaign of which nothing is claimed; say whether none of its
    batches is in a worker's hands any more.
    """
    _close_vanished(conn, campaign.c.id == campaign_id, now, limit=1000)
    held = select(batch.c.no).where(batch.c.campaign_id == campaign_id, batch.c.state == BatchState.LEASED)
    return not conn.execute(select(held.exists())).scalar_one()


def _close_vanished(conn: Connection, of: ColumnElement[bool], now: datetime, limit: int) -> None:
    dead = (
        select(batch.c.campaign_id, batch.c.no)
        .join(campaign, campaign.c.id == batch.c.campaign_id)
        .where(of)
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
        mine, in_flight = _claimed(row)
        _settle_orphans(conn, mine, in_flight, now, may_resend=False)


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


def _claimed(row: Sequence[Any]) -> tuple[Claim, list[Flight]]:
    campaign_id, no, token, attempts, ids, in_flight, provider, due_at, variant = row
    return Claim(campaign_id, no, token, attempts, tuple(ids), provider, read(due_at), variant), flights.read(in_flight)


def _open_to(closed: Closed) -> Iterator[ColumnElement[bool]]:
    if closed.providers:
        yield batch.c.provider.not_in([literal(provider) for provider in sorted(closed.providers)])
    if closed.campaigns:
        yield batch.c.campaign_id.not_in([literal(campaign_id) for campaign_id in sorted(closed.campaigns)])


def _leave(
    conn: Connection, mine: Claim, state: BatchState, not_before: datetime | None, problem: str | None
) -> BatchState | None:
    key = {"of": mine.campaign_id, "at": mine.no, "mine": mine.token}
    values = {"to": state.value, "due": written(conn.dialect.name, not_before), "problem": problem}
    return state if _LEAVING.run(conn, **key, **values) else None


# The statements of every claim, put together once: to do that anew costs as much as to run them.


@lru_cache(maxsize=64)
def _claiming(kinds: tuple[CampaignKind, ...], closed: Closed) -> ReturningUpdate[Any]:
    now, until = bindparam("now", type_=Utc()), bindparam("until", type_=Utc())
    pick = (
        select(batch.c.campaign_id, batch.c.no)
        .join(campaign, campaign.c.id == batch.c.campaign_id)
        .where(campaign.c.kind.in_(words(*kinds)), claimable(now), *_open_to(closed))
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


@lru_cache(maxsize=64)
def _prepared(claiming: ReturningUpdate[Any]) -> Shortcut:
    return shortcut.compiled(claiming)


@lru_cache(maxsize=2)
def _tally(dialect: str) -> Shortcut:
    """How many of a batch have a delivery row, how many wait, and until when the first of these."""
    of, d = bindparam("of", type_=Id), delivery.c
    mine = SERVED.hold("id", d.subscriber_id)
    if dialect == "sqlite":  # IN, not a join: for a join SQLite walks through the whole campaign, for each of these ids
        mine = d.subscriber_id.in_(select(SERVED.table(dialect).c.id))
    served = select(func.count()).where(d.campaign_id == of, mine).scalar_subquery()
    tally = select(served, func.count(), func.min(deferral.c.retry_at)).where(
        deferral.c.campaign_id == of, deferral.c.batch_no == bindparam("no", type_=Integer())
    )
    return shortcut.compiled(tally, dialect)


_LEAVING = both(
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
    conn: Connection, mine: Claim, in_flight: list[Flight], now: datetime, *, may_resend: bool = True
) -> None:
    """Turn letters of earlier holders whose answer is not recorded into `unknown`, or, if they may be and the
    campaign's policy says so, into such as are sent again.
    """
    if not in_flight:
        return
    c = campaign.c
    of = conn.execute(select(c.unknown_policy, c.edition_no).where(c.id == mine.campaign_id)).one()
    edition_no = edition_for(of.edition_no, mine.variant)
    is_resent = may_resend and of.unknown_policy == UnknownPolicy.RESEND
    who = among(conn, deferral.c.subscriber_id, [flight.subscriber_id for flight in in_flight])
    waiting = select(deferral.c.subscriber_id, deferral.c.attempt).where(
        deferral.c.campaign_id == mine.campaign_id, who
    )
    answered: dict[int, int] = {row.subscriber_id: row.attempt for row in conn.execute(waiting)}
    lost = [flight for flight in in_flight if answered.get(flight.subscriber_id, 0) < flight.attempt]
    released = [Released(mine.campaign_id, flight.subscriber_id) for flight in lost]
    records = [_again(mine, f, now) if is_resent else _doubt(mine, f, edition_no) for f in lost]
    ledger.record(conn, [*records, *released], now)
    ours = and_(batch.c.campaign_id == mine.campaign_id, batch.c.no == mine.no, batch.c.token == mine.token)
    conn.execute(update(batch).where(ours).values(in_flight=None))


def _doubt(mine: Claim, f: Flight, edition_no: int) -> Record:
    return Final(
        mine.campaign_id, f.subscriber_id, Outcome.UNKNOWN, f.consent_event_id, None, DIED_IN_FLIGHT, f.relay,
        edition_no=edition_no,
    )  # fmt: skip


def _again(mine: Claim, f: Flight, now: datetime) -> Record:
    return Deferral(
        mine.campaign_id, f.subscriber_id, mine.no, f.attempt, now, None, DIED_IN_FLIGHT, f.relay, f.consent_event_id
    )

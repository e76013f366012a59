"""Retention: what has had its time goes. periods.py says how long that is, and why.

    requests      a letter's button that nobody pressed in time: what was typed goes, and where it came from
    unconfirmed   a sign-up that nobody confirmed: it expires; whoever never confirmed anything is let go of altogether
    listed        the same of an import; the hash stays for the proof's time, so that the same file brings nobody back
    older         consent under words that are not good any more: it expires if nobody renewed it
    profiles      address and name of whoever has no topic, confirmed or pending, any more
    proofs        of a consent that ended years ago: what in its events is personal, and at last the person's hash
    attempts      at the sign-up form
    answers       that the API keeps for requests that come twice
    webhooks      what was told to the endpoints, delivered or not
    uploads       files of people that were handed in and not taken in; rows of others that could not be read
    deliveries    rows of an old newsletter become counts, but for people who objected or complained
    rights        what people asked for by right and were answered, in the log
    runs          notes of retention itself

What must stay true: each chunk is a transaction of its own, of a bounded number of rows, and finds by itself what is
left; it takes people only whose row it can lock at once, and looks at their topics again once it holds it, so that who
comes back at that moment is not torn away. The never-mail list is not touched; a ledger event is never taken out. Of
people whose data is restricted (Art. 18 GDPR) nothing goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
)

from dispatcher.db.columns import among
from dispatcher.db.tables import (
    api_answer,
    consent_event,
    opt_in_request,
    renewal,
    retention_run,
    rights_request,
    signup_attempt,
    subscriber,
    subscription,
    webhook_message,
)
from dispatcher.db.terms import ConsentKind, Errand, SubscriptionState, Topic
from dispatcher.domain import consent, folding, uploads
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.people import profiles, restriction
from dispatcher.domain.periods import Period, Rule, Rules
from dispatcher.domain.proof import chain_head

CHUNK = 200  # people to a transaction: a tenth of a second, for others wait meanwhile
_MANY = 5_000  # rows to a transaction where a row is only deleted
_UNCONFIRMED = "retention: never confirmed"  # the source of what it writes
_LIVE = (SubscriptionState.CONFIRMED, SubscriptionState.PENDING)
# Events after which somebody is more than a form that was filled in.
_MORE_THAN_ASKED = (
    ConsentKind.CONFIRMED, ConsentKind.IMPORTED, ConsentKind.LISTED, ConsentKind.WITHDRAWN, ConsentKind.OBJECTED,
    ConsentKind.ERASED,
)  # fmt: skip

After = list[int]  # how far a step has come, as keys


class Step(StrEnum):
    """What a run does, in this order: what a step leaves behind, a later one finds."""

    REQUESTS = "requests"
    UNCONFIRMED = "unconfirmed"
    LISTED = "listed"
    OLDER = "older"
    PROFILES = "profiles"
    PROOFS = "proofs"
    ATTEMPTS = "attempts"
    ANSWERS = "answers"
    WEBHOOKS = "webhooks"
    UPLOADS = "uploads"
    DELIVERIES = "deliveries"
    RIGHTS = "rights"
    RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Due:
    """What a run would do in one step: by which rule, to how many rows, and since when the oldest of them stands."""

    step: Step
    period: Period
    rule: Rule
    rows: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What a chunk did: to how many rows, and where the next one goes on. `after` None: the step is through."""

    rows: int
    after: After | None


def plan(conn: Connection, rules: Rules, now: datetime) -> list[Due]:
    """Say what the next run would do; nothing is changed."""
    planned = []
    for step in Step:
        rule = rules[_WORK[step].period]
        rows, oldest = conn.execute(_WORK[step].due(rule.cutoff(now), now)).one()
        planned.append(Due(step, _WORK[step].period, rule, int(rows), oldest))
    return planned


def take(conn: Connection, step: Step, rules: Rules, now: datetime, after: After | None) -> Taken:
    """Do the next chunk of a step. The caller commits."""
    work = _WORK[step]
    return work.take(conn, rules[work.period].cutoff(now), now, after or [])


def _due_requests(cutoff: datetime, now: datetime) -> Select[int, Any]:
    r = opt_in_request.c
    return select(func.count(), func.min(r.requested_at)).where(_is_stale(cutoff, now))


def _is_stale(cutoff: datetime, now: datetime) -> ColumnElement[bool]:
    """A request that no button will be pressed for. What is about a change of address goes as soon as its link is dead,
    for it holds an address that nobody has confirmed.
    """
    r = opt_in_request.c
    is_over = or_(r.requested_at <= cutoff, and_(r.errand != Errand.OPT_IN, r.expires_at <= now))
    return and_(r.used_at.is_(None), r.erased_at.is_(None), is_over, ~restriction.is_of(r.subscriber_id))


def _take_requests(conn: Connection, cutoff: datetime, now: datetime, after: After) -> Taken:
    r, e = opt_in_request.c, consent_event.c
    found = select(r.id).where(_is_stale(cutoff, now), r.id > _at(after)).order_by(r.id).limit(CHUNK)
    ids = list(conn.execute(found).scalars())
    erased = profiles.erase_requests(conn, and_(among(conn, r.id, ids), r.used_at.is_(None)), now)
    of_people = among(conn, e.subscriber_id, [who for _, who in erased])
    consent.forget_personal(conn, and_(of_people, among(conn, e.request_id, [of for of, _ in erased])))
    return Taken(len(erased), _next(ids))


def _due_pending(kind: ConsentKind) -> Callable[[datetime, datetime], Select[int, Any]]:
    def due(cutoff: datetime, _now: datetime) -> Select[int, Any]:
        return (
            select(func.count(), func.min(subscription.c.since))
            .join(consent_event, consent_event.c.id == subscription.c.event_id)
            .where(_is_waiting(kind, cutoff))
        )

    return due


def _is_waiting(kind: ConsentKind, cutoff: datetime) -> ColumnElement[bool]:
    """A pending subscription (joined with its event) that began by an event of this kind, too long ago."""
    s = subscription.c
    is_pending = and_(s.state == SubscriptionState.PENDING, s.since <= cutoff, consent_event.c.kind == kind)
    return and_(is_pending, ~restriction.is_of(s.subscriber_id))


def _take_unconfirmed(conn: Connection, cutoff: datetime, now: datetime, after: After) -> Taken:
    expired, through = _expire(conn, _is_waiting(ConsentKind.REQUESTED, cutoff), _UNCONFIRMED, now, after)
    e = consent_event.c
    alone = _without_topic(conn, expired)
    knows_more = select(e.subscriber_id).where(among(conn, e.subscriber_id, alone), e.kind.in_(_MORE_THAN_ASKED))
    nobody = sorted(set(alone) - set(conn.execute(knows_more).scalars()))
    profiles.dissolve(conn, nobody, now)
    _forget(conn, nobody)
    return Taken(len(expired), through)


def _take_listed(conn: Connection, cutoff: datetime, now: datetime, after: After) -> Taken:
    expired, through = _expire(conn, _is_waiting(ConsentKind.LISTED, cutoff), _UNCONFIRMED, now, after)
    profiles.blank(conn, _without_topic(conn, expired), now)
    return Taken(len(expired), through)


def _due_older(cutoff: datetime, _now: datetime) -> Select[int, Any]:
    return select(func.count(), func.min(subscription.c.since)).where(_is_outdated(cutoff))


def _is_outdated(cutoff: datetime) -> ColumnElement[bool]:
    """A consent under words that were not good any more by then, and about which nobody was asked since."""
    s, r, o = subscription.c, renewal.c, opt_in_request.c
    refuses = case((s.declaration_number.is_(None), ~r.covers_unknown), else_=r.number > s.declaration_number)
    is_refused = exists().where(r.topic == s.topic, r.valid_from <= cutoff, refuses)
    speaks_of_it = cast(o.topics, Text).contains(literal('"') + s.topic + literal('"'))
    is_asked_since = exists().where(o.subscriber_id == s.subscriber_id, o.released_at > cutoff, speaks_of_it)
    is_over = and_(s.state == SubscriptionState.CONFIRMED, is_refused, ~is_asked_since)
    return and_(is_over, ~restriction.is_of(s.subscriber_id))


def _take_older(conn: Connection, cutoff: datetime, now: datetime, after: After) -> Taken:
    expired, through = _expire(conn, _is_outdated(cutoff), "retention: not renewed", now, after)
    return Taken(len(expired), through)


def _expire(
    conn: Connection, which: ColumnElement[bool], source: str, now: datetime, after: After
) -> tuple[list[int], After | None]:
    """End these subscriptions (joined with their event), of the next people; give one id per topic that ended, and
    where to go on.
    """
    s = subscription.c
    waiting = (
        select(s.subscriber_id)
        .distinct()
        .join(consent_event, consent_event.c.id == s.event_id)
        .where(which, s.subscriber_id > _at(after))
        .order_by(s.subscriber_id)
        .limit(CHUNK)
    )
    ids = list(conn.execute(waiting).scalars())
    still = (
        select(s.subscriber_id, s.topic)
        .join(consent_event, consent_event.c.id == s.event_id)
        .where(which, among(conn, s.subscriber_id, _held(conn, ids, now)))
        .order_by(s.subscriber_id, s.topic)
    )
    rows = conn.execute(still).all()
    evidence = Evidence(source=source)
    events = [Event(row.subscriber_id, Topic(row.topic), ConsentKind.EXPIRED, evidence) for row in rows]
    consent.append(conn, events, now)
    return [row.subscriber_id for row in rows], _next(ids)


def _due_profiles(cutoff: datetime, _now: datetime) -> Select[int, Any]:
    last = _last_change()
    return select(func.count(), func.min(last)).where(_has_profile_without_topic(), last <= cutoff)


def _take_profiles(conn: Connection, cutoff: datetime, now: datetime, after: After) -> Taken:
    s = subscriber.c
    found = (
        select(s.id)
        .where(_has_profile_without_topic(), _last_change() <= cutoff, s.id > _at(after))
        .order_by(s.id)
        .limit(CHUNK)
    )
    ids = list(conn.execute(found).scalars())
    gone = _without_topic(conn, _held(conn, ids, now))
    profiles.blank(conn, gone, now)
    return Taken(len(gone), _next(ids))


def _has_profile_without_topic() -> ColumnElement[bool]:
    s = subscription.c
    is_live = exists().where(s.subscriber_id == subscriber.c.id, s.state.in_(_LIVE))
    return and_(subscriber.c.address.is_not(None), subscriber.c.restricted_at.is_(None), ~is_live)


def _last_change() -> ColumnElement[datetime]:
    s = subscription.c
    newest = select(func.max(s.since)).where(s.subscriber_id == subscriber.c.id).scalar_subquery()
    return func.coalesce(newest, subscriber.c.created_at, type_=subscriber.c.created_at.type)


def _due_proofs(cutoff: datetime, _now: datetime) -> Select[int, Any]:
    return select(func.count(), func.min(subscription.c.since)).where(_is_proven_enough(cutoff))


def _is_proven_enough(cutoff: datetime) -> ColumnElement[bool]:
    s = subscription.c
    is_old = and_(s.state == SubscriptionState.WITHDRAWN, s.since <= cutoff)
    return and_(is_old, ~restriction.is_of(s.subscriber_id))


def _take_proofs(conn: Connection, cutoff: datetime, now: datetime, after: After) -> Taken:
    """Topic by topic: who left one and kept another keeps the other's proof. With the last the person's hash goes."""
    s, e = subscription.c, consent_event.c
    found = (
        select(s.subscriber_id)
        .distinct()
        .where(_is_proven_enough(cutoff), s.subscriber_id > _at(after))
        .order_by(s.subscriber_id)
        .limit(CHUNK)
    )
    ids = list(conn.execute(found).scalars())
    held = _held(conn, ids, now)
    which = and_(among(conn, s.subscriber_id, held), _is_proven_enough(cutoff))
    of_topic = select(e.id).join(subscription, and_(s.subscriber_id == e.subscriber_id, s.topic == e.topic))
    consent.forget_personal(conn, e.id.in_(of_topic.where(which)))
    ended = conn.execute(delete(subscription).where(which).returning(s.subscriber_id)).scalars().all()
    has_more = select(s.subscriber_id).where(among(conn, s.subscriber_id, sorted(set(ended))))
    nobody = sorted(set(ended) - set(conn.execute(has_more).scalars()))
    profiles.dissolve(conn, nobody, now)
    _forget(conn, nobody)
    return Taken(len(ended), _next(ids))


def _take_uploads(conn: Connection, cutoff: datetime, now: datetime, _after: After) -> Taken:
    gone = uploads.let_go(conn, cutoff, now, CHUNK)
    return Taken(gone, [0] if gone == CHUNK else None)


def _due_deliveries(cutoff: datetime, _now: datetime) -> Select[int, Any]:
    return folding.due(cutoff)


def _take_deliveries(conn: Connection, cutoff: datetime, _now: datetime, after: After) -> Taken:
    return Taken(*folding.fold(conn, cutoff, after))


@dataclass(frozen=True, slots=True)
class _Work:
    """A step: by which period it goes, what would be done, and how. Both are handed the cutoff and the time."""

    period: Period
    due: Callable[[datetime, datetime], Select[int, Any]]
    take: Callable[[Connection, datetime, datetime, After], Taken]


def _rows(period: Period, when: Column[datetime], *kept: ColumnElement[bool]) -> _Work:
    """Rows of a table that go once this column's time is over, except those that are to be kept."""
    others = [~condition for condition in kept]

    def due(cutoff: datetime, _now: datetime) -> Select[int, Any]:
        return select(func.count(), func.min(when)).where(when <= cutoff, *others)

    def take_rows(conn: Connection, cutoff: datetime, _now: datetime, _after: After) -> Taken:
        key = when.table.c.id
        old = select(key).where(when <= cutoff, *others).order_by(key).limit(_MANY)
        gone = conn.execute(delete(when.table).where(key.in_(old))).rowcount
        return Taken(gone, [0] if gone == _MANY else None)

    return _Work(period, due, take_rows)


_IS_OF_RESTRICTED = exists().where(
    subscriber.c.address_hash == rights_request.c.address_hash, subscriber.c.restricted_at.is_not(None)
)
_WORK = {
    Step.REQUESTS: _Work(Period.UNCONFIRMED, _due_requests, _take_requests),
    Step.UNCONFIRMED: _Work(Period.UNCONFIRMED, _due_pending(ConsentKind.REQUESTED), _take_unconfirmed),
    Step.LISTED: _Work(Period.LISTED, _due_pending(ConsentKind.LISTED), _take_listed),
    Step.OLDER: _Work(Period.OLDER, _due_older, _take_older),
    Step.PROFILES: _Work(Period.PROFILE, _due_profiles, _take_profiles),
    Step.PROOFS: _Work(Period.PROOF, _due_proofs, _take_proofs),
    Step.ATTEMPTS: _rows(Period.ATTEMPTS, signup_attempt.c.at),
    Step.ANSWERS: _rows(Period.ANSWERS, api_answer.c.at),
    Step.WEBHOOKS: _rows(Period.WEBHOOKS, webhook_message.c.at),
    Step.UPLOADS: _Work(Period.UPLOADS, lambda cutoff, _now: uploads.due(cutoff), _take_uploads),
    Step.DELIVERIES: _Work(Period.DELIVERIES, _due_deliveries, _take_deliveries),
    Step.RIGHTS: _rows(Period.RIGHTS, rights_request.c.done_at, _IS_OF_RESTRICTED),
    Step.RUNS: _rows(Period.RUNS, retention_run.c.finished_at),
}


def _held(conn: Connection, ids: Sequence[int], now: datetime) -> list[int]:
    """Lock the rows of those of them whom nobody else holds, and their open requests; give their ids.

    Who asks anew holds their row, who presses a button their request: they come first. The end of the chain is taken
    before, so nobody is half through with an event of theirs, and whoever waits for it is not waited for here.
    """
    if not ids:
        return []
    chain_head.take(conn, now)
    free_ones = and_(among(conn, subscriber.c.id, ids), subscriber.c.restricted_at.is_(None))
    mine = select(subscriber.c.id).where(free_ones).with_for_update(skip_locked=True)
    held = sorted(conn.execute(mine).scalars())
    r = opt_in_request.c
    is_open = and_(among(conn, r.subscriber_id, held), r.used_at.is_(None), r.erased_at.is_(None))
    requests = conn.execute(select(r.id, r.subscriber_id).where(is_open)).all()
    free = set(conn.execute(select(r.id).where(is_open).with_for_update(skip_locked=True)).scalars())
    busy = {row.subscriber_id for row in requests if row.id not in free}
    return [who for who in held if who not in busy]


def _without_topic(conn: Connection, ids: Sequence[int]) -> list[int]:
    """Give those who have no topic, confirmed or pending, at this moment."""
    s = subscription.c
    live = select(s.subscriber_id).where(among(conn, s.subscriber_id, ids), s.state.in_(_LIVE))
    return sorted(set(ids) - set(conn.execute(live).scalars()))


def _forget(conn: Connection, people: Sequence[int]) -> None:
    consent.forget_personal(conn, among(conn, consent_event.c.subscriber_id, people))


def _at(after: After) -> int:
    return after[0] if after else 0


def _next(ids: Sequence[int]) -> After | None:
    return [ids[-1]] if len(ids) == CHUNK else None

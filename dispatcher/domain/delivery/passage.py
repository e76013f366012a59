"""The transaction at the gate, the promise of the house in one function.

    record what has been answered  ·  are the batches still ours?  ·  does the campaign run?  ·  who of these may be
    written to, under which consent?  ·  whoever may not is withheld  ·  write down whose dots are about to leave

Only after its COMMIT may a dot leave. On PostgreSQL all of it but the withholding is one statement, one round trip and
one commit for all lanes of a process; on SQLite, where a statement is a call, each step is a statement of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    func,
    select,
    true,
    update,
)

from dispatcher.db import shortcut
from dispatcher.db.arrays import bigints, integers, texts
from dispatcher.db.columns import Id, Rows, Utc, among, stored
from dispatcher.db.shortcut import Shortcut, both
from dispatcher.db.tables import batch, campaign, subscriber, subscription
from dispatcher.db.terms import BatchState, CampaignState, Outcome, Topic
from dispatcher.domain import consent, ending_marks, ledger
from dispatcher.domain.audience import audiences
from dispatcher.domain.delivery.batches import LEASE, Claim
from dispatcher.domain.delivery.flights import Entry, entry, listed, rest_of_entry
from dispatcher.domain.ending_marks import Tide
from dispatcher.domain.ledger import Final, Record
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.people import restriction

TAKEN_OVER = "the batch was claimed by another worker"
WENT_BACK = "the database was put back to an earlier state"
CHANGED = "the campaign was changed"
STALE = "the campaign's prices are too old"


class Intent:
    """A lane that holds a letter back at its dot and asks to release it."""

    __slots__ = ("attempt", "claim", "relay", "subscriber_id")

    def __init__(self, claim: Claim, subscriber_id: int, attempt: int, relay: str) -> None:
        self.claim = claim
        self.subscriber_id = subscriber_id
        self.attempt = attempt
        self.relay = relay


@dataclass(slots=True, init=False)  # as Sent; and a plain class has no __match_args__ that mypyc would keep
class Pass:
    """The dot may go, under this consent event."""

    consent_event_id: int

    def __init__(self, consent_event_id: int) -> None:
        self.consent_event_id = consent_event_id


@dataclass(frozen=True, slots=True)
class Withheld:
    """The dot may not go: no current consent. It is in the ledger already."""

    reason: str


@dataclass(frozen=True, slots=True)
class Halted:
    """The dot may not go now: campaign paused or cancelled, or the batch is another worker's. Nothing is recorded."""

    reason: str


Decision = Pass | Withheld | Halted
Out = Mapping[tuple[int, int], Sequence[Entry]]  # by batch: the letters whose dots may still be out


class Known(NamedTuple):
    """What a process knows beside the database: letters whose dots may be out, and how far the database had come.
    `is_new`: as far as it knows, nothing of what was answered stands in the ledger yet.
    """

    out: Out
    tide: Tide
    is_new: bool = False


@dataclass(slots=True)
class _Answer:
    """What the database says about one campaign's intents."""

    states: dict[int, CampaignState]  # of the batches that are ours
    is_as_known: bool  # the campaign is still the one that we know; otherwise nobody passes
    events: dict[int, int]  # by subscriber: the consent under which the dot may go
    went_back: bool = False  # it is older than what this process has seen: nobody passes


def is_one_statement(dialect: str, records: Sequence[Record], intents: Sequence[Intent]) -> bool:
    """Say whether `pass_gate` would be a single statement, its own transaction."""
    return (
        dialect == _POSTGRESQL
        and len({intent.claim.campaign_id for intent in intents}) == 1
        and all(isinstance(r, Final) and not r.was_deferred for r in records)
    )


def pass_gate(
    conn: Connection,
    campaigns: Mapping[int, Campaign],
    records: Sequence[Record],
    intents: Sequence[Intent],
    known: Known,
    now: datetime,
) -> list[Decision]:
    """Record what was answered, then decide for each intent, in order, whether its dot may go.

    The caller commits, and releases a dot only after that. A letter that passed stands in its batch's `in_flight` from
    then on, beside those that are `known` to be out: should we die, whoever claims the batch finds it there. Raises
    IntegrityError when an answer `is_new` and stands there all the same: the caller asks again without it.
    """
    newest = _newest(intents)
    asking: dict[int, list[Intent]] = {}
    for intent in intents:
        if intent.claim.token == newest[intent.claim.key]:
            asking.setdefault(intent.claim.campaign_id, []).append(intent)
    finals: list[Final] = []
    if asking and conn.dialect.name == "postgresql":  # they go with the first campaign's statement
        finals = ledger.in_doubt(conn, [r for r in records if isinstance(r, Final)])
        ledger.forget_deferrals(conn, finals)
        records = [r for r in records if not isinstance(r, Final)]
    ledger.record(conn, records, now)
    decided: dict[Intent, Decision] = {}
    for campaign_id, theirs in asking.items():
        of = campaigns[campaign_id]
        let_go = _in_one_statement if conn.dialect.name == "postgresql" else _step_by_step
        answer = let_go(conn, of, finals, theirs, known, now)
        finals = []
        decided.update(_decide(conn, of, theirs, answer, now))
    return [decided[intent] if intent in decided else Halted(TAKEN_OVER) for intent in intents]


def _newest(intents: Sequence[Intent]) -> dict[tuple[int, int], int]:
    """Give the newest token by batch. A worker that slept past its lease may claim its own batch again: letters of the
    claim before may ask beside those of the new one, and must not pass for it.
    """
    newest: dict[tuple[int, int], int] = {}
    before = None
    for intent in intents:
        claim = intent.claim
        if claim is not before:  # most ask for the claim of the one before
            before = claim
            newest[claim.key] = max(claim.token, newest.get(claim.key, 0))
    return newest


def _decide(
    conn: Connection, of: Campaign, intents: Sequence[Intent], answer: _Answer, now: datetime
) -> dict[Intent, Decision]:
    decided: dict[Intent, Decision] = {}
    turned_away = []
    for intent in intents:
        who = intent.subscriber_id
        event = answer.events.get(who)
        state = answer.states.get(intent.claim.no)
        if event is not None:
            decided[intent] = Pass(event)
        elif (standstill := _standstill(of, state, answer, now)) is not None:
            decided[intent] = Halted(standstill)
        else:
            turned_away.append(intent)
    reasons = withhold(conn, of, [intent.subscriber_id for intent in turned_away], now)
    for intent in turned_away:
        decided[intent] = Withheld(reasons[intent.subscriber_id])
    return decided


def _standstill(of: Campaign, state: CampaignState | None, answer: _Answer, now: datetime) -> str | None:
    """Say why nothing of a batch goes now. None: only consent can be what keeps somebody's letter back."""
    if state is None:
        return TAKEN_OVER
    if answer.went_back:
        return WENT_BACK
    if state is not CampaignState.SENDING:
        return f"the campaign is {state}"
    if not answer.is_as_known:
        return CHANGED
    return STALE if of.is_stale(now) else None


def withhold(conn: Connection, of: Campaign, ids: list[int], now: datetime) -> dict[int, str]:
    """Record people as withheld, each with the reason as it stands now; give the reasons."""
    if not ids:
        return {}
    reasons = dict.fromkeys(ids, "the request was used, withdrawn or suppressed")
    if of.topic is None:
        reasons |= dict.fromkeys(restriction.among(conn, ids), audiences.RESTRICTED)
    else:
        why = audiences.why_not(of.topic)
        if of.renews is not None:
            why = audiences.why_not_asked(of.topic, of.renews, by=of.id)
        rows = conn.execute(
            select(subscription.c.subscriber_id, why)
            .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
            .where(subscription.c.topic == of.topic, among(conn, subscription.c.subscriber_id, ids))
        )
        reasons |= {row[0]: row[1] for row in rows}
    records = [Final(of.id, who, Outcome.WITHHELD, None, None, reason, None) for who, reason in reasons.items()]
    ledger.record(conn, records, now)
    return reasons


def permitted_among(conn: Connection, of: Campaign, ids: Sequence[int]) -> dict[int, int]:
    """Give those of `ids` who may be written to at this moment, with the consent event that allows it."""
    if not ids:
        return {}
    dialect = conn.dialect.name
    values = _WHO.values(dialect, [(who,) for who in ids])
    return {row[0]: row[1] for row in shortcut.run(conn, _permitting(_Question.of(of), dialect), values)}


class _Question(NamedTuple):
    """What the gate has to ask for a campaign: the same for all its letters."""

    topic: Topic | None
    request_id: int | None
    renews: int | None

    @classmethod
    def of(cls, campaign: Campaign) -> "_Question":
        return cls(campaign.topic, campaign.request_id, campaign.renews)


def _permits(asked: _Question) -> Select[tuple[int, int]]:
    if asked.topic is not None and asked.renews is not None:
        return consent.permits_renewal(asked.topic, asked.renews)
    if asked.topic is not None:
        return consent.permits_newsletter(asked.topic)
    assert asked.request_id is not None  # the schema's CHECK says so
    return consent.permits_confirmation(asked.request_id)


@lru_cache(maxsize=64)
def _permitting(asked: _Question, dialect: str) -> Shortcut:
    allowed = _permits(asked)
    return shortcut.compiled(allowed.where(allowed.selected_columns[0].in_(select(_WHO.table(dialect).c.id))), dialect)


_WHO = Rows("who", {"id": Id}, packed=True)


def _step_by_step(
    conn: Connection, of: Campaign, finals: list[Final], intents: Sequence[Intent], known: Known, now: datetime
) -> _Answer:
    """SQLite: it has begun to write already, so nothing can change between these statements."""
    assert not finals
    claims = {intent.claim.no: intent.claim for intent in intents}
    ((stands,),) = _STANDS.run(conn)
    went_back = not known.tide.heed(int(stands))
    states = {}
    epoch = of.epoch
    for claim in claims.values():
        for state, epoch_now in _STATE_OF_OURS.run(conn, of=of.id, no=claim.no, token=claim.token):
            states[claim.no] = CampaignState(state)
            epoch = epoch_now
    may_go = epoch == of.epoch and not went_back and not of.is_stale(now)
    running = {no for no, state in states.items() if state is CampaignState.SENDING and may_go}
    events = permitted_among(conn, of, [i.subscriber_id for i in intents if i.claim.no in running])
    for no in states:
        going = [
            entry(i.subscriber_id, i.attempt, events[i.subscriber_id], i.relay)
            for i in intents
            if i.claim.no == no and i.subscriber_id in events
        ]
        flights = listed([*known.out.get((of.id, no), ()), *going])
        _RENEW.run(conn, of=of.id, at=no, until=stored(now + LEASE), flights=flights)
    return _Answer(states, epoch == of.epoch, events, went_back)


_STANDS = both(select(ending_marks.stands()))
_STATE_OF_OURS = both(
    select(campaign.c.state, campaign.c.epoch)
    .join(batch, batch.c.campaign_id == campaign.c.id)
    .where(batch.c.campaign_id == bindparam("of"), batch.c.no == bindparam("no"))
    .where(batch.c.token == bindparam("token"), batch.c.state == BatchState.LEASED)
)
_RENEW = both(
    update(batch)
    .where(batch.c.campaign_id == bindparam("of"), batch.c.no == bindparam("at"))
    .values(lease_until=bindparam("until"), in_flight=bindparam("flights"))
)


def _in_one_statement(
    conn: Connection, of: Campaign, finals: list[Final], intents: Sequence[Intent], known: Known, now: datetime
) -> _Answer:
    """PostgreSQL: one round trip; its row locks are the fence."""
    claims = {intent.claim.no: intent.claim for intent in intents}
    values: dict[str, object] = {
        "of": of.id,
        "epoch": _NEVER if of.is_stale(now) else of.epoch,  # what the prices are good for is as known, or nobody passes
        "tide": known.tide.seen,
        "until": now + LEASE,
        "ours_no": integers(list(claims)),
        "ours_token": integers([claim.token for claim in claims.values()]),
        "ours_still_out": texts([listed(known.out.get(claim.key, ())) for claim in claims.values()]),
        "asked_no": integers([intent.claim.no for intent in intents]),
        "asked_subscriber_id": bigints([intent.subscriber_id for intent in intents]),
        "asked_rest": texts([rest_of_entry(i.subscriber_id, i.attempt, i.relay) for i in intents]),
    }
    written = _NOTHING
    if finals:
        values |= ledger.finals_values(finals, now)
        written = _NEW if known.is_new else _SETTLING
    answer = _Answer({}, True, {})
    for no, state, epoch, stands, ids, events in shortcut.run(conn, _prepared(_Question.of(of), written), values):
        answer.states[no] = CampaignState(state)
        answer.is_as_known = epoch == of.epoch
        answer.went_back = not known.tide.heed(stands)
        if ids:
            answer.events.update(zip(ids, events, strict=True))
    return answer


@lru_cache(maxsize=64)
def _prepared(asked: _Question, written: str) -> Shortcut:
    return shortcut.compiled(_statement(asked, written))


def _permits_those_who_ask(question: _Question) -> Select[tuple[int, int]]:
    if question.topic is None:
        return _permits(question)
    theirs = (_ASKED.hold("subscriber_id", column) for column in (subscription.c.subscriber_id, subscriber.c.id))
    return consent.permits_these(question.topic, question.renews, *theirs)


_POSTGRESQL = "postgresql"
_NOTHING, _NEW, _SETTLING = "nothing", "new", "settling"  # what of answers is written in the same statement
_NEVER = -1  # no campaign's epoch
_OURS = Rows("ours", {"no": Integer(), "token": Integer(), "still_out": Text()}, packed=True)
_ASKED = Rows("asked", {"no": Integer(), "subscriber_id": Id, "rest": Text()}, packed=True)


def _statement(question: _Question, written: str) -> Update:
    ours, asked = _OURS.table(_POSTGRESQL), _ASKED.table(_POSTGRESQL)
    stands = ending_marks.stands().label("stands")
    of = select(campaign.c.state, campaign.c.epoch, stands).where(campaign.c.id == bindparam("of")).cte("of")
    of = of.prefix_with("MATERIALIZED")  # or the marks would be summed up wherever they are named
    may_go = and_(
        of.c.state == CampaignState.SENDING,
        of.c.epoch == bindparam("epoch", type_=Integer()),
        of.c.stands >= bindparam("tide", type_=BigInteger()),
    )
    allowed = _permits_those_who_ask(question).subquery("allowed")
    going = (
        select(
            asked.c.no,
            func.array_agg(asked.c.subscriber_id).label("ids"),
            func.array_agg(allowed.c.event_id).label("events"),
            func.string_agg(cast(allowed.c.event_id, Text).concat(asked.c.rest), "").label("flights"),
        )
        .join(allowed, allowed.c.subscriber_id == asked.c.subscriber_id)
        .group_by(asked.c.no)
        .subquery("going")
    )
    found = select(ours, of, may_go.label("may_go"), going.c.ids, going.c.events, going.c.flights)
    ready = found.join_from(ours, of, true()).outerjoin(going, going.c.no == ours.c.no).subquery("ready")
    released = case((ready.c.may_go, func.coalesce(ready.c.flights, "")), else_="")
    passed = [case((ready.c.may_go, column)) for column in (ready.c.ids, ready.c.events)]
    renewed = (
        update(batch)
        .where(batch.c.campaign_id == bindparam("of"), batch.c.no == ready.c.no)
        # Whoever claims the batch comes wholly before us, and the row is not ours any more, or wholly after us.
        .where(batch.c.token == ready.c.token, batch.c.state == BatchState.LEASED)
        .values(lease_until=bindparam("until", type_=Utc()), in_flight=ready.c.still_out.concat(released))
        .returning(batch.c.no, ready.c.state, ready.c.epoch, ready.c.stands, *passed)
    )
    if written == _NOTHING:
        return renewed
    return renewed.add_cte(ledger.write_finals(are_new=written == _NEW).cte("written"))

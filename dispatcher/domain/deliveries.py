"""The insert-only ledger and the transaction at the gate.

`pass_gate` is the promise of the house in one function. In one transaction it records what has been answered, makes
sure the batches are still ours, reads campaign, consent and suppression of exactly those about to go, and writes down
whom each lane is about to release. Only after its COMMIT may a dot leave.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Integer, Select, Text, and_, delete, literal, or_, select, true
from sqlalchemy.types import TypeEngine

from dispatcher.db.columns import Id, among, insert_or, rows_param, rows_value
from dispatcher.db.tables import deferral, delivery, lane, opt_in_request, subscriber, subscription
from dispatcher.db.terms import CampaignState, ConsentKind, Language, Outcome, Topic
from dispatcher.domain import audiences, batches, consent
from dispatcher.domain.batches import Claim
from dispatcher.domain.campaigns import Campaign
from dispatcher.domain.consent import Event, Evidence


@dataclass(frozen=True, slots=True)
class Recipient:
    """Someone to whom a letter is to go: what the letter needs to know."""

    subscriber_id: int
    public_id: bytes
    address: str
    name: str
    language: Language
    consented_on: date | None
    attempt: int  # 1: the first


@dataclass(frozen=True, slots=True)
class Intent:
    """A lane that holds a letter back at its dot and asks to release it."""

    slot: int
    claim: Claim
    subscriber_id: int
    attempt: int
    relay: str


@dataclass(frozen=True, slots=True)
class Final:
    """What became of one recipient, for good. `consent_event_id` is None only if no dot ever left."""

    campaign_id: int
    subscriber_id: int
    outcome: Outcome
    consent_event_id: int | None
    code: int | None
    reply: str
    relay: str | None


@dataclass(frozen=True, slots=True)
class Deferral:
    """A 4xx answer: to be tried again at `retry_at`."""

    campaign_id: int
    subscriber_id: int
    batch_no: int
    attempt: int
    retry_at: datetime
    code: int | None
    reply: str
    relay: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """The relay took a confirmation mail: evidence for the request it belongs to."""

    subscriber_id: int
    request_id: int
    mail_template: str  # SHA-256 of the edition: which version of the letter it was
    mail_sha256: bytes
    message_id: str
    relay_reply: str


@dataclass(frozen=True, slots=True)
class Pass:
    """The dot may go, under this consent event."""

    consent_event_id: int


@dataclass(frozen=True, slots=True)
class Withheld:
    """The dot may not go: no current consent. It is in the ledger already."""

    reason: str


@dataclass(frozen=True, slots=True)
class Halted:
    """The dot may not go now: campaign paused or cancelled, or the batch is another worker's. Nothing is recorded."""

    reason: str


Decision = Pass | Withheld | Halted
Record = Final | Deferral | Proof


def recipients(conn: Connection, mine: Claim, of: Campaign, now: datetime) -> list[Recipient]:
    """Give those of a claimed batch who are still to be served: no delivery row, no deferral that is not yet due.

    Whoever may not be written to any more is recorded as withheld here, which spares a connection at the gate.
    """
    ids = rows_param(conn.dialect.name, "ids", {"id": Id})
    s, d = subscriber.c, deferral.c
    rows = conn.execute(
        select(s.id, s.public_id, s.address, s.name, s.language, subscription.c.since, d.attempt)
        .select_from(ids)
        .join(subscriber, s.id == ids.c.id)
        .outerjoin(subscription, and_(subscription.c.subscriber_id == s.id, subscription.c.topic == of.topic))
        .outerjoin(delivery, and_(delivery.c.campaign_id == mine.campaign_id, delivery.c.subscriber_id == s.id))
        .outerjoin(deferral, and_(d.campaign_id == mine.campaign_id, d.subscriber_id == s.id))
        .where(delivery.c.subscriber_id.is_(None), or_(d.retry_at.is_(None), d.retry_at <= now))
        .order_by(s.id),
        {"ids": rows_value(["id"], [(i,) for i in mine.subscriber_ids])},
    ).all()
    permitted = _permitted_among(conn, of, [row.id for row in rows])
    _withhold(conn, of, [row.id for row in rows if row.id not in permitted], now)
    return [
        Recipient(
            subscriber_id=row.id,
            public_id=bytes(row.public_id),
            address=row.address,
            name=row.name,
            language=Language(row.language),
            consented_on=row.since.date() if row.since else None,
            attempt=(row.attempt or 0) + 1,
        )
        for row in rows
        if row.id in permitted
    ]


def pass_gate(
    conn: Connection,
    worker: str,
    campaigns: dict[int, Campaign],
    records: Sequence[Record],
    intents: Sequence[Intent],
    now: datetime,
) -> list[Decision]:
    """Record what was answered, then decide for each intent, in order, whether its dot may go.

    The caller commits, and releases a dot only after that. A passed intent stands in `lane` from then on: should we
    die, whoever claims its batch finds it there.
    """
    record(conn, records, now)
    held = list({intent.claim.key: intent.claim for intent in intents}.values())
    states = batches.renew(conn, held, now)
    halted = {i: _halt(states.get(intent.claim.key)) for i, intent in enumerate(intents)}
    events: dict[tuple[int, int], int] = {}
    reasons: dict[tuple[int, int], str] = {}
    for campaign_id in {c.campaign_id for c in held}:
        asking = [
            intent.subscriber_id
            for i, intent in enumerate(intents)
            if intent.claim.campaign_id == campaign_id and halted[i] is None
        ]
        of = campaigns[campaign_id]
        found = _permitted_among(conn, of, asking)
        events.update({(campaign_id, who): event for who, event in found.items()})
        turned_away = _withhold(conn, of, [who for who in asking if who not in found], now)
        reasons.update({(campaign_id, who): why for who, why in turned_away.items()})
    decisions: list[Decision] = []
    for i, intent in enumerate(intents):
        pair = (intent.claim.campaign_id, intent.subscriber_id)
        stop = halted[i]
        if stop is not None:
            decisions.append(Halted(stop))
        elif pair in events:
            decisions.append(Pass(events[pair]))
        else:
            decisions.append(Withheld(reasons[pair]))
    _write_intents(conn, worker, zip(intents, decisions, strict=True), now)
    return decisions


def record(conn: Connection, records: Sequence[Record], now: datetime) -> None:
    """Write outcomes to the ledger and 4xx answers to the deferrals. To write one again is harmless.

    A row that stands is never changed, but for an `unknown` whose answer comes late: it becomes `sent`.
    """
    finals = [r for r in records if isinstance(r, Final)]
    if finals:
        _write_finals(conn, finals, now)
    for r in records:
        if isinstance(r, Deferral):
            _write_deferral(conn, r)
        elif isinstance(r, Proof):
            _write_proof(conn, r, now)


def _halt(state: CampaignState | None) -> str | None:
    if state is None:
        return "the batch was claimed by another worker"
    return None if state is CampaignState.SENDING else f"the campaign is {state}"


def _permits(of: Campaign) -> Select[tuple[int, int]]:
    if of.topic is not None:
        return consent.permits_newsletter(of.topic)
    assert of.request_id is not None  # the schema's CHECK says so
    return consent.permits_confirmation(of.request_id)


def _permitted_among(conn: Connection, of: Campaign, ids: list[int]) -> dict[int, int]:
    if not ids:
        return {}
    allowed = _permits(of)
    who = allowed.selected_columns[0]
    rows = conn.execute(allowed.where(among(conn, who, ids)))
    return {row.subscriber_id: row.event_id for row in rows}


def _withhold(conn: Connection, of: Campaign, ids: list[int], now: datetime) -> dict[int, str]:
    """Record people as withheld, each with the reason as it stands now; give the reasons."""
    if not ids:
        return {}
    reasons = dict.fromkeys(ids, "the request was used, withdrawn or suppressed")
    if of.topic is not None:
        rows = conn.execute(
            select(subscription.c.subscriber_id, audiences.why_not(of.topic))
            .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
            .where(subscription.c.topic == of.topic, among(conn, subscription.c.subscriber_id, ids))
        )
        reasons |= {row[0]: row[1] for row in rows}
    record(
        conn,
        [Final(of.id, who, Outcome.WITHHELD, None, None, reason, None) for who, reason in reasons.items()],
        now,
    )
    return reasons


_FINAL_FIELDS: dict[str, TypeEngine[Any]] = {
    "campaign_id": Id, "subscriber_id": Id, "outcome": Text(), "consent_event_id": Id, "code": Integer(),
    "reply": Text(), "relay": Text(),
}  # fmt: skip


def _write_finals(conn: Connection, finals: list[Final], now: datetime) -> None:
    rows = rows_param(conn.dialect.name, "finals", _FINAL_FIELDS)
    statement = insert_or(conn, delivery).from_select(
        ["at", *_FINAL_FIELDS],
        select(literal(now, delivery.c.at.type), *(rows.c[name] for name in _FINAL_FIELDS)).where(true()),
    )
    handed = rows_value(
        list(_FINAL_FIELDS), [tuple(getattr(final, name) for name in _FINAL_FIELDS) for final in finals]
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "subscriber_id"],
            set_={c: statement.excluded[c] for c in ("outcome", "at", "code", "reply", "relay")},
            where=and_(delivery.c.outcome == Outcome.UNKNOWN, statement.excluded.outcome == Outcome.SENT),
        ),
        {"finals": handed},
    )
    pairs = rows_param(conn.dialect.name, "pairs", {"campaign_id": Id, "subscriber_id": Id})
    conn.execute(
        delete(deferral).where(
            select(pairs.c.subscriber_id)
            .where(pairs.c.campaign_id == deferral.c.campaign_id, pairs.c.subscriber_id == deferral.c.subscriber_id)
            .exists()
        ),
        {"pairs": rows_value(["campaign_id", "subscriber_id"], [(f.campaign_id, f.subscriber_id) for f in finals])},
    )


def _write_deferral(conn: Connection, r: Deferral) -> None:
    """Write a 4xx answer, unless it comes late: after an outcome, or after the answer to a later attempt."""
    is_final = (
        select(delivery.c.subscriber_id)
        .where(delivery.c.campaign_id == r.campaign_id, delivery.c.subscriber_id == r.subscriber_id)
        .exists()
    )
    names = list(Deferral.__slots__)
    row = select(*(literal(getattr(r, name), deferral.c[name].type) for name in names)).where(~is_final)
    statement = insert_or(conn, deferral).from_select(names, row)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "subscriber_id"],
            set_={c: statement.excluded[c] for c in ("attempt", "retry_at", "code", "reply", "relay", "batch_no")},
            where=deferral.c.attempt <= statement.excluded.attempt,
        )
    )


def _write_proof(conn: Connection, r: Proof, now: datetime) -> None:
    asked = conn.execute(
        select(opt_in_request.c.topics, opt_in_request.c.language).where(opt_in_request.c.id == r.request_id)
    ).one()
    evidence = Evidence(
        source="confirmation mail",
        language=Language(asked.language),
        request_id=r.request_id,
        mail_template=r.mail_template,
        mail_sha256=r.mail_sha256,
        message_id=r.message_id,
        relay_reply=r.relay_reply,
    )
    kind = ConsentKind.CONFIRMATION_SENT
    consent.append(conn, [Event(r.subscriber_id, Topic(topic), kind, evidence) for topic in asked.topics], now)


_LANE_FIELDS: dict[str, TypeEngine[Any]] = {
    "slot": Integer(), "campaign_id": Id, "batch_no": Integer(), "token": Integer(), "in_flight": Id,
    "attempt": Integer(), "consent_event_id": Id, "relay": Text(),
}  # fmt: skip


def _write_intents(conn: Connection, worker: str, decided: Iterable[tuple[Intent, Decision]], now: datetime) -> None:
    going = [
        (
            i.slot,
            i.claim.campaign_id,
            i.claim.no,
            i.claim.token,
            i.subscriber_id,
            i.attempt,
            d.consent_event_id,
            i.relay,
        )
        for i, d in decided
        if isinstance(d, Pass)
    ]
    if not going:
        return
    rows = rows_param(conn.dialect.name, "lanes", _LANE_FIELDS)
    statement = insert_or(conn, lane).from_select(
        ["worker", "at", *_LANE_FIELDS],
        select(literal(worker), literal(now, delivery.c.at.type), *(rows.c[name] for name in _LANE_FIELDS)).where(
            true()
        ),
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["worker", "slot"],
            set_={c: statement.excluded[c] for c in ["at", *_LANE_FIELDS] if c != "slot"},
        ),
        {"lanes": rows_value(list(_LANE_FIELDS), going)},
    )

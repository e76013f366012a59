"""The insert-only ledger of what became of each letter, and the 4xx answers that wait for their next attempt.

What must stay true: there is one row per campaign and person, and it is final; only an `unknown` whose answer comes
late becomes `sent`. To record something again is harmless.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
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
    delete,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from dispatcher.db import shortcut
from dispatcher.db.arrays import bigints, integers, texts
from dispatcher.db.columns import Id, Rows, Utc, among, insert_or, stored
from dispatcher.db.shortcut import Shortcut
from dispatcher.db.tables import deferral, delivery, opt_in_request
from dispatcher.db.terms import ConsentKind, Language, Outcome, Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Event, Evidence


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Final:
    """What became of one recipient, for good. `consent_event_id` is None only if no dot ever left."""

    campaign_id: int
    subscriber_id: int
    outcome: Outcome
    consent_event_id: int | None
    code: int | None
    reply: str
    relay: str | None
    was_deferred: bool  # False: it is known that no 4xx answer of theirs waits
    edition_no: int | None  # which edition went out

    def __init__(  # noqa: PLR0913  (a row, and all that stands in it)
        self,
        campaign_id: int,
        subscriber_id: int,
        outcome: Outcome,
        consent_event_id: int | None,
        code: int | None,
        reply: str,
        relay: str | None,
        was_deferred: bool = True,
        edition_no: int | None = None,
    ) -> None:
        self.campaign_id = campaign_id
        self.subscriber_id = subscriber_id
        self.outcome = outcome
        self.consent_event_id = consent_event_id
        self.code = code
        self.reply = reply
        self.relay = relay
        self.was_deferred = was_deferred
        self.edition_no = edition_no


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
    consent_event_id: int | None = None  # a dot left under it and was never answered


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
class Released:
    """The mail that asks somebody to renew a consent may be out: they are not asked again."""

    campaign_id: int
    subscriber_id: int


Record = Final | Deferral | Proof | Released

_FINALS = Rows(
    "finals",
    {
        "campaign_id": Id, "subscriber_id": Id, "outcome": Text(), "consent_event_id": Id, "code": Integer(),
        "reply": Text(), "relay": Text(), "edition_no": Integer(),
    },
    packed=True,
)  # fmt: skip
_DEFERRALS = Rows(
    "deferrals",
    {
        "campaign_id": Id, "subscriber_id": Id, "batch_no": Integer(), "attempt": Integer(), "retry_at": Utc(),
        "code": Integer(), "reply": Text(), "relay": Text(), "consent_event_id": Id,
    },
)  # fmt: skip
_PAIRS = Rows("pairs", {"campaign_id": Id, "subscriber_id": Id})


def record(conn: Connection, records: Sequence[Record], now: datetime) -> None:
    """Write outcomes to the ledger and 4xx answers to the deferrals. To write one again is harmless."""
    finals = in_doubt(conn, [r for r in records if isinstance(r, Final)])
    if finals:
        if conn.dialect.name == "postgresql":
            shortcut.run(conn, _settling(), finals_values(finals, now))
        else:
            _write_finals_one_by_one(conn, finals, now)
        forget_deferrals(conn, finals)
    deferrals = [r for r in records if isinstance(r, Deferral)]
    if deferrals:
        _write_deferrals(conn, deferrals)
    proofs = [r for r in records if isinstance(r, Proof)]
    if proofs:
        _write_proofs(conn, proofs, now)
    released = [r for r in records if isinstance(r, Released)]
    if released:
        _note_released(conn, released, now)


@lru_cache(maxsize=2)  # to put it together costs as much as to run it
def write_finals(*, are_new: bool = False) -> Insert:
    """Give the statement that writes outcomes on PostgreSQL; `finals_values` has its parameters.

    `are_new`: it raises IntegrityError where one stands already. To be ready for that costs a fifth of a turn.
    """
    rows = _FINALS.table("postgresql")
    names = [column.name for column in rows.c]
    at = bindparam("now", type_=Utc())
    statement = postgresql.insert(delivery).from_select(["at", *names], select(at, *rows.c).where(true()))
    return statement if are_new else _settling_doubt(statement)


@lru_cache(maxsize=1)
def _settling() -> Shortcut:
    return shortcut.compiled(write_finals())


def finals_values(finals: Sequence[Final], now: datetime) -> dict[str, object]:
    """Give the parameters of `write_finals`, column by column: this runs at every turn of the gate."""
    return {
        "now": now,
        "finals_campaign_id": bigints([f.campaign_id for f in finals]),
        "finals_subscriber_id": bigints([f.subscriber_id for f in finals]),
        "finals_outcome": texts([f.outcome for f in finals]),
        "finals_consent_event_id": bigints([f.consent_event_id for f in finals]),
        "finals_code": integers([f.code for f in finals]),
        "finals_reply": texts([f.reply for f in finals]),
        "finals_relay": texts([f.relay for f in finals]),
        "finals_edition_no": integers([f.edition_no for f in finals]),
    }


def _write_finals_one_by_one(conn: Connection, finals: Sequence[Final], now: datetime) -> None:
    """SQLite: a row is a call there, and costs a third of what it costs to take it out of a piece of JSON."""
    at = stored(now)
    rows = [
        (
            f.campaign_id,
            f.subscriber_id,
            f.outcome.value,
            f.consent_event_id,
            at,
            f.code,
            f.reply,
            f.relay,
            f.edition_no,
        )
        for f in finals
    ]
    conn.exec_driver_sql(_one_final(), rows)


@lru_cache(maxsize=1)
def _one_final() -> str:
    return str(_settling_doubt(sqlite.insert(delivery)).compile(dialect=sqlite.dialect()))


_DOUBT: ColumnElement[str] = literal_column(f"'{Outcome.UNKNOWN.value}'")
_SENT: ColumnElement[str] = literal_column(f"'{Outcome.SENT.value}'")


def _settling_doubt(statement: Any) -> Insert:
    """An outcome stays; only what was in doubt may still turn out to have been sent."""
    settling: Insert = statement.on_conflict_do_update(
        index_elements=["campaign_id", "subscriber_id"],
        set_={c: statement.excluded[c] for c in ("outcome", "at", "code", "reply", "relay")},
        where=and_(
            delivery.c.outcome == literal_column("'unknown'"), statement.excluded.outcome == literal_column("'sent'")
        ),
    )
    return settling


def in_doubt(conn: Connection, finals: list[Final]) -> list[Final]:
    """Give the same outcomes, but `unknown` for whoever may have an earlier copy: refused or withheld later, they may
    have got the first all the same.
    """
    pairs = [(f.campaign_id, f.subscriber_id) for f in finals if f.was_deferred and f.outcome in _NOT_TAKEN]
    if not pairs:
        return finals
    theirs, d = _PAIRS.table(conn.dialect.name), deferral.c
    is_theirs = and_(theirs.c.campaign_id == d.campaign_id, theirs.c.subscriber_id == d.subscriber_id)
    found: Iterable[Any] = conn.execute(
        select(d.campaign_id, d.subscriber_id, d.consent_event_id, d.reply).where(
            d.consent_event_id.is_not(None), select(theirs).where(is_theirs).exists()
        ),
        _PAIRS.values(conn.dialect.name, pairs),
    )
    doubts = {(row.campaign_id, row.subscriber_id): row for row in found}
    return [_doubted(final, doubts.get((final.campaign_id, final.subscriber_id))) for final in finals]


def _doubted(final: Final, doubt: Any) -> Final:
    if doubt is None or final.outcome not in _NOT_TAKEN:
        return final
    reply = f"{doubt.reply}; sent again, and then: {final.reply}"[:500]
    return replace(final, outcome=Outcome.UNKNOWN, consent_event_id=doubt.consent_event_id, reply=reply)


_NOT_TAKEN = (Outcome.FAILED, Outcome.WITHHELD)


def forget_deferrals(conn: Connection, finals: Sequence[Final]) -> None:
    """Take off the 4xx answers of those whose outcome is written."""
    pairs = [(f.campaign_id, f.subscriber_id) for f in finals if f.was_deferred]
    if not pairs:
        return
    theirs = _PAIRS.table(conn.dialect.name)
    is_theirs = and_(theirs.c.campaign_id == deferral.c.campaign_id, theirs.c.subscriber_id == deferral.c.subscriber_id)
    conn.execute(
        delete(deferral).where(select(theirs).where(is_theirs).exists()), _PAIRS.values(conn.dialect.name, pairs)
    )


def _write_deferrals(conn: Connection, deferrals: Sequence[Deferral]) -> None:
    """Write 4xx answers, except those that come late: after an outcome, or after the answer to a later attempt."""
    newest = {(r.campaign_id, r.subscriber_id): r for r in sorted(deferrals, key=lambda r: r.attempt)}
    rows = _DEFERRALS.table(conn.dialect.name)
    names = [column.name for column in rows.c]
    is_final = (
        select(delivery.c.subscriber_id)
        .where(delivery.c.campaign_id == rows.c.campaign_id, delivery.c.subscriber_id == rows.c.subscriber_id)
        .exists()
    )
    statement = insert_or(conn.dialect.name, deferral).from_select(names, select(*rows.c).where(~is_final))
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "subscriber_id"],
            set_={c: statement.excluded[c] for c in ("attempt", "retry_at", "code", "reply", "relay", "batch_no")}
            | {"consent_event_id": func.coalesce(statement.excluded.consent_event_id, deferral.c.consent_event_id)},
            where=deferral.c.attempt <= statement.excluded.attempt,
        ),
        _DEFERRALS.values(conn.dialect.name, [tuple(getattr(r, name) for name in names) for r in newest.values()]),
    )


def _note_released(conn: Connection, released: Sequence[Released], now: datetime) -> None:
    people: dict[int, list[int]] = {}
    for r in released:
        people.setdefault(r.campaign_id, []).append(r.subscriber_id)
    c = opt_in_request.c
    for campaign_id, ids in people.items():
        theirs = and_(among(conn, c.subscriber_id, ids), c.renews.is_not(None), c.campaign_id == campaign_id)
        conn.execute(update(opt_in_request).where(theirs, c.released_at.is_(None)).values(released_at=now))


def _write_proofs(conn: Connection, proofs: Sequence[Proof], now: datetime) -> None:
    """All of a turn at once: a campaign that asks many to renew brings one with each letter."""
    c = opt_in_request.c
    rows: Iterable[Any] = conn.execute(
        select(c.id, c.topics, c.language, c.declaration_id, c.privacy_sha256, c.source, c.renews).where(
            among(conn, c.id, [r.request_id for r in proofs])
        )
    )
    asked = {row.id: row for row in rows}
    events = []
    for r in proofs:
        request = asked[r.request_id]
        evidence = Evidence(
            source="confirmation mail" if request.renews is None else request.source,
            language=Language(request.language),
            declaration_id=request.declaration_id,
            privacy_sha256=request.privacy_sha256,
            request_id=r.request_id,
            mail_template=r.mail_template,
            mail_sha256=r.mail_sha256,
            message_id=r.message_id,
            relay_reply=r.relay_reply,
        )
        kind = ConsentKind.CONFIRMATION_SENT
        topics: list[Topic | None] = [Topic(topic) for topic in request.topics]
        topics = topics or [None]  # a step of a change of address concerns no topic
        events += [Event(r.subscriber_id, topic, kind, evidence) for topic in topics]
    consent.append(conn, events, now)

"""What endpoints of webhooks are to be told, written where it happens: in the same transaction, so that nothing is told
that did not happen, and nothing that did is forgotten.

What must stay true: it costs one look at a handful of rows, and nothing more where no endpoint wants it; what is
written names people by their public id, and an entry of the never-mail list by its keyed hash. Letters one by one are
not told: the gate has no time for it.
"""

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from dispatcher.db import clock
from dispatcher.db.columns import among, one_of_many
from dispatcher.db.tables import subscriber, suppression, webhook_endpoint, webhook_message
from dispatcher.db.terms import (
    EVERY_TOPIC,
    CampaignState,
    ConsentKind,
    MessageState,
    SuppressionReason,
    Topic,
    WebhookKind,
)

MOST_ENDPOINTS = 20  # each of them is a row for everything that happens
Fact = str | int | None
_ENDPOINTS = (
    select(webhook_endpoint.c.id, webhook_endpoint.c.kinds)
    .where(webhook_endpoint.c.off_at.is_(None))
    .order_by(webhook_endpoint.c.id)
    .limit(MOST_ENDPOINTS)
)

_CONSENT = {
    ConsentKind.CONFIRMED: WebhookKind.CONSENT_GIVEN,
    ConsentKind.IMPORTED: WebhookKind.CONSENT_GIVEN,
    ConsentKind.WITHDRAWN: WebhookKind.CONSENT_ENDED,
    ConsentKind.OBJECTED: WebhookKind.CONSENT_ENDED,
    ConsentKind.EXPIRED: WebhookKind.CONSENT_ENDED,
    ConsentKind.ERASED: WebhookKind.PERSON_ERASED,
}


class Happened(NamedTuple):
    """One thing that happened, in facts."""

    kind: WebhookKind
    facts: Mapping[str, Fact]


def note_consent(conn: Connection, events: Sequence[tuple[int, Topic | None, ConsentKind]], now: datetime) -> None:
    """Tell what events of the ledger (person, topic, kind) made of people's consent."""
    wanted = _wanted(conn, {_CONSENT[kind] for kind in {kind for *_, kind in events} if kind in _CONSENT})
    if not wanted:
        return
    telling = [(who, topic, kind) for who, topic, kind in events if _CONSENT.get(kind) in wanted]
    told = list(dict.fromkeys((who, *_facts_of(topic, kind)) for who, topic, kind in telling))
    ids = _public_ids(conn, {who for who, *_ in told})
    happened = [
        Happened(_CONSENT[kind], {"subscriber": ids[who]} | ({"topic": topic, "how": kind} if topic else {}))
        for who, topic, kind in told
    ]
    _write(conn, wanted, happened, now)


def note_move(conn: Connection, campaign_id: int, topic: Topic | None, to: CampaignState) -> None:
    """Tell that a newsletter is in another state."""
    wanted = _wanted(conn, {WebhookKind.CAMPAIGN_MOVED})
    if wanted:
        facts = {"campaign": campaign_id, "topic": topic, "state": to}
        _write(conn, wanted, [Happened(WebhookKind.CAMPAIGN_MOVED, facts)], clock.now(conn))


def note_suppressed(conn: Connection, entries: Sequence[tuple[bytes, str]], now: datetime) -> None:
    """Tell which of these entries (hash, scope), just made, are new or graver than what stood there."""
    wanted = _wanted(conn, {WebhookKind.SUPPRESSION_ADDED})
    if not wanted:
        return
    s, pairs = suppression.c, set(entries)
    rows = conn.execute(
        select(s.address_hash, s.scope, s.reason, subscriber.c.public_id)
        .outerjoin(subscriber, subscriber.c.address_hash == s.address_hash)
        .where(one_of_many(conn, s.address_hash, {hashed for hashed, _ in pairs}), s.at == now)
    )
    happened = [_entry(row) for row in rows if (bytes(row.address_hash), row.scope) in pairs]
    _write(conn, wanted, happened, now)


def put(conn: Connection, endpoint_id: int, happened: Happened, now: datetime) -> str:
    """Write one thing for one endpoint; give the id by which its receiver knows it."""
    row = _row(endpoint_id, happened, now)
    conn.execute(insert(webhook_message), row)
    return str(row["message_id"])


def _facts_of(topic: Topic | None, kind: ConsentKind) -> tuple[Topic | None, ConsentKind]:
    """Of an erasure there is one thing to tell, however many topics it ended."""
    return (None, kind) if kind is ConsentKind.ERASED else (topic, kind)


def _entry(row: object) -> Happened:
    """An erased person is named by public id alone."""
    public_id, hashed = getattr(row, "public_id", None), bytes(getattr(row, "address_hash", b""))
    reason, scope = getattr(row, "reason", ""), getattr(row, "scope", EVERY_TOPIC)
    facts: dict[str, Fact] = {
        "subscriber": bytes(public_id).hex() if public_id is not None else None,
        "address_hash": None if reason == SuppressionReason.ERASED else hashed.hex(),
        "scope": scope,
        "reason": reason,
    }
    return Happened(WebhookKind.SUPPRESSION_ADDED, facts)


def _wanted(conn: Connection, kinds: Collection[WebhookKind]) -> dict[WebhookKind, list[int]]:
    """Say which endpoints want which of these kinds; a kind that none wants is not there."""
    if not kinds:
        return {}
    rows = conn.execute(_ENDPOINTS).all()
    found = {kind: [row.id for row in rows if kind in row.kinds] for kind in kinds}
    return {kind: ids for kind, ids in found.items() if ids}


def _public_ids(conn: Connection, ids: Collection[int]) -> dict[int, str]:
    s = subscriber.c
    rows = conn.execute(select(s.id, s.public_id).where(among(conn, s.id, sorted(ids))))
    return {row.id: bytes(row.public_id).hex() for row in rows}


def _write(
    conn: Connection, wanted: Mapping[WebhookKind, list[int]], happened: Sequence[Happened], now: datetime
) -> None:
    rows = [_row(endpoint_id, one, now) for one in happened for endpoint_id in wanted[one.kind]]
    if rows:
        conn.execute(insert(webhook_message), rows)


def _row(endpoint_id: int, happened: Happened, now: datetime) -> dict[str, object]:
    stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = {"type": happened.kind, "timestamp": stamp, "data": happened.facts}
    return {
        "endpoint_id": endpoint_id,
        "message_id": f"msg_{secrets.token_hex(16)}",
        "kind": happened.kind,
        "at": now,
        "payload": json.dumps(payload, ensure_ascii=False, separators=(",", ":")),
        "state": MessageState.WAITING,
        "due_at": now,
    }

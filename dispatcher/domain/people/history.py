"""The events of consent with every piece of evidence that was kept: one person's, and everybody's, in order."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select

from dispatcher.db.tables import consent_event, declaration, subscriber

_EVENT = (
    "id", "at", "kind", "topic", "given_at", "source", "ip", "user_agent", "language", "declaration_named",
    "privacy_sha256", "request_id", "mail_template", "mail_sha256", "message_id", "relay_reply",
)  # fmt: skip
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """An event with its evidence; `declaration` is the name of the words, as they are kept here."""

    id: int
    public_id: bytes
    at: datetime
    kind: str
    topic: str | None
    given_at: datetime | None
    source: str
    ip: str | None
    user_agent: str | None
    language: str | None
    declaration_named: str | None
    privacy_sha256: bytes | None
    request_id: int | None
    mail_template: str | None
    mail_sha256: bytes | None
    message_id: str | None
    relay_reply: str | None
    declaration: str | None
    declaration_language: str | None
    declaration_sha256: bytes | None


def history(conn: Connection, subscriber_id: int, after: int = 0, limit: int = _MOST) -> list[Told]:
    """Give the events of a person, oldest first; of those with a larger number than `after`."""
    return _told(conn, (consent_event.c.subscriber_id == subscriber_id) & (consent_event.c.id > after), limit)


def events(conn: Connection, after: int, limit: int) -> list[Told]:
    """Give everybody's events, oldest first, of those with a larger number than `after`.

    Numbers have no gaps and become visible in their order (chain_head.py), so whoever reads on from the last one they
    have seen misses none.
    """
    return _told(conn, consent_event.c.id > after, limit)


def _told(conn: Connection, which: ColumnElement[bool], limit: int) -> list[Told]:
    d = declaration.c
    words = (
        (d.key + "-" + d.version).label("declaration"),
        d.language.label("declaration_language"),
        d.sha256.label("declaration_sha256"),
    )
    rows = conn.execute(
        select(*(consent_event.c[name] for name in _EVENT), subscriber.c.public_id, *words)
        .join(subscriber, subscriber.c.id == consent_event.c.subscriber_id)
        .outerjoin(declaration, d.id == consent_event.c.declaration_id)
        .where(which)
        .order_by(consent_event.c.id)
        .limit(limit)
    )
    return [Told(**row._mapping) for row in rows]

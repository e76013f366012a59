"""One person's consent from its first event to its last, with every piece of evidence that was kept."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from dispatcher.db.tables import consent_event, declaration

_EVENT = (
    "id", "at", "kind", "topic", "given_at", "source", "ip", "user_agent", "language", "declaration_named",
    "privacy_sha256", "request_id", "mail_template", "mail_sha256", "message_id", "relay_reply",
)  # fmt: skip
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """An event with its evidence; `declaration` is the name of the words, as they are kept here."""

    id: int
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


def history(conn: Connection, subscriber_id: int) -> list[Told]:
    """Give the events of a person, oldest first."""
    d = declaration.c
    words = (
        (d.key + "-" + d.version).label("declaration"),
        d.language.label("declaration_language"),
        d.sha256.label("declaration_sha256"),
    )
    rows = conn.execute(
        select(*(consent_event.c[name] for name in _EVENT), *words)
        .outerjoin(declaration, d.id == consent_event.c.declaration_id)
        .where(consent_event.c.subscriber_id == subscriber_id)
        .order_by(consent_event.c.id)
        .limit(_MOST)
    )
    return [Told(**row._mapping) for row in rows]

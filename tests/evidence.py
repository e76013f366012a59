"""The evidence of an event, field by field: a test says what each must hold, and forgets none."""

from typing import Any

from sqlalchemy import Engine, select

from dispatcher.db.tables import consent_event, declaration, privacy_notice
from dispatcher.domain import declarations

# What every event has, and what says nothing about how a consent came to be.
BESIDE = {"id", "subscriber_id", "at", "salt", "chain_hash", "personal_sha256"}
FIELDS = {column.name for column in consent_event.columns} - BESIDE


def events(engine: Engine, kind: str) -> list[dict[str, Any]]:
    """Give the events of a kind, oldest first, each field by its name; hashes are bytes."""
    with engine.begin() as conn:
        rows = conn.execute(
            select(consent_event).where(consent_event.c.kind == kind).order_by(consent_event.c.id)
        ).mappings()
        return [{k: bytes(v) if isinstance(v, memoryview) else v for k, v in row.items()} for row in rows]


def assert_filled(event: dict[str, Any], **expected: Any) -> None:
    """Hold every field of evidence against what it must be; one that is not named must be empty.

    A function in place of a value is asked whether the value will do.
    """
    assert set(expected) <= FIELDS
    for name in sorted(FIELDS):
        held, wanted = event[name], expected.get(name)
        assert wanted(held) if callable(wanted) else held == wanted, f"{event['kind']}: {name} is {held!r}"
    assert event["at"].tzinfo is not None
    assert len(event["salt"]) == 16


def words_of(engine: Engine, event: dict[str, Any]) -> tuple[str, str, str]:
    """Give the version, language and words that an event rests on; they must fit their hash."""
    with engine.begin() as conn:
        row = conn.execute(select(declaration).where(declaration.c.id == event["declaration_id"])).one()
    assert bytes(row.sha256) == declarations.sha256(row.text)
    return row.version, row.language, row.text


def notice_of(engine: Engine, event: dict[str, Any]) -> str:
    """Give the privacy notice that was linked, as it is kept; it must fit its hash."""
    found = select(privacy_notice.c.text).where(privacy_notice.c.sha256 == event["privacy_sha256"])
    with engine.begin() as conn:
        text: str = conn.execute(found).scalar_one()
    assert declarations.sha256(text) == event["privacy_sha256"]
    return text

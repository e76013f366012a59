"""/declarations and /consent-events: the words people agree to, and the ledger of who did, event by event."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from dispatcher.api import people
from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.shapes import Cursor, Limit, Moment, PublicId, SubscriberId, Told, decode, encode
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import ConsentKind, Language, Scope, SubscriptionState, Topic
from dispatcher.domain import declarations as words
from dispatcher.domain import resting
from dispatcher.domain.people import history
from dispatcher.domain.people.history import Told as Happened
from dispatcher.domain.versions import Version

router = APIRouter(tags=["consent"])


class RestingTold(Told):
    """How many people stand so with a topic, under the words of a version."""

    topic: Topic
    state: SubscriptionState
    people: int
    is_covered: bool = Field(description="A confirmed consent under these words is good now.")


class DeclarationTold(Told):
    """A version of the words of consent, which never changes."""

    version: str
    name: str = Field(description="How events and files name it.")
    languages: list[Language]
    topics: list[Topic]
    valid_from: Moment
    is_shown: bool = Field(description="Forms show it now.")
    renews: list[Topic] = Field(description="For these, consent to older words has to be renewed.")
    people: list[RestingTold]


class DeclarationsTold(Told):
    """All versions, the oldest first."""

    items: list[DeclarationTold]


class TextTold(Told):
    """The words in one language, Markdown."""

    language: Language
    sha256: str
    text: str


class DeclarationWithTexts(DeclarationTold):
    """A version with its words."""

    texts: list[TextTold]


class EventTold(Told):
    """One thing that happened to one person's consent, with its evidence."""

    id: int = Field(description="Its number in the ledger, which has no gaps.")
    subscriber: PublicId
    topic: Topic | None = Field(description="null: every topic.")
    kind: ConsentKind
    at: Moment = Field(description="When it was recorded.")
    given_at: Moment | None = Field(description="When it happened, by the evidence of an import.")
    source: str = Field(description="Empty: the time for which it is kept is over.")
    ip: str | None
    user_agent: str | None
    language: Language | None
    declaration: str | None = Field(description="The words, as they are known here.")
    declaration_named: str | None = Field(description="The words, as an import named them.")
    declaration_sha256: str | None
    privacy_sha256: str | None
    request_id: int | None
    mail_template: str | None
    mail_sha256: str | None
    message_id: str | None
    relay_reply: str | None


class EventPage(Told):
    """Events, the oldest first."""

    items: list[EventTold]
    next: str | None
    resume: str | None = Field(description="The cursor behind the last one here: ask with it later for what is new.")


@router.get("/declarations", operation_id="list_declarations")
def list_declarations(desk: AtDesk, _: Annotated[Caller, needs(Scope.CONSENT_READ)]) -> DeclarationsTold:
    """List the versions of the words of consent, and whose consent rests on which."""
    with reading(desk.engine).connect() as conn:
        standing, counted = words.versions(conn), resting.counted(conn)
        newest = words.current(conn, Language.DE, clock.now(conn))
    shown = newest.number if newest else None
    items = [DeclarationTold.model_validate(_facts(version, counted, shown)) for version in standing]
    return DeclarationsTold(items=items)


@router.get("/declarations/{version}", operation_id="get_declaration")
def get_declaration(
    desk: AtDesk,
    _: Annotated[Caller, needs(Scope.CONSENT_READ)],
    version: Annotated[str, Path(max_length=80, pattern=r"^[A-Za-z0-9._-]+$")],
) -> DeclarationWithTexts:
    """Give a version with its words in every language."""
    with reading(desk.engine).connect() as conn:
        found, counted = words.named(conn, version), resting.counted(conn)
        newest = words.current(conn, Language.DE, clock.now(conn))
        texts = [
            TextTold(language=text.language, sha256=text.sha256.hex(), text=text.text)
            for text in words.texts(conn, found.number)
        ]
    facts = _facts(found, counted, newest.number if newest else None)
    return DeclarationWithTexts.model_validate({**facts, "texts": texts})


@router.get("/consent-events", operation_id="list_consent_events")
def list_events(
    desk: AtDesk, _: Annotated[Caller, needs(Scope.CONSENT_READ)], cursor: Cursor = None, limit: Limit = 100
) -> EventPage:
    """List everybody's events, the oldest first. Whoever goes on from the last cursor misses none."""
    place = decode("events", cursor, int)
    with reading(desk.engine).connect() as conn:
        found = history.events(conn, place[0] if place else 0, limit + 1)
    return _page("events", found, limit, cursor)


@router.get("/subscribers/{subscriber_id}/consent-events", operation_id="list_subscriber_consent_events")
def list_events_of(
    desk: AtDesk,
    _: Annotated[Caller, needs(Scope.CONSENT_READ)],
    subscriber_id: SubscriberId,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> EventPage:
    """List the events of one person, the oldest first."""
    kind = f"events {subscriber_id}"
    place = decode(kind, cursor, int)
    with reading(desk.engine).connect() as conn:
        person = people.by_id(conn, subscriber_id)
        found = history.history(conn, person.id, place[0] if place else 0, limit + 1)
    return _page(kind, found, limit, cursor)


def _page(kind: str, found: list[Happened], limit: int, cursor: str | None) -> EventPage:
    items = [_event(event) for event in found[:limit]]
    last = encode(kind, items[-1].id) if items else cursor
    return EventPage(items=items, next=last if len(found) > limit else None, resume=last)


def _event(event: Happened) -> EventTold:
    shown = {
        name: value.hex() if isinstance(value := getattr(event, name), bytes) else value
        for name in EventTold.model_fields
        if name != "subscriber"
    }
    return EventTold.model_validate({**shown, "subscriber": event.public_id.hex()})


def _facts(version: Version, counted: list[resting.Resting], shown: int | None) -> dict[str, object]:
    return {
        "version": version.version, "name": version.name, "languages": version.languages, "topics": version.topics,
        "valid_from": version.valid_from, "is_shown": version.number == shown, "renews": sorted(version.renews),
        "people": [RestingTold.model_validate(entry) for entry in counted if entry.number == version.number],
    }  # fmt: skip

"""One person's whole story, as a page tells it: where they stand, why, in which words, and what went to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from markupsafe import Markup
from sqlalchemy import Connection

from dispatcher.console.declare import Values
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import EVERY_TOPIC, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent, coverage, declarations, suppression
from dispatcher.domain.people import history, letters, rights
from dispatcher.domain.people.history import Told
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.suppression import Suppression
from dispatcher.errors import LedgerBroken
from dispatcher.web.pages import markdown

LETTERS = 50


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a person stands with a topic. `receives` is what the gate would say now; `why` names the reason if not."""

    topic: Topic
    state: SubscriptionState
    since: datetime
    words: str | None
    receives: bool
    why: str


@dataclass(frozen=True, slots=True)
class Happening:
    """Events that are one to whoever looks: the same thing, at the same moment, for one topic or more."""

    event: Told
    topics: Sequence[str]
    ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Words:
    """What a person has read and agreed to. `html` is None where the row is not what was entered."""

    anchor: str
    name: str
    language: str
    html: Markup | None


def tell(conn: Connection, person: Subscriber, before: int | None, now: datetime) -> Values:
    """Gather everything; of letters those before a campaign's number, the newest first."""
    told = history.history(conn, person.id)
    entries = suppression.entries(conn, person.address_hash)
    found = letters.of_person(conn, person.id, before, LETTERS + 1)
    return {
        "person": person,
        "now": now,
        "stands": stands(conn, person, entries),
        "entries": entries,
        "lifted": suppression.LIFTED_BY_STAFF,
        "happenings": _happenings(told)[::-1],
        "words": _words(conn, told),
        "letters": found[:LETTERS],
        "before": before,
        "older": found[LETTERS - 1].campaign_id if len(found) > LETTERS else None,
        "asked": rights.of_address(conn, person.address_hash)[::-1],
        "topics": list(Topic),
        "reasons": sorted(suppression.LIFTED_BY_STAFF | {SuppressionReason.COMPLAINT}),
    }


def stands(conn: Connection, person: Subscriber, entries: Iterable[Suppression]) -> list[Stand]:
    """Say topic by topic whether letters go to a person, and why not."""
    names = {version.number: version.name for version in declarations.versions(conn)}
    words, standing = coverage.words_of(conn, person.id), consent.standing(conn, person.id)
    current, barred = coverage.current_topics(conn, person.id), {entry.scope for entry in entries}
    made = []
    for topic in (topic for topic in Topic if topic in standing):
        state, since = standing[topic]
        receives = _receives(conn, person.id, topic)
        why = "" if receives else _why(person, state, is_barred=bool(barred & {EVERY_TOPIC, topic}),
                                       is_current=topic in current)  # fmt: skip
        made.append(Stand(topic, state, since, names.get(words[topic].number or 0), receives, why))
    return made


def _receives(conn: Connection, subscriber_id: int, topic: Topic) -> bool:
    permitted = consent.permits_newsletter(topic).where(subscriber.c.id == subscriber_id)
    return conn.execute(permitted).one_or_none() is not None


def _why(person: Subscriber, state: SubscriptionState, *, is_barred: bool, is_current: bool) -> str:
    if person.address is None:
        return "gone"
    if person.restricted_at is not None:
        return "restricted"
    if is_barred:
        return "barred"
    if state is not SubscriptionState.CONFIRMED:
        return state.value
    if not is_current:
        return "older"
    return "paused" if person.paused_until else "other"


def _happenings(told: Iterable[Told]) -> list[Happening]:
    made = []
    for _, group in groupby(told, lambda event: (event.kind, event.at, event.source, event.request_id)):
        events = list(group)
        topics = [event.topic for event in events if event.topic]
        made.append(Happening(events[0], topics, [event.id for event in events]))
    return made


def _words(conn: Connection, told: Iterable[Told]) -> Mapping[str, Words]:
    """Give the words that events name, by the name and language under which they name them."""
    named = {(event.declaration, event.declaration_language) for event in told if event.declaration}
    numbers = {version.name: version.number for version in declarations.versions(conn)} if named else {}
    made = {}
    for name, language in sorted(named, key=str):
        anchor = f"{name}-{language}"
        made[anchor] = Words(anchor, str(name), str(language), _text(conn, numbers[str(name)], str(language)))
    return made


def _text(conn: Connection, number: int, language: str) -> Markup | None:
    try:
        return next(markdown(text.text) for text in declarations.texts(conn, number) if text.language == language)
    except LedgerBroken:
        return None

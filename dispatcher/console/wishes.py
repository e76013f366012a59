"""New words of consent as they were typed into the form, and the draft that they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from dispatcher.console.declare import Mend
from dispatcher.console.visit import Visit
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations, wording, zones
from dispatcher.domain.declarations import Draft
from dispatcher.errors import InputRefused
from dispatcher.sending import declarations as shown
from dispatcher.zone import ZONE


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the form. `renews`: for which topics older consent is not to count any more."""

    version: str
    words: Mapping[Language, str]
    topics: frozenset[str]
    renews: frozenset[str]
    covers_unknown: bool
    day: str
    hour: str


def typed(visit: Visit, standing: Mapping[Language, str]) -> Typed:
    """Read what was typed; before anything was, `standing` are the words of today."""
    if not visit.form.fields:
        return Typed("", standing, frozenset(Topic), frozenset(), covers_unknown=False, day="", hour="")
    covers = visit.said("older") != "renew"
    return Typed(
        visit.said("version"),
        {language: visit.said(f"words_{language}") for language in Language},
        frozenset(visit.form.all("topic")) & set(Topic),
        frozenset() if covers else frozenset(visit.form.all("renews")) & set(Topic),
        covers_unknown=visit.said("covers_unknown") == "yes",
        day=visit.said("day"),
        hour=visit.said("hour"),
    )


def draft(visit: Visit, conn: Connection, now: datetime) -> Draft:
    """Make a draft of what was typed. Raises Mend for each field, and InputRefused for what only all of it shows."""
    of = typed(visit, {})
    errors = {**_of_name(conn, of), **_of_topics(visit, of)}
    texts = {}
    for language in Language:
        try:
            texts[language] = _text(visit, of, language)
        except Mend as mend:
            errors |= mend.errors
    valid_from = None
    try:
        valid_from = _valid_from(conn, of, now)
    except Mend as mend:
        errors |= mend.errors
    if errors:
        raise Mend(errors)
    topics = tuple(topic for topic in Topic if topic in of.topics)
    made = Draft(of.version, texts, topics, frozenset(map(Topic, of.renews)), of.covers_unknown, valid_from)
    declarations.check(made)
    return made


def rate(visit: Visit) -> int | None:
    """Read letters a minute; None: as many as can. Raises Mend."""
    said = visit.said("rate").replace(".", "").replace(",", "")
    if said and not (said.isascii() and said.isdigit() and 0 < len(said) < 8 and int(said)):
        raise Mend({"rate": "consent.rate_wrong"})
    return int(said) if said else None


def _of_name(conn: Connection, of: Typed) -> dict[str, str]:
    if not declarations.is_name(of.version):
        return {"version": "consent.version_wrong"}
    if any(of.version == known.version for known in declarations.versions(conn)):
        return {"version": "consent.version_taken"}
    return {}


def _of_topics(visit: Visit, of: Typed) -> dict[str, str]:
    if not of.topics:
        return {"topic": "consent.topic_missing"}
    if visit.said("older") not in {"covered", "renew"}:
        return {"older": "consent.older_missing"}
    if visit.said("older") == "renew" and not of.renews:
        return {"older": "consent.renews_missing"}
    if of.renews - of.topics:
        return {"older": "consent.renews_strange"}
    return {}


def _text(visit: Visit, of: Typed, language: Language) -> str:
    """Give the words in a language, filled. Raises Mend."""
    field, said = f"words_{language}", of.words[language].replace("\r\n", "\n").replace("\r", "\n").strip()
    try:
        text = wording.checked(said, field)
    except InputRefused:
        raise Mend({field: "consent.words_wrong" if said else "consent.words_missing"}) from None
    try:
        text = wording.filled(text, field, shown.values(visit.desk.settings))
    except InputRefused:
        raise Mend({field: "consent.words_names"}) from None
    try:
        wording.check_topics({language: text}, [Topic(topic) for topic in of.topics], shown.titles())
    except InputRefused:
        raise Mend({field: "consent.words_topics"}) from None
    return text


def _valid_from(conn: Connection, of: Typed, now: datetime) -> datetime | None:
    """Read from when on the words are to be valid; None: at once. Raises Mend."""
    if not of.day and not of.hour:
        at = None
    else:
        try:
            at = zones.moment(f"{of.day}T{of.hour or '00:00'}", ZONE.key, now)
        except InputRefused:
            raise Mend({"day": "consent.day_wrong"}) from None
    last = max((known.valid_from for known in declarations.versions(conn)), default=None)
    if last is not None and (at or now) < last:
        raise Mend({"day": "consent.day_early"})
    return at

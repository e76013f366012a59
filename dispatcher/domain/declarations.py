"""The words people agree to: versions that never change, in every language, each with the topics it covers.

What must stay true: a version that stands is never changed (the database refuses it, and altered words are found by
their hash whenever they are read); of two versions the later one has the larger number and
becomes valid later. The newest that is valid now is the one that forms show. A version says for each topic whether
consent to older words is still good under it; what is not good is renewed (coverage.py).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Row, bindparam, exists, insert, select

from dispatcher.db.clock import this_moment
from dispatcher.db.columns import insert_or
from dispatcher.db.tables import declaration, privacy_notice, renewal
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.versions import Version
from dispatcher.errors import InputRefused, LedgerBroken, NotFound

KEY = "newsletter"  # the only declaration there is, so far
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
_LONGEST_NAME = 40
UNKNOWN = "unknown"  # how a command names consent that rests on words not known to us


@dataclass(frozen=True, slots=True)
class Draft:
    """A version to be entered: its words by language, and for which topics older consent does not do any more."""

    version: str
    texts: Mapping[Language, str]
    topics: tuple[Topic, ...]
    renews: frozenset[Topic] = field(default_factory=frozenset)
    covers_unknown: bool = False  # where it renews: consent that names no words known to us stays good
    valid_from: datetime | None = None  # None: at once
    key: str = KEY


@dataclass(frozen=True, slots=True)
class Declaration:
    """A version of the words in one language, as it stands."""

    id: int
    key: str
    version: str
    number: int
    language: Language
    text: str
    sha256: bytes
    topics: tuple[Topic, ...]
    valid_from: datetime

    @property
    def name(self) -> str:
        """Give the name that import files and events use."""
        return f"{self.key}-{self.version}"


def enter(conn: Connection, new: Draft, now: datetime) -> bool:
    """Enter a version, for good. False: it stands already, word for word. Raises InputRefused with the cure."""
    check(new)
    standing = versions(conn)
    for known in standing:
        if known.version == new.version:
            _require_same(conn, known, new)
            return False
    valid_from = new.valid_from or now
    if valid_from < now:
        raise InputRefused(f"{valid_from:%Y-%m-%d %H:%M} UTC is past", "a version is valid from now on, or later")
    last = standing[-1] if standing else None
    if last is not None and valid_from < last.valid_from:
        raise InputRefused(
            f"{last.name} becomes valid later, at {last.valid_from:%Y-%m-%d %H:%M} UTC",
            "a newer version cannot become valid before an older one; name a later moment with --valid-from",
        )
    if not standing and new.renews:
        raise InputRefused("there is no older version whose consent could be renewed", "leave --renews out")
    _insert(conn, new, last.number + 1 if last else 1, valid_from)
    return True


def check(new: Draft) -> None:
    """Make sure that a version can be entered at all, whatever stands. Raises InputRefused with the cure."""
    if not is_name(new.version) and new.version != UNKNOWN:
        raise InputRefused(
            f"{new.version[:_LONGEST_NAME]!r} cannot be the name of a version",
            f"use up to {_LONGEST_NAME} letters, digits, dots and dashes, such as 2027-01",
        )
    if new.version == UNKNOWN:
        raise InputRefused(f"{UNKNOWN!r} means consent that names no version", "use a name such as 2027-01")
    if not new.topics:
        raise InputRefused("a declaration without topics covers nothing", f"name some of: {' '.join(Topic)}")
    lacking = [language for language in Language if language not in new.texts]
    if lacking:
        raise InputRefused(
            f"the words are missing in: {', '.join(lacking)}", f"add --file {lacking[0]}=FILE; each form needs its own"
        )
    if strange := sorted(new.renews - set(new.topics)):
        raise InputRefused(
            f"it cannot renew consent for what it does not cover: {', '.join(strange)}", "name it with --topics as well"
        )


def is_name(text: str) -> bool:
    """Claim that a version can be called so."""
    return 0 < len(text) <= _LONGEST_NAME and set(text) <= _NAME_CHARACTERS and text != UNKNOWN


def renews_by_now(conn: Connection, topic: Topic) -> bool:
    """Claim that some version that is valid has ended older consent for a topic."""
    r = renewal.c
    return bool(conn.execute(select(exists().where(r.topic == topic, r.valid_from <= this_moment()))).scalar_one())


def current(conn: Connection, language: Language, now: datetime) -> Declaration | None:
    """Give the newest words in a language that are valid; None before the first were entered. Raises LedgerBroken."""
    c = declaration.c
    return _one(
        conn.execute(
            select(*_COLUMNS).where(c.language == language, c.valid_from <= now).order_by(c.number.desc()).limit(1)
        ).one_or_none()
    )


def by_id(conn: Connection, declaration_id: int) -> Declaration | None:
    """Find the words that an event or a request names."""
    return _one(conn.execute(_BY_ID, {"wanted": declaration_id}).one_or_none())


def texts(conn: Connection, number: int) -> list[Declaration]:
    """Give a version's words, in each language."""
    c = declaration.c
    rows = conn.execute(select(*_COLUMNS).where(c.number == number).order_by(c.language).limit(len(Language)))
    return [found for row in rows if (found := _one(row)) is not None]


def numbers(conn: Connection, ids: Iterable[int]) -> dict[int, int]:
    """Give the numbers of versions by the ids of their rows."""
    wanted = list(ids)
    if not wanted:
        return {}
    c = declaration.c
    return {row.id: row.number for row in conn.execute(select(c.id, c.number).where(c.id.in_(wanted)))}


def versions(conn: Connection) -> list[Version]:
    """Give every version, oldest first."""
    c, r = declaration.c, renewal.c
    renewed = conn.execute(select(r.number, r.topic, r.covers_unknown)).all()
    found: dict[int, Version] = {}
    rows = conn.execute(
        select(c.key, c.version, c.number, c.language, c.topics, c.valid_from).order_by(c.number, c.language)
    )
    for row in rows:
        before = found[row.number].languages if row.number in found else ()
        found[row.number] = Version(
            row.key,
            row.version,
            row.number,
            (*before, Language(row.language)),
            tuple(Topic(topic) for topic in row.topics),
            row.valid_from,
            frozenset(Topic(entry.topic) for entry in renewed if entry.number == row.number),
            any(entry.covers_unknown for entry in renewed if entry.number == row.number),
        )
    return list(found.values())


def named(conn: Connection, version: str) -> Version:
    """Find a version by its name, with or without the key before it. Raises NotFound with those there are."""
    standing = versions(conn)
    for known in standing:
        if version in (known.version, known.name):
            return known
    there_are = ", ".join(known.version for known in standing) or "none yet"
    raise NotFound(f"there is no version {version!r} of the declaration", f"there are: {there_are}")


def by_name(conn: Connection) -> dict[str, Version]:
    """Give every version by the name `key-version` that import files use, e.g. `newsletter-2026-01`."""
    return {version.name: version for version in versions(conn)}


def ids_by_name(conn: Connection, language: Language, names: Iterable[str]) -> dict[str, int]:
    """Give the ids of versions by the name `key-version` that import files use, e.g. `newsletter-2026-01`."""
    c = declaration.c
    name = c.key + "-" + c.version
    rows = conn.execute(
        select(name.label("name"), c.id).where(c.language == language, name.in_(list(names))).limit(1000)
    )
    return {row.name: row.id for row in rows}


def keep_notice(conn: Connection, language: Language, text: str, now: datetime) -> bytes:
    """Keep a text of the privacy notice under its hash, once; give the hash."""
    hashed = sha256(text)
    row = {"sha256": hashed, "language": language, "text": text, "first_shown_at": now}
    conn.execute(insert_or(conn.dialect.name, privacy_notice).on_conflict_do_nothing(), row)
    return hashed


@dataclass(frozen=True, slots=True)
class Notice:
    """A text of the privacy notice, as it was shown."""

    sha256: bytes
    language: Language
    text: str
    first_shown_at: datetime


def notices(conn: Connection) -> list[Notice]:
    """Give every text of the privacy notice that was ever linked, oldest first."""
    c = privacy_notice.c
    rows = conn.execute(select(c.sha256, c.language, c.text, c.first_shown_at).order_by(c.first_shown_at, c.language))
    return [Notice(bytes(row.sha256), Language(row.language), row.text, row.first_shown_at) for row in rows]


def sha256(text: str) -> bytes:
    """Give the hash under which words are proven: over their UTF-8."""
    return hashlib.sha256(text.encode()).digest()


def _require_same(conn: Connection, known: Version, new: Draft) -> None:
    words = {entry.language: entry.text for entry in texts(conn, known.number)}
    differs = [f"other words in {language}" for language, text in new.texts.items() if words.get(language) != text]
    if set(known.topics) != set(new.topics):
        differs.append(f"it covers {', '.join(known.topics)}")
    if (known.renews, known.covers_unknown) != (new.renews, new.covers_unknown and bool(new.renews)):
        differs.append(f"it renews {', '.join(sorted(known.renews)) or 'nothing'}")
    if new.valid_from is not None and new.valid_from != known.valid_from:
        differs.append(f"it is valid from {known.valid_from:%Y-%m-%d %H:%M:%S} UTC")
    if differs:
        raise InputRefused(
            f"{known.name} stands already, and not so: {'; '.join(differs)}",
            "what people agree to is never changed: give the new words another version",
        )


def _insert(conn: Connection, new: Draft, number: int, valid_from: datetime) -> None:
    """A key tells whether somebody else was faster; then nothing of ours is left, for the caller rolls back."""
    rows = [
        {
            "key": new.key,
            "version": new.version,
            "number": number,
            "language": language,
            "text": text,
            "sha256": sha256(text),
            "topics": [topic for topic in Topic if topic in new.topics],
            "valid_from": valid_from,
        }
        for language, text in new.texts.items()
    ]
    statement = insert_or(conn.dialect.name, declaration).on_conflict_do_nothing().returning(declaration.c.id)
    if len(conn.execute(statement, rows).all()) < len(rows):
        raise InputRefused(
            "another version was entered at the same moment", "look with `dispatcher declarations list`, and try again"
        )
    renewals = [
        {"topic": topic, "number": number, "valid_from": valid_from, "covers_unknown": new.covers_unknown}
        for topic in sorted(new.renews)
    ]
    if renewals:
        conn.execute(insert(renewal), renewals)


_COLUMNS = [declaration.c[name] for name in Declaration.__slots__]
_BY_ID = select(*_COLUMNS).where(declaration.c.id == bindparam("wanted"))


def _one(row: Row[tuple[object, ...]] | None) -> Declaration | None:
    if row is None:
        return None
    values = {name: getattr(row, name) for name in Declaration.__slots__}
    values["language"] = Language(values["language"])
    values["sha256"] = bytes(values["sha256"])
    values["topics"] = tuple(Topic(topic) for topic in values["topics"])
    found = Declaration(**values)
    if sha256(found.text) != found.sha256:
        raise LedgerBroken(
            f"the words of {found.name} ({found.language}) are not those that were entered: their SHA-256 is another",
            "take that row of `declaration` from a backup; until then nobody can agree to these words",
        )
    return found

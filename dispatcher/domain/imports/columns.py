"""From a header to what each cell says. Whose export a file is, is seen by its columns.

plain       our own columns, or any others with a name for each of ours (`--map email=E-Mail`)
own         what `dispatcher subscribers export` writes: a group of columns for each topic
listmonk    uuid,email,name,attributes,status,created_at,updated_at
mailchimp   Email Address,...,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,... with UNSUB_... or CLEAN_...
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dispatcher.db.terms import Topic
from dispatcher.errors import InputRefused

COLUMNS = ("email", "name", "language", "zone", "topics", "consent_at", "consent_ip", "consent_source", "declaration")
MAPPED = (*COLUMNS, "first_name", "last_name")  # what --map can name
PER_TOPIC = ("since", "ip", "source", "declaration")  # beside the state, in a file of ours
REJECTED = ("rejected_line", "rejected_reason")  # the first columns of a file of rejected rows


class Format(StrEnum):
    """Whose columns a file has."""

    PLAIN = "plain"
    OWN = "own"
    LISTMONK = "listmonk"
    MAILCHIMP = "mailchimp"


@dataclass(frozen=True, slots=True)
class Instructions:
    """How a file is to be read, as far as the file does not say so itself."""

    format: Format | None = None  # None: by its columns
    columns: Mapping[str, str] = field(default_factory=dict)  # our name of a column -> the file's
    topics: tuple[Topic, ...] = ()  # of rows that name none
    encoding: str = "utf-8"
    everybody_left: bool = False  # these are people who unsubscribed there
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a row each thing stands, by our name for it; and which columns nobody reads."""

    format: Format
    at: Mapping[str, int]
    width: int
    is_guarded: bool  # ours: an apostrophe before a formula is not part of the cell
    ignored: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Tell whether the file has such a column."""
        return name in self.at


def own_columns(topics: Sequence[Topic]) -> list[str]:
    """Give the header of a file of ours."""
    groups = [name for topic in topics for name in (topic.value, *(f"{topic}_{part}" for part in PER_TOPIC))]
    return ["email", "name", "language", "zone", *groups, "suppressed"]


def layout(header: Sequence[str], how: Instructions) -> Layout:
    """Tell what stands where. Raises InputRefused for a header that does not say whom a row is about."""
    words = [word.lower() for word in header]
    _check_once(words)
    chosen = how.format or _recognised(words)
    at = _mapped(words, how.columns) | {n: i for n, i in _known(words, chosen).items() if n not in how.columns}
    _check_needed(header, at, chosen, how)
    read = set(at.values()) | {i for i, word in enumerate(words) if word in REJECTED}
    ignored = tuple(word for i, word in enumerate(header) if i not in read)
    if ignored and chosen is Format.PLAIN and not how.columns:
        raise InputRefused(
            f"the header names a column that is unknown: {', '.join(ignored)[:200]}",
            f"the columns are: {','.join(COLUMNS)}. Of a file with others say which is which:"
            f' --map email="{ignored[0][:40]}"; what is not named is left alone then',
        )
    is_ours = chosen is Format.OWN or REJECTED[1] in words
    return Layout(chosen, at, len(header), is_ours, ignored)


def _recognised(words: Sequence[str]) -> Format:
    there = set(words)
    if there & set(Topic):
        return Format.OWN
    if {"uuid", "email", "attributes", "status"} <= there:
        return Format.LISTMONK
    if there & {"optin_time", "confirm_time", "unsub_time", "clean_time"} and there & {"leid", "euid", "member_rating"}:
        return Format.MAILCHIMP
    return Format.PLAIN


# Mailchimp names the columns of a person as the audience's owner did, in the language of the account.
_MAILCHIMP = {
    "email": ("email address", "email", "e-mail-adresse", "e-mail address", "e-mail"),
    "first_name": ("first name", "vorname"),
    "last_name": ("last name", "nachname"),
    "name": ("name",),
} | {
    word: (word,)
    for word in ("optin_time", "optin_ip", "confirm_time", "confirm_ip", "unsub_time", "unsub_reason", "clean_time")
}


def _known(words: Sequence[str], chosen: Format) -> dict[str, int]:
    if chosen is Format.MAILCHIMP:
        names = {name: next((w for w in there if w in words), None) for name, there in _MAILCHIMP.items()}
        return {name: words.index(word) for name, word in names.items() if word is not None}
    ours = {
        Format.PLAIN: COLUMNS,
        Format.OWN: tuple(own_columns(list(Topic))),
        Format.LISTMONK: ("email", "name", "status"),
    }[chosen]
    return {name: words.index(name) for name in ours if name in words}


def _mapped(words: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    at = {}
    for name, theirs in columns.items():
        if name not in MAPPED:
            raise InputRefused(f"there is no column {name!r} to map to", f"use one of: {', '.join(MAPPED)}")
        if theirs.strip().lower() not in words:
            cure = f"the file has: {', '.join(words)[:300]}"
            raise InputRefused(f"the file has no column {theirs!r} for {name}", cure)
        at[name] = words.index(theirs.strip().lower())
    return at


def _check_once(words: Sequence[str]) -> None:
    doubled = sorted({word for word in words if word and words.count(word) > 1})
    if doubled:
        cure = "rename or remove one of the two columns: it cannot be told which one counts"
        raise InputRefused(f"the header names a column twice: {', '.join(doubled)[:200]}", cure)


def _check_needed(header: Sequence[str], at: Mapping[str, int], chosen: Format, how: Instructions) -> None:
    if "email" not in at and any("@" in word for word in header):
        raise InputRefused("the first line holds an address where the names of the columns are expected",
                           "write a line above it, such as: email,topics")  # fmt: skip
    lacking = [] if "email" in at else ["email"]
    if "topics" not in at and not how.topics and chosen is not Format.OWN:
        lacking.append("topics")
    if not lacking:
        return
    cures = [f"the columns are: {','.join(COLUMNS)}; separated by commas, semicolons or tabs"]
    if "email" in lacking:
        cures.append(f'if another column holds the address, say --map email="{(header[0] or "E-Mail")[:40]}"')
    if "topics" in lacking:
        cures.append(f"if the file names no topics, say which all of it is about: --topics {Topic.PRODUCT_NEWS}")
    raise InputRefused(f"the header lacks the column {' and '.join(lacking)}", ". ".join(cures))

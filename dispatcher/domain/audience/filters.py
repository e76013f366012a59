"""A filter of an audience: for whom, of all who agreed to a topic, a campaign is.

    only       language=de  agreed-since=2026-01-01       each of these is true of them
    without    domain=example.com,example.org             and none of these

A condition is `field=value`; of `field=one,other` one value has to be true. Fields are what the service holds anyway,
and there are no others: nobody is asked for more, and nothing is guessed, in order to be picked out.

What must stay true: a filter only ever takes people away (`narrowing.py`); whether somebody may be written to is asked
elsewhere, and again at the gate. Two filters that say the same are the same JSON: a release is bound to it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from dispatcher.db.terms import ConsentKind, Language
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.rates.providers import Provider
from dispatcher.errors import AddressInvalid, FilterRefused
from dispatcher.zone import ZONE

MOST_CONDITIONS = 20
MOST_VALUES = 50
_LONGEST = 255  # characters of a value: a domain has no more (RFC 1035, 2.3.4)
_LARGEST = 2**53  # as a number in JSON
_EARLIEST = 1970


class Field(StrEnum):
    """What can be asked of a person. Stored as its value, so a word is never renamed."""

    LANGUAGE = "language"  # in which they get letters
    PROVIDER = "provider"  # who keeps the mailbox
    DOMAIN = "domain"  # of the address
    CONSENT = "consent"  # how it came: by the button in our mail, or with evidence from elsewhere
    AGREED_SINCE = "agreed-since"  # on that day or after it, by the clocks of the house's zone
    AGREED_BEFORE = "agreed-before"  # before that day
    RECEIVED = "received"  # a campaign before this one
    NAME = "name"  # whether one is known


KNOWN = "known"  # the one thing that can be asked of a name
DAYS = (Field.AGREED_SINCE, Field.AGREED_BEFORE)
# Of the others one may think of any value.
CHOICES: Mapping[Field, Sequence[str]] = {
    Field.LANGUAGE: [language.value for language in Language],
    Field.PROVIDER: [provider.value for provider in Provider],
    Field.CONSENT: [ConsentKind.CONFIRMED.value, ConsentKind.IMPORTED.value],
    Field.NAME: [KNOWN],
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is true of a person; of several values one. Made by `parse`."""

    field: Field
    values: tuple[str, ...]

    @property
    def day(self) -> date:
        """Give the day of one of DAYS."""
        return date.fromisoformat(self.values[0])

    @property
    def numbers(self) -> list[int]:
        """Give the campaigns of RECEIVED."""
        return [int(value) for value in self.values]

    def __str__(self) -> str:
        return f"{self.field}={','.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Filter:
    """All of `only` is true of a person, and nothing of `without`. Made by `parse`; EVERYBODY takes nobody away."""

    only: tuple[Condition, ...] = ()
    without: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.only or self.without)

    @property
    def conditions(self) -> Iterator[Condition]:
        """Give every condition."""
        yield from self.only
        yield from self.without

    @property
    def earlier(self) -> list[int]:
        """Give the campaigns that it asks about."""
        return sorted({no for one in self.conditions if one.field is Field.RECEIVED for no in one.numbers})

    def to_json(self) -> dict[str, list[str]]:
        """Give it as it is stored and told."""
        return {"only": [str(one) for one in self.only], "without": [str(one) for one in self.without]}


EVERYBODY = Filter()


def stored(found: Mapping[str, Any] | None) -> Filter:
    """Read what `to_json` gave; None: EVERYBODY."""
    return parse(found["only"], found["without"]) if found else EVERYBODY


def parse(only: Iterable[str] = (), without: Iterable[str] = ()) -> Filter:
    """Read a filter as it is written above. Raises FilterRefused for what is none, or for nobody."""
    wanted, unwanted = _conditions(only), _merged(_conditions(without))
    if len(wanted) + len(unwanted) > MOST_CONDITIONS:
        raise FilterRefused("many", None, f"a filter has at most {MOST_CONDITIONS} conditions", "leave some out")
    _refuse_twice(wanted)
    found = Filter(_in_order(wanted), _in_order(unwanted))
    _refuse_contradiction(found)
    return found


def require_past(of: Filter, now: datetime) -> None:
    """Make sure that no day of a filter is still to come: nobody has agreed then. Raises FilterRefused."""
    today = now.astimezone(ZONE).date()
    for one in of.conditions:
        if one.field in DAYS and one.day > today:
            raise FilterRefused("future", one.field, f"{one}: that day is still to come", f"today is {today}")


def _conditions(texts: Iterable[str]) -> list[Condition]:
    return [_condition(text) for text in texts]


def _condition(text: str) -> Condition:
    word, sign, rest = text.partition("=")
    word = word.strip().lower()
    if word not in list(Field) or not sign:
        shown = repr(word[:40])
        raise FilterRefused(
            "unknown", None, f"there is no condition {shown}", f"write FIELD=VALUE; fields are: {', '.join(Field)}"
        )
    field = Field(word)
    given = [value.strip() for value in rest.split(",") if value.strip()]
    if not given:
        raise FilterRefused("empty", field, f"{field}= names nothing", _example(field))
    if len(given) > (1 if field in DAYS else MOST_VALUES):
        most = "one day" if field in DAYS else f"at most {MOST_VALUES} values"
        raise FilterRefused("values", field, f"{field} takes {most}", "leave some out")
    values = {_READ.get(field, _chosen)(field, value) for value in given}
    return Condition(field, tuple(sorted(values, key=int if field is Field.RECEIVED else str)))


def _chosen(field: Field, value: str) -> str:
    if value.lower() not in CHOICES[field]:
        raise _wrong(field, value, f"use one of: {', '.join(CHOICES[field])}")
    return value.lower()


def _day(field: Field, value: str) -> str:
    try:
        found = date.fromisoformat(value)
    except ValueError:
        raise _wrong(field, value, _example(field)) from None
    if found.year < _EARLIEST:
        raise _wrong(field, value, _example(field))
    return found.isoformat()


def _domain(field: Field, value: str) -> str:
    try:
        return parse_address(f"a@{value.removeprefix('@')}").domain
    except AddressInvalid:
        raise _wrong(field, value, _example(field)) from None


def _number(field: Field, value: str) -> str:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and 0 < int(value) <= _LARGEST):
        raise _wrong(field, value, _example(field))
    return str(int(value))


_READ: Mapping[Field, Callable[[Field, str], str]] = {
    Field.AGREED_SINCE: _day,
    Field.AGREED_BEFORE: _day,
    Field.DOMAIN: _domain,
    Field.RECEIVED: _number,
}


def _wrong(field: Field, value: str, cure: str) -> FilterRefused:
    return FilterRefused("wrong", field, f"{field} cannot be {value[:_LONGEST]!r}", cure)


def _example(field: Field) -> str:
    match field:
        case Field.AGREED_SINCE | Field.AGREED_BEFORE:
            return f"write a day: {field}=2026-01-31"
        case Field.DOMAIN:
            return "write what stands behind the @: domain=example.de"
        case Field.RECEIVED:
            return "write a campaign's number: received=7"
        case _:
            return f"use one of: {', '.join(CHOICES[field])}"


def _merged(conditions: Sequence[Condition]) -> list[Condition]:
    """Two conditions of one field take away whom either does, and so are one."""
    found: dict[Field, set[str]] = {}
    for one in conditions:
        if one.field in DAYS:
            other = Field.AGREED_BEFORE if one.field is Field.AGREED_SINCE else Field.AGREED_SINCE
            raise FilterRefused(
                "day_without", one.field, f"without {one} is said the other way round", f"say: only {other}={one.day}"
            )
        found.setdefault(one.field, set()).update(one.values)
    return [_condition(f"{field}={','.join(values)}") for field, values in found.items()]


def _refuse_twice(only: Sequence[Condition]) -> None:
    """Somebody has one language; but they may have received two campaigns."""
    fields = [one.field for one in only if one.field is not Field.RECEIVED]
    for field in fields:
        if fields.count(field) > 1:
            cure = "name it once" if field in DAYS else f"to take either, write {field}=ONE,OTHER"
            raise FilterRefused("twice", field, f"{field} is named twice, and nobody has two", cure)


def _refuse_contradiction(of: Filter) -> None:
    gone = {one.field: set(one.values) for one in of.without}
    days = {one.field: one.day for one in of.only if one.field in DAYS}
    since, before = days.get(Field.AGREED_SINCE), days.get(Field.AGREED_BEFORE)
    if since is not None and before is not None and since >= before:
        raise FilterRefused(
            "nobody", Field.AGREED_BEFORE, f"nobody agreed since {since} and before {before}", "mend one of the days"
        )
    for one in of.only:
        if set(one.values) <= gone.get(one.field, set()):
            raise FilterRefused("nobody", one.field, f"nobody is left: only {one}, and without it", "drop one of them")
    for field, values in gone.items():
        if field is not Field.NAME and values >= set(CHOICES.get(field, ["?"])):
            raise FilterRefused("nobody", field, f"nobody is left without every {field}", "leave one of them")


def _in_order(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    places = list(Field)
    return tuple(sorted(set(conditions), key=lambda one: (places.index(one.field), str(one))))

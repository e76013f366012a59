"""A filter of an audience as the rows of a form: taken from what is stored, from what was typed, changed by a button.

    stored --of_stored--> rows <--typed-- form     rows --changed--> one more or one fewer     rows --read--> Filter

A row is of one field, and never of another: `rows` names it by number, `0.field`, `0.way` (only, without) and `0.value`
say what is in it. What must stay true: what cannot be read stands in its row again, with what is wrong.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatcher.db.terms import Language
from dispatcher.domain.addresses import readable
from dispatcher.domain.audience import filters
from dispatcher.domain.audience.filters import CHOICES, DAYS, Condition, Field, Filter
from dispatcher.errors import FilterRefused
from dispatcher.sending import filter_words
from dispatcher.web.forms import Form

ONLY, WITHOUT = "only", "without"


@dataclass(frozen=True, slots=True)
class Row:
    """One condition as it is typed."""

    field: Field
    way: str
    values: tuple[str, ...]

    @property
    def ways(self) -> Sequence[str]:
        """Give how it may be meant."""
        return (ONLY,) if self.field in DAYS else (ONLY, WITHOUT)

    @property
    def shape(self) -> str:
        """Give what it is filled in with: a day, a campaign, a text, ticks; nothing, if there is one value only."""
        if self.field in DAYS:
            return "day"
        if self.field is Field.RECEIVED:
            return "campaign"
        if self.field is Field.DOMAIN:
            return "text"
        return "fixed" if len(CHOICES[self.field]) == 1 else "ticks"

    @property
    def text(self) -> str:
        """Give its values as one text."""
        return ", ".join(self.values)

    @property
    def and_one_more(self) -> Sequence[str]:
        """Give its values, and an empty one to be filled in."""
        return (*self.values, "")

    def choices(self, language: Language) -> list[tuple[str, str]]:
        """Give the values that can be ticked, each with its words."""
        return [(word, filter_words.value(self.field, word, language)) for word in CHOICES[self.field]]


def of_stored(of: Filter) -> list[Row]:
    """Give the rows of a filter."""
    ways = ((ONLY, of.only), (WITHOUT, of.without))
    return [Row(one.field, way, _shown(one)) for way, conditions in ways for one in conditions]


def typed(form: Form) -> list[Row]:
    """Give the rows that were typed."""
    found = []
    for number in form.all("rows")[: filters.MOST_CONDITIONS + 1]:
        field, way = form.first(f"{number}.field"), form.first(f"{number}.way")
        if field not in list(Field):
            continue
        said = [value.strip() for value in form.all(f"{number}.value") if value.strip()]
        if field == Field.DOMAIN:
            said = [word for text in said for word in re.split(r"[\s,;]+", text) if word]
        found.append(Row(Field(field), WITHOUT if way == WITHOUT else ONLY, tuple(said)))
    return found


def changed(rows: Sequence[Row], button: str, more: str) -> list[Row]:
    """Give the rows after a button was pressed: `add` one of the field `more`, or `remove 2`; else as they are."""
    deed, _, place = button.partition(" ")
    if deed == "add" and more in list(Field):
        only_one = CHOICES.get(Field(more), ())
        return [*rows, Row(Field(more), ONLY, tuple(only_one) if len(only_one) == 1 else ())]
    if deed == "remove":
        return [row for number, row in enumerate(rows) if str(number) != place]
    return list(rows)


def read(rows: Sequence[Row]) -> tuple[Filter, Mapping[int, str]]:
    """Give the filter that rows say, and what is wrong by row (-1: with all of them): then it is of no use."""
    faults: dict[int, str] = {}
    for place, row in enumerate(rows):
        try:
            filters.parse(*_texts([row]))
        except FilterRefused as refused:
            faults[place] = refused.key
    if faults:
        return filters.EVERYBODY, faults
    try:
        return filters.parse(*_texts(rows)), {}
    except FilterRefused as refused:
        return filters.EVERYBODY, at_row(rows, refused)


def at_row(rows: Sequence[Row], refused: FilterRefused) -> Mapping[int, str]:
    """Say at which row something is wrong: the last one of its field."""
    places = [place for place, row in enumerate(rows) if row.field == refused.field]
    return {places[-1] if places else -1: refused.key}


def _texts(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    said: dict[str, list[str]] = {ONLY: [], WITHOUT: []}
    for row in rows:
        said[row.way].append(f"{row.field}={','.join(row.values)}")
    return said[ONLY], said[WITHOUT]


def _shown(of: Condition) -> tuple[str, ...]:
    if of.field is Field.DOMAIN:
        return tuple(readable(f"@{domain}").removeprefix("@") for domain in of.values)
    return of.values

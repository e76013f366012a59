"""Sentences that the floors below say in English, recognised by their form: which row of a table one is, and its facts.

Whoever has a table (refusals, tidings, objections, ailments) says what it is of; what stands in none is shown
as it was said. Pure.
"""

import re
from typing import NamedTuple


class Row(NamedTuple):
    """A sentence by its key, and the form it has; what varies in it and is to be told is a named group."""

    key: str
    pattern: re.Pattern[str]


def row(key: str, pattern: str) -> Row:
    """Make a row; the pattern is that of the whole sentence, which may have several lines."""
    return Row(key, re.compile(pattern, re.DOTALL))


def find(table: tuple[Row, ...], said: str) -> tuple[str, dict[str, str]] | None:
    """Give key and facts by the first row that fits; None: there is none."""
    for key, pattern in table:
        if found := pattern.fullmatch(said):
            return key, {name: text or "" for name, text in found.groupdict().items()}
    return None

"""What preflight finds: values that say what, where, why it matters and how to mend it, in the reader's language.

The sentences lie in templates/preflight/words.de.yaml and so on, so that a person who writes, and does not program, can
change them. What must stay true: a finding names people by number, never by address, since it is stored.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from string import Template
from typing import Any

from babel.units import format_unit

from dispatcher import yaml_files
from dispatcher.assets import templates
from dispatcher.compose import words as letters_words
from dispatcher.db.terms import Language


class Check(StrEnum):
    """What is looked at, in the order in which it is told."""

    CONTENT = "content"  # what the author wrote can be composed, and reads as meant
    PLACEHOLDERS = "placeholders"  # nothing is left that should have been filled in
    PRICES = "prices"  # no price is stale, no offer over
    LEGAL = "legal"  # Impressum and the ways to leave, in both parts and in the head
    SIZE = "size"  # no program cuts the letter off
    PICTURES = "pictures"  # can be heard where they cannot be seen, and are small enough
    PEOPLE = "people"  # every recipient's letter, composed
    ONE_CLICK = "one-click"  # the button of mail programs, pressed
    LINKS = "links"  # every link, asked for
    DNS = "dns"  # SPF, DKIM and DMARC, and that they are about the same domain
    SPAM = "spam"  # what a filter says
    PROGRAMS = "programs"  # what mail programs cannot show


class Severity(StrEnum):
    """What follows from a finding."""

    STOP = "stop"  # the campaign does not go, unless somebody answers for it
    WARN = "warn"  # it goes; somebody should have looked
    NOTE = "note"  # good to know


_DAYS = ("as_of", "until")  # values that are days or moments, stored as ISO 8601 has them
_IN_DAYS = 48  # hours: what is older is told in days
_LINE = re.compile(r"(.+):([0-9]+)")
RECIPIENTS, LETTERS, DOMAIN = "@recipients", "@letters", "@domain"  # places that have words of their own


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. `where` is a file with its line, a name in the DNS, or one of the places above. Of a
    value that is in words there is one for each language: `filter_de` is the `$filter` of German sentences.
    """

    check: Check
    name: str
    severity: Severity
    where: str
    values: Mapping[str, str] = field(default_factory=dict)

    def say(self, language: Language, letters: Mapping[str, Language] | None = None) -> "Said":
        """Give it in words. `letters`: which file is the letter of which language, for whoever writes in a form: then
        places are letters, and cures name the form's fields instead of a file's keys.
        """
        table = _words(language)
        said = table[self.check][self.name]
        why = said.get("why") or table[self.check]["why"]
        cure = said["cure"] if letters is None else said.get("cure_in_form", said["cure"])
        values = _told(self.values, language)
        where = _place(self.where, table["where"], letters or {})
        return Said(where, *(_filled(text, values) for text in (said["what"], why, cure)))

    def to_json(self) -> dict[str, Any]:
        """Give it as it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Finding":
        """Read it back."""
        check, severity = Check(stored["check"]), Severity(stored["severity"])
        return cls(check, stored["name"], severity, stored["where"], stored["values"])


@dataclass(frozen=True, slots=True)
class Said:
    """A finding in words of one language."""

    where: str
    what: str
    why: str
    cure: str


def title(check: Check, language: Language) -> str:
    """Give what a check is called."""
    found: str = _words(language)[check]["title"]
    return found


def in_order(findings: list[Finding]) -> list[Finding]:
    """Put what stops first; below that as checks stand in their list."""
    checks, severities = list(Check), list(Severity)
    return sorted(findings, key=lambda one: (severities.index(one.severity), checks.index(one.check), one.name))


def _told(values: Mapping[str, str], language: Language) -> dict[str, str]:
    """Give values in a language, and as people write them: days and moments, an age in days or hours."""
    told = {name.removesuffix(f"_{language}"): value for name, value in values.items()}
    for name in _DAYS:
        if name in values:
            told[name] = _day(values[name], language)
    if "hours" in values:
        hours = int(values["hours"])
        many, unit = (hours, "hour") if hours < _IN_DAYS else (hours // 24, "day")
        told["age"] = format_unit(many, f"duration-{unit}", locale=str(language))
    return told


def _day(stored: str, language: Language) -> str:
    try:
        at = datetime.fromisoformat(stored) if len(stored) > len("2026-11-20") else date.fromisoformat(stored)
    except ValueError:
        return stored
    return letters_words.moment(at, language)


def _place(where: str, words: Mapping[str, str], letters: Mapping[str, Language]) -> str:
    """Say where: a place of its own, a letter and its line, or what stands there."""
    if where.startswith("@"):
        return words[where[1:]]
    found = _LINE.fullmatch(where)
    file, line = (found[1], found[2]) if found else (where, "")
    if file not in letters:
        return where
    letter = words[f"letter_{letters[file]}"]
    return _filled(words["line"], {"letter": letter, "line": line}) if line else letter


def _filled(text: str, values: Mapping[str, str]) -> str:
    return Template(text.strip()).substitute(values)


@lru_cache(maxsize=2)
def _words(language: Language) -> Mapping[str, Any]:
    path = templates() / "preflight" / f"words.{language}.yaml"
    found: Mapping[str, Any] = yaml_files.read(path)
    return found

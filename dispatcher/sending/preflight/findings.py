"""What preflight finds: values that say what, where, why it matters and how to mend it, in the reader's language.

The sentences lie in templates/preflight/words.de.yaml and so on, so that a person who writes, and does not program, can
change them. What must stay true: a finding names people by number, never by address, since it is stored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache
from string import Template
from typing import Any

import yaml

from dispatcher.assets import templates
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

    def say(self, language: Language) -> "Said":
        """Give it in words."""
        table = _words(language)
        said = table[self.check][self.name]
        where = table["where"][self.where[1:]] if self.where.startswith("@") else self.where
        why = said.get("why") or table[self.check]["why"]
        end = f"_{language}"
        values = {name.removesuffix(end): value for name, value in self.values.items()}
        return Said(where, *(_filled(text, values) for text in (said["what"], why, said["cure"])))

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


def _filled(text: str, values: Mapping[str, str]) -> str:
    return Template(text.strip()).substitute(values)


@lru_cache(maxsize=2)
def _words(language: Language) -> Mapping[str, Any]:
    path = templates() / "preflight" / f"words.{language}.yaml"
    found: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found

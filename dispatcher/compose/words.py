"""What the letters say by themselves, and how a language writes dates.

The wording lies beside the templates (templates/mail/_base/words.de.yaml and so on), in one file per language
with the same keys, so that a person who writes, and does not program, can change it. Dates are written by it too: for
the same words Babel would read 5 MB of each language into every process that sends.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from string import Template

from dispatcher import yaml_files
from dispatcher.assets import templates
from dispatcher.languages import Language


@lru_cache(maxsize=8)
def words(language: Language) -> Mapping[str, str]:
    """Give the house's wording; a key of a nested table is written `table.key`."""
    path = templates() / "mail" / "_base" / f"words.{language}.yaml"
    return dict(_flat(yaml_files.read(path)))


def say(language: Language, key: str, **values: str) -> str:
    """Give one sentence of the wording, its `$names` filled."""
    return Template(words(language)[key]).substitute(values)


def topic_title(topic: str, language: Language) -> str:
    """Give the topic's name as readers see it."""
    return words(language)[f"topics.{topic}"]


def greetings(language: Language) -> tuple[str, str]:
    """Give the greeting without a name, and the one that a name and nothing else follows."""
    return words(language)["greeting.unnamed"], words(language)["greeting.named"]


@lru_cache(maxsize=4096)
def long_date(day: date, language: Language) -> str:
    """Give "2. März 2026" or "2 March 2026"."""
    month = words(language)[f"months.{day.month}"]
    return say(language, "date", day=str(day.day), month=month, year=str(day.year))


def moment(at: datetime | date, language: Language) -> str:
    """Give the day, with its time where it has one: "2. März 2026, 9:30 Uhr"."""
    if not isinstance(at, datetime):
        return long_date(at, language)
    return say(language, "moment", day=long_date(at.date(), language), time=f"{at.hour}:{at.minute:02}")


def listed(things: Sequence[str], language: Language) -> str:
    """Give "a, b und c"."""
    if len(things) < 2:
        return "".join(things)
    return f"{', '.join(things[:-1])} {words(language)['and']} {things[-1]}"


def _flat(table: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            found.extend(_flat(value, f"{prefix}{key}."))
        else:
            found.append((f"{prefix}{key}", str(value).strip()))
    return found

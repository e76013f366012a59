"""What dossier and export say by themselves (templates/rights/words.de.yaml and so on), and how moments are written."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from string import Template

from markupsafe import Markup, escape

from dispatcher import yaml_files
from dispatcher.assets import templates
from dispatcher.compose import words as letter_words
from dispatcher.db.terms import EVERY_TOPIC, Language, Topic
from dispatcher.rights.records import read_moment
from dispatcher.zone import ZONE

ZONE_NAMES = {Language.DE: {"CET": "MEZ", "CEST": "MESZ"}, Language.EN: {}}


@lru_cache(maxsize=4)
def words(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Give the wording: a table per subject, a sentence per key."""
    path = templates() / "rights" / f"words.{language}.yaml"
    tables: dict[str, dict[str, str]] = yaml_files.read(path)
    return {name: {str(key): str(said).strip() for key, said in table.items()} for name, table in tables.items()}


def say(language: Language, key: str, **values: object) -> str:
    """Give one sentence by `table.key`, its `$names` filled."""
    table, _, name = key.partition(".")
    return Template(words(language)[table][name]).substitute({k: str(v) for k, v in values.items()})


def say_or(language: Language, key: str, otherwise: str, **values: object) -> str:
    """Give a sentence, or another one if there are no words for this yet."""
    table, _, name = key.partition(".")
    return say(language, key if name in words(language)[table] else otherwise, **values)


def say_with(language: Language, key: str, **values: object) -> Markup:
    """Give one sentence for a page, its values in <b>, escaped."""
    table, _, name = key.partition(".")
    filled = {k: Markup("<b>{}</b>").format(v) for k, v in values.items()}
    return Markup(Template(str(escape(words(language)[table][name]))).substitute(filled))  # noqa: S704  (escaped above)


def berlin(text: str | None, language: Language) -> str:
    """Give a moment to the second as people in Berlin had it: "24. November 2026, 17:03:12 Uhr MEZ"."""
    if text is None:
        return ""
    at = read_moment(text).astimezone(ZONE)
    name = at.tzname() or ""
    day = letter_words.long_date(at.date(), language)
    return say(language, "document.moment", day=day, time=f"{at:%H:%M:%S}", zone=ZONE_NAMES[language].get(name, name))


def utc(text: str | None) -> str:
    """Give a moment to the second in UTC: "2026-11-24 16:03:12 UTC"."""
    return f"{read_moment(text):%Y-%m-%d %H:%M:%S} UTC" if text else ""


def day(text: str, language: Language) -> str:
    """Give the day of a moment as it was in Berlin, or a day as it stands: "24. November 2026"."""
    at = date.fromisoformat(text) if len(text) == len("2026-11-24") else read_moment(text).astimezone(ZONE).date()
    return letter_words.long_date(at, language)


def topic(name: str | None, language: Language) -> str:
    """Give a topic as readers know it; None and `all` are every topic."""
    if name is None or name == EVERY_TOPIC:
        return say(language, "document.every_topic")
    return letter_words.topic_title(name, language) if name in list(Topic) else name

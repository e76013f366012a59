"""Which language a page speaks, and its wording.

The wording lies beside the templates (templates/web/public/words.de.yaml and words.en.yaml, the same keys in both), so
that a person who writes, and does not program, can change it.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from string import Template

from babel.dates import format_timedelta
from starlette.requests import Request

from dispatcher import yaml_files
from dispatcher.assets import templates
from dispatcher.compose import words as letter_words
from dispatcher.db.terms import Language, Topic

DEFAULT = Language.DE
LOCALES = {Language.DE: "de_DE", Language.EN: "en_GB"}


def choose(request: Request, of_the_person: Language | None = None) -> Language:
    """Give the language of a page: as asked for (`?lang=en`), else the person's, else what the browser prefers."""
    return asked_for(request) or of_the_person or preferred(request.headers.get("accept-language", ""))


def asked_for(request: Request) -> Language | None:
    """Give the language that the link itself asks for, if it does."""
    asked = request.query_params.get("lang", "")
    return Language(asked) if asked in list(Language) else None


def preferred(accept_language: str) -> Language:
    """Read Accept-Language (RFC 9110, 12.5.4): the first of ours with the greatest weight, else German."""
    weights: dict[Language, float] = {}
    for item in accept_language[:500].split(","):
        tag, _, parameter = item.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary in list(Language):
            weights.setdefault(Language(primary), _weight(parameter))
    best = max(weights, key=lambda language: weights[language], default=DEFAULT)
    return best if weights.get(best) else DEFAULT


@lru_cache(maxsize=4)
def words(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Give the wording of the pages: a table per page, a sentence per key."""
    path = templates() / "web" / "public" / f"words.{language}.yaml"
    tables: dict[str, dict[str, str]] = yaml_files.read(path)
    return {name: {key: str(text).strip() for key, text in table.items()} for name, table in tables.items()}


def say(language: Language, key: str, **values: str) -> str:
    """Give one sentence by `page.key`, its `$names` filled."""
    page, _, name = key.partition(".")
    text = words(language)[page][name]
    return Template(text).substitute(values) if "$" in text else text


def topic_title(topic: Topic, language: Language) -> str:
    """Give a topic's name, the same as in the letters."""
    return letter_words.topic_title(topic, language)


def listed(topics: Sequence[Topic], language: Language) -> str:
    """Give topics as "Finanznews und Angebote"."""
    return letter_words.listed([topic_title(t, language) for t in topics], language)


def span(wait: timedelta, language: Language) -> str:
    """Give a length of time as people say it: "20 Minuten"."""
    return format_timedelta(wait, threshold=1.5, locale=LOCALES[language])


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0

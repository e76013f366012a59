"""Templates, wording and formats of the console. What must stay true: every value is escaped.

The wording lies in templates/web/console/words: a table per file, `people.de.yaml` beside `people.en.yaml`, so that two
who add pages do not meet in one file. A sentence with a number in it has a second one for 1: `lead`, `lead_one`.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import cache, partial
from string import Template
from typing import Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent
from jinja2 import Environment

from dispatcher import yaml_files
from dispatcher.assets import PACKAGE, templates
from dispatcher.console import charts
from dispatcher.db.terms import Language
from dispatcher.domain.addresses import readable
from dispatcher.web.compiled import environment
from dispatcher.web.language import LOCALES, topic_title
from dispatcher.zone import ZONE

_NEVER = 1e9  # of a larger unit: as many minutes as there are
STATIC = PACKAGE / "console" / "static"


class Paper:
    """Renders templates/web/console. `root` is the path of the console, without a slash at its end; `note` says what
    the house wrote down (notes.py).
    """

    def __init__(self, root: str, house: str, note: Callable[[Language, str | None], str]) -> None:
        self.root = root
        self._note = note
        self._environment = _environment(root, house)

    def html(self, name: str, language: Language, **values: object) -> str:
        """Render NAME.html."""
        template = self._environment.get_template(f"{name}.html")
        wording = {"say": partial(say, language), "has": partial(has, language), "note": partial(self._note, language)}
        return template.render(lang=language, tell=Telling(language), **wording, **values)


class Telling:
    """How a language writes numbers and moments; in templates `tell.number(count)`."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._locale = LOCALES[language]

    def number(self, value: float) -> str:
        """Write 48213 as 48.213."""
        return format_decimal(value, locale=self._locale)

    def share(self, part: float, whole: float) -> str:
        """Write a part of a whole in per cent."""
        return format_percent(part / whole if whole else 0, "#,##0.0 %", locale=self._locale)

    def moment(self, at: datetime | None) -> str:
        """Write a moment in the house's zone."""
        return "" if at is None else format_datetime(at, self._pattern, tzinfo=ZONE, locale=self._locale)

    def wall_time(self, text: str) -> str:
        """Write a wall-clock time that is of no zone: 2026-12-01T09:00."""
        return "" if not text else format_datetime(datetime.fromisoformat(text), self._pattern, locale=self._locale)

    def day(self, at: date | None) -> str:
        """Write a day."""
        return "" if at is None else format_date(at, "medium", locale=self._locale)

    def short_day(self, at: date) -> str:
        """Write a day without its year: 7. Dez."""
        return format_date(at, "d. MMM" if self._is_german else "d MMM", locale=self._locale)

    def short_month(self, at: date) -> str:
        """Write a month, shortly: Dez. 2026."""
        return format_date(at, "MMM y", locale=self._locale)

    def weekday(self, at: datetime, zone: str) -> str:
        """Write a moment with its weekday, by the clock of a zone."""
        pattern = "EEE, d. MMM y, HH:mm" if self._is_german else "EEE, d MMM y, HH:mm"
        return format_datetime(at, pattern, tzinfo=ZoneInfo(zone), locale=self._locale)

    def clock(self, at: datetime) -> str:
        """Write the time of the day in the house's zone."""
        return format_datetime(at, "HH:mm", tzinfo=ZONE, locale=self._locale)

    def month(self, day: date) -> str:
        """Write the month of a day: Dezember 2026."""
        return format_date(day, "MMMM y", locale=self._locale)

    def long_day(self, day: date) -> str:
        """Write a day with its weekday: Dienstag, 1. Dezember."""
        return format_date(day, "EEEE, d. MMMM" if self._is_german else "EEEE, d MMMM", locale=self._locale)

    def span(self, seconds: float) -> str:
        """Write a length of time in one unit: 20 Minuten."""
        return format_timedelta(timedelta(seconds=seconds), threshold=1.2, locale=self._locale)

    def exactly(self, seconds: float) -> str:
        """Write a length of time that somebody set: 90 Minuten, 4 Stunden, 2 Tage."""
        minutes = round(seconds / 60)
        unit: Literal["minute", "hour", "day"] = "minute" if minutes % 60 else "hour" if minutes % (24 * 60) else "day"
        span = timedelta(minutes=minutes)
        return format_timedelta(span, granularity=unit, threshold=_NEVER, locale=self._locale)

    def ago(self, at: datetime | None, now: datetime) -> str:
        """Write how long ago, or in how long: vor 3 Minuten."""
        return "" if at is None else format_timedelta(at - now, add_direction=True, threshold=1.2, locale=self._locale)

    def topic(self, topic: object) -> str:
        """Give a topic's name, the same as in the letters."""
        return topic_title(topic, self._language) if topic else ""  # type: ignore[arg-type]

    @property
    def _pattern(self) -> str:
        return "d. MMM y, HH:mm" if self._is_german else "d MMM y, HH:mm"

    @property
    def _is_german(self) -> bool:
        return self._language is Language.DE


@cache
def words(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Give the wording of the console: a table per file, a sentence per key."""
    folder = templates() / "web" / "console" / "words"
    tables = {}
    for path in sorted(folder.glob(f"*.{language}.yaml")):
        table: dict[str, str] = yaml_files.read(path)
        tables[path.name.partition(".")[0]] = {key: str(text).strip() for key, text in table.items()}
    return tables


def say(language: Language, key: str, **values: object) -> str:
    """Give one sentence by `table.key`, its `$names` filled.

    Where there is `KEY_one` too, it is said for one: when the number that it leaves out of KEY is 1.
    """
    table, _, name = key.partition(".")
    of_one = _counts(language).get((table, name))
    if of_one is not None and str(values.get(of_one)) == "1":
        name = f"{name}_one"
    return Template(words(language)[table][name]).substitute(values)


@cache
def _counts(language: Language) -> Mapping[tuple[str, str], str]:
    """Give, for every sentence that has a singular, the name of the number that the singular leaves out."""
    found = {}
    for table, sentences in words(language).items():
        for name in sentences:
            if f"{name}_one" in sentences:
                named, left = (set(Template(sentences[key]).get_identifiers()) for key in (name, f"{name}_one"))
                if len(named - left) == 1:
                    found[table, name] = (named - left).pop()
    return found


def has(language: Language, key: str) -> bool:
    """Claim that there is a sentence of this key."""
    table, _, name = key.partition(".")
    return name in words(language).get(table, {})


@cache
def _environment(root: str, house: str) -> Environment:
    """Give what templates are compiled in: once for every application of this house."""
    files = {"style": "console.css", "script": "console.js", "icon": "console.svg"}
    made = environment(templates() / "web" / "console", root, STATIC, files)
    made.globals.update(house=house, charts=charts)
    made.filters["readable"] = readable
    return made

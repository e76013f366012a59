"""Who agreed and who left, topic by topic, over weeks or months: the figures, and the chart of them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from markupsafe import Markup

from dispatcher.console import charts
from dispatcher.console.charts import Series
from dispatcher.console.paper import Telling, say
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.movements import Moved, Movements


class By(StrEnum):
    """How long a stretch is."""

    WEEK = "week"
    MONTH = "month"


_SHOWN = {By.WEEK: 26, By.MONTH: 24}
_AT_LEAST = 8  # stretches, of a house that is younger


@dataclass(frozen=True, slots=True)
class Stretch:
    """A week or a month, by its first day, and what happened in it to each topic."""

    first: date
    moved: Mapping[Topic, Moved]


def stretches(movements: Movements, by: By, today: date) -> list[Stretch]:
    """Give the newest stretches, oldest first; the last is the one that `today` is in. Those from before anything
    happened are left out.
    """
    firsts = _firsts(by, today)
    found: dict[date, dict[Topic, Moved]] = {first: dict.fromkeys(Topic, Moved()) for first in firsts}
    for (topic, day), moved in movements.days.items():
        first = first_day(by, day)
        if first in found:
            found[first][topic] += moved
    begun = next((place for place, first in enumerate(firsts) if any(found[first].values())), len(firsts))
    return [Stretch(first, found[first]) for first in firsts[min(begun, len(firsts) - _AT_LEAST) :]]


def first_day(by: By, day: date) -> date:
    """Give the first day of the stretch that a day is in: a Monday, or the first of a month."""
    return day - timedelta(days=day.weekday()) if by is By.WEEK else day.replace(day=1)


def name(stretch: Stretch, by: By, language: Language) -> str:
    """Name a stretch as a chart does, shortly."""
    tell = Telling(language)
    return tell.month(stretch.first) if by is By.MONTH else tell.short_day(stretch.first)


def chart(of: Sequence[Stretch], topic: Topic, by: By, language: Language) -> Markup:
    """Draw one topic: who agreed stands up, who left hangs down."""
    tell = Telling(language)
    series = [
        Series("agreed", say(language, "consent.agreed"), [stretch.moved[topic].agreed for stretch in of]),
        Series("left", say(language, "consent.left"), [-stretch.moved[topic].left for stretch in of]),
    ]
    named = say(language, f"consent.chart_{by}", topic=tell.topic(topic))
    return charts.columns(named, [name(stretch, by, language) for stretch in of], series, lambda n: tell.number(abs(n)))


def _firsts(by: By, today: date) -> list[date]:
    last = first_day(by, today)
    found = [last]
    while len(found) < _SHOWN[by]:
        found.append(first_day(by, found[-1] - timedelta(days=1)))
    return found[::-1]

"""Who agreed and who left, topic by topic, over weeks or months: the figures, and the chart of them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache

from markupsafe import Markup

from dispatcher.console import charts
from dispatcher.console.charts import Series
from dispatcher.console.paper import Telling, say
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.proof.movements import Moved, Movements


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


def chart(of: Sequence[Stretch], topic: Topic, by: By, language: Language) -> Markup:
    """Draw one topic: who agreed stands up, who left hangs down."""
    return _drawn(tuple((each.first, each.moved[topic]) for each in of), topic, by, language)


@lru_cache(maxsize=64)  # to draw one takes longer than all the rest of its page
def _drawn(of: Sequence[tuple[date, Moved]], topic: Topic, by: By, language: Language) -> Markup:
    tell = Telling(language)
    series = [
        Series("agreed", say(language, "consent.agreed"), [moved.agreed for _, moved in of]),
        Series("left", say(language, "consent.left"), [-moved.left for _, moved in of]),
    ]
    named = say(language, f"consent.chart_{by}", topic=tell.topic(topic))
    labels = [tell.short_month(first) if by is By.MONTH else tell.short_day(first) for first, _ in of]
    return charts.columns(named, labels, series, lambda n: tell.number(abs(n)))


def _firsts(by: By, today: date) -> list[date]:
    last = first_day(by, today)
    found = [last]
    while len(found) < _SHOWN[by]:
        found.append(first_day(by, found[-1] - timedelta(days=1)))
    return found[::-1]

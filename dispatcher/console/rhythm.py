"""Days that come again, in the words of whoever looks: dienstags und freitags um 09:00."""

from babel.lists import format_list

from dispatcher.console.paper import say
from dispatcher.db.terms import Language
from dispatcher.domain.newsletters.recurrence import Recurrence
from dispatcher.web.language import LOCALES


def in_words(of: Recurrence, language: Language) -> str:
    """Say on which days and at what time; the zone stands beside it."""
    days = _week(of, language) if of.weekdays else _month(of, language)
    return say(language, "series.rhythm", days=days, at=f"{of.at:%H:%M}")


def _week(of: Recurrence, language: Language) -> str:
    if of.every in {"daily", "workdays"}:
        return say(language, f"series.{of.every}")
    return format_list([say(language, f"series.on_{day}") for day in of.weekdays], locale=LOCALES[language])


def _month(of: Recurrence, language: Language) -> str:
    named = [say(language, "series.last_day" if day < 0 else "series.day_of_month", day=day) for day in of.days]
    return format_list(named, locale=LOCALES[language])

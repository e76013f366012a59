"""Days that come again: words, the days they mean, and the moments at which a zone's clocks come to a time on them.

    tuesday | tuesday friday | workdays | daily | 1 15 | last        German names and the first two letters do as well

Days are reckoned on the calendar (python-dateutil, after RFC 5545), clocks by zones.py. So an issue of 09:00 comes at
09:00 on both sides of a switch, and one of a time that is skipped that day comes once, later by what is skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from dateutil import rrule

from dispatcher.domain import zones
from dispatcher.errors import InputRefused

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WOCHE = ("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag")
_NAMES = {name: day for week in (_WEEK, _WOCHE) for day, name in enumerate(week)}
_NAMES |= {name[:2]: day for week in (_WEEK, _WOCHE) for day, name in enumerate(week)}
_NAMES |= {name[:3]: day for day, name in enumerate(_WEEK)}
_GROUPS = {"daily": range(7), "workdays": range(5)}
_LAST = -1
_CURE = "write weekdays (tuesday friday), workdays, daily, days of the month (1 15) or last"
_BACK = timedelta(days=2)  # no zone's calendar is further from any other's


@dataclass(frozen=True, slots=True)
class Recurrence:
    """On which days, at what time, in which zone. Either weekdays (Monday is 0) or days of the month (-1: the last)."""

    weekdays: tuple[int, ...]
    days: tuple[int, ...]
    at: time
    zone: str

    @property
    def every(self) -> str:
        """Give the days in words that `recurrence` reads."""
        for word, group in _GROUPS.items():
            if self.weekdays == tuple(group):
                return word
        names = [_WEEK[day] for day in self.weekdays]
        return " ".join(names or ["last" if day == _LAST else str(day) for day in self.days])

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Give the moments after this one, in UTC, one after the other, to the end of the calendar."""
        tz = zones.zone_of(self.zone)
        start = datetime.combine(moment.astimezone(tz).date() - _BACK, self.at)
        for local in self._days(start):
            at = zones.on_the_clock(local, tz)
            if at > moment:
                yield at

    def _days(self, start: datetime) -> Iterator[datetime]:
        if self.weekdays:
            yield from rrule.rrule(rrule.WEEKLY, dtstart=start, byweekday=self.weekdays)
        else:
            yield from rrule.rrule(rrule.MONTHLY, dtstart=start, bymonthday=self.days)


def recurrence(every: str, at: str, zone: str) -> Recurrence:
    """Read what somebody typed. Raises InputRefused, with the cure."""
    zones.zone_of(zone)
    words = every.lower().replace(",", " ").split()
    if not words:
        raise InputRefused("no day is named", _CURE)
    weekdays = {day for word in words for day in _weekdays(word)}
    days = {_day_of_month(word) for word in words if not _weekdays(word)}
    if weekdays and days:
        raise InputRefused(f"{every!r} mixes weekdays and days of the month", "make it two series")
    # As calendars go: the last day comes behind the others.
    ordered = tuple(sorted(days, key=lambda day: (day == _LAST, day)))
    return Recurrence(tuple(sorted(weekdays)), ordered, _time(at), zone)


def _weekdays(word: str) -> tuple[int, ...]:
    if word in _GROUPS:
        return tuple(_GROUPS[word])
    return (_NAMES[word],) if word in _NAMES else ()


def _day_of_month(word: str) -> int:
    if word == "last":
        return _LAST
    if not (word.isascii() and word.isdigit()):
        raise InputRefused(f"{word!r} is no day", _CURE)
    if not 1 <= int(word) <= 28:
        raise InputRefused(f"not every month has a day {word}", "days 1 to 28 come each month; the last is: last")
    return int(word)


def _time(text: str) -> time:
    try:
        read = time.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is not None or read != read.replace(second=0, microsecond=0):
        raise InputRefused(f"{text!r} is no time of the day", "write it as 09:00")
    return read

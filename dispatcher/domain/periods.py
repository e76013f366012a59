"""How long each thing is kept, and why. Data: domain/retention.py acts on it.

    unconfirmed   14 days     a request that nobody confirmed, and whoever never confirmed anything
    listed        30 days     people of an import without evidence who never confirmed
    older         12 months   consent under older words that nobody renewed, from when they were asked
    profile        0 days     name and address of whoever has left everything: the next daily run
    proof          3 years    calendar years after the end of a consent, full ones
    attempts       1 day      attempts at the sign-up form
    answers        1 day      what the API answered to requests that may come twice
    webhooks      30 days     what endpoints of webhooks were told
    uploads        7 days     files of people that were handed in and not taken in, and rows that could not be read
    deliveries    24 months   who got which letter; afterwards how many did
    rights         3 years    calendar years after a request by right was answered, full ones
    runs           3 years    what retention itself notes, counts only

What must stay true: a period set otherwise stays within what the law leaves open; a year ends where the sender's does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from dispatcher.errors import InputRefused
from dispatcher.zone import ZONE

_LAST_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Period(StrEnum):
    """What is kept for a time."""

    UNCONFIRMED = "unconfirmed"
    LISTED = "listed"
    OLDER = "older"
    PROFILE = "profile"
    PROOF = "proof"
    ATTEMPTS = "attempts"
    ANSWERS = "answers"
    WEBHOOKS = "webhooks"
    UPLOADS = "uploads"
    DELIVERIES = "deliveries"
    RIGHTS = "rights"
    RUNS = "runs"


class Unit(StrEnum):
    """In what a period is counted."""

    DAYS = "d"
    MONTHS = "m"
    YEARS = "y"  # full calendar years: what began in 2026 and is kept for 3 goes when 2029 has ended


_UNIT_NAMES = {Unit.DAYS: "day", Unit.MONTHS: "month", Unit.YEARS: "calendar year"}


@dataclass(frozen=True, slots=True)
class Rule:
    """A period: so many of a unit, within bounds, and why."""

    unit: Unit
    count: int
    least: int
    most: int
    reason: str

    def __str__(self) -> str:
        if not self.count:
            return "at once"
        return f"{self.count} {_UNIT_NAMES[self.unit]}{'s' if self.count != 1 else ''}"

    def cutoff(self, now: datetime) -> datetime:
        """Give a moment (UTC): what began then or before has had its time."""
        local = now.astimezone(ZONE)
        match self.unit:
            case Unit.DAYS:
                return now - timedelta(days=self.count)
            case Unit.MONTHS:
                return _months_before(local, self.count).astimezone(UTC)
            case Unit.YEARS:
                began = datetime(local.year - self.count, 1, 1, tzinfo=ZONE)
                return began.astimezone(UTC) - timedelta(microseconds=1)


Rules = Mapping[Period, Rule]

DEFAULT: Rules = {
    Period.UNCONFIRMED: Rule(Unit.DAYS, 14, 7, 14, "nobody agreed: no ground to keep it (Art. 5(1)(c), (e) GDPR)"),
    Period.LISTED: Rule(Unit.DAYS, 30, 7, 90, "asked to confirm and did not: no ground to keep it (Art. 5(1)(e) GDPR)"),
    Period.OLDER: Rule(
        Unit.MONTHS, 12, 1, 12, "asked to renew and did not: no letter goes to them (Art. 5(1)(e) GDPR)"
    ),
    Period.PROFILE: Rule(Unit.DAYS, 0, 0, 30, "the purpose ended with the last consent (Art. 17(1)(b) GDPR)"),
    Period.PROOF: Rule(Unit.YEARS, 3, 3, 10, "claims can be brought until then (Art. 17(3)(e) GDPR; 195, 199 BGB)"),
    Period.ATTEMPTS: Rule(Unit.DAYS, 1, 1, 7, "needed for the limits of the sign-up form, which look back a day"),
    Period.ANSWERS: Rule(Unit.DAYS, 1, 1, 7, "who heard no answer asks again within a day; they name nobody"),
    Period.WEBHOOKS: Rule(Unit.DAYS, 30, 7, 90, "to send again what a receiver lost; people stand there by public id"),
    Period.UPLOADS: Rule(Unit.DAYS, 7, 1, 30, "to be looked over and mended; a file that was imported goes at its end"),
    Period.DELIVERIES: Rule(Unit.MONTHS, 24, 3, 48, "to answer who asks about a letter; what is left is a count"),
    Period.RIGHTS: Rule(Unit.YEARS, 3, 3, 10, "to show that people were answered (Art. 5(2) GDPR; 31, 33 OWiG)"),
    Period.RUNS: Rule(Unit.YEARS, 3, 1, 10, "to show that the periods were kept (Art. 5(2) GDPR)"),
}


def read(text: str) -> Rules:
    """Read periods set otherwise, as `unconfirmed=7d deliveries=12m proof=4y`; the others are DEFAULT.

    Raises InputRefused for a period that does not exist, and for one out of its bounds.
    """
    rules = dict(DEFAULT)
    for word in text.split():
        name, _, span = word.partition("=")
        if name not in list(Period):
            raise InputRefused(f"there is no period {name!r}", f"the periods are: {', '.join(Period)}")
        rules[Period(name)] = _set(Period(name), span)
    return rules


def _set(period: Period, span: str) -> Rule:
    rule = DEFAULT[period]
    digits, unit = span[:-1], span[-1:]
    bounds = f"{period}={rule.least}{rule.unit} to {period}={rule.most}{rule.unit}"
    if unit != rule.unit or not (digits.isascii() and digits.isdigit()):
        raise InputRefused(f"{period}={span} is no period", f"write {bounds}")
    if not rule.least <= int(digits) <= rule.most:
        raise InputRefused(f"{period}={span} is not within the bounds", f"write {bounds}")
    return replace(rule, count=int(digits))


def _months_before(local: datetime, months: int) -> datetime:
    """Go back in the calendar; a day that the month does not have is its last."""
    years, month = divmod(local.year * 12 + local.month - 1 - months, 12)
    day = min(local.day, _LAST_DAYS[month])
    if (month, day) == (1, 29) and not (years % 4 == 0 and (years % 100 != 0 or years % 400 == 0)):
        day = 28
    return local.replace(year=years, month=month + 1, day=day)

"""Warming a relay up: a provider that does not know it yet gets few letters a day at first, and twice as many after
each day that went well. Pure: the counts of days are passed in.

A day's allowance is spread evenly over its 24 hours, as a rate. So the buckets, which are exact over all workers, hold
the day's number by themselves; nothing is counted before a letter goes, and no provider sees a burst.
"""

from collections.abc import Mapping
from datetime import date

from dispatcher.domain.rates.relay_days import Counted
from dispatcher.smtp.relays import Warmup

ENOUGH = 100_000  # letters a day to one provider, with which a relay is warm
_TELLING = 0.1  # the part of an allowance that must have been used for the day to say anything
_DAY_S = 86_400


def allowance(plan: Warmup, days: Mapping[date, Counted], today: date) -> int | None:
    """Say how many letters may go to a provider today; None: as many as can. `days`: what became of earlier ones there.

    A day counts if a tenth of its allowance went out and fewer than one letter in twenty was deferred; after any other
    the allowance stays as it was. Before the first day nothing is limited.
    """
    if today < plan.first_day:
        return None
    allowed = plan.letters
    for day in sorted(days):
        if plan.first_day <= day < today and _went_well(days[day], allowed):
            allowed *= 2
    return allowed if allowed <= ENOUGH else None


def rate_per_s(allowed: int) -> float:
    """Spread a day's allowance over the day."""
    return allowed / _DAY_S


def _went_well(counted: Counted, allowed: int) -> bool:
    return counted.attempts >= allowed * _TELLING and counted.is_well_taken

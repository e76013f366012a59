"""How long things are kept: each period to the second, years as the sender's calendar ends them, settings in bounds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dispatcher.domain import periods
from dispatcher.domain.periods import DEFAULT, Period, Rule, Unit
from dispatcher.errors import InputRefused

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = timedelta(seconds=1)
YEAR_2026 = datetime(2026, 12, 31, 23, 59, 59, tzinfo=BERLIN)
YEAR_2027 = YEAR_2026 + SECOND


def _rule(unit: Unit, count: int) -> Rule:
    return Rule(unit, count, 0, 99, "a test")


def test_days_are_counted_to_the_second() -> None:
    now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    assert DEFAULT[Period.UNCONFIRMED].cutoff(now) == now - timedelta(days=14)
    assert DEFAULT[Period.PROFILE].cutoff(now) == now


@pytest.mark.parametrize(
    ("ended", "goes"),
    [
        (datetime(2026, 1, 1, 0, 0, tzinfo=BERLIN), datetime(2030, 1, 1, tzinfo=BERLIN)),
        (YEAR_2026, datetime(2030, 1, 1, tzinfo=BERLIN)),
        (YEAR_2027, datetime(2031, 1, 1, tzinfo=BERLIN)),
        (datetime(2024, 2, 29, 12, 0, tzinfo=BERLIN), datetime(2028, 1, 1, tzinfo=BERLIN)),
        # Half past eleven at night in London is the new year in Berlin.
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=BERLIN)),
    ],
)
def test_a_proof_is_kept_until_the_third_calendar_year_after_has_ended_in_berlin(
    ended: datetime, goes: datetime
) -> None:
    rule = DEFAULT[Period.PROOF]
    assert rule.cutoff((goes - SECOND).astimezone(UTC)) < ended
    assert rule.cutoff(goes.astimezone(UTC)) >= ended


@pytest.mark.parametrize(
    ("now", "months", "cutoff"),
    [
        ((2026, 11, 24, 10), 24, (2024, 11, 24, 10)),
        ((2026, 2, 28, 10), 24, (2024, 2, 28, 10)),
        ((2026, 3, 1, 0), 24, (2024, 3, 1, 0)),  # what happened on 29 February 2024 is past by now
        ((2028, 2, 29, 10), 24, (2026, 2, 28, 10)),
        ((2028, 2, 29, 10), 48, (2024, 2, 29, 10)),
        ((2026, 1, 31, 10), 2, (2025, 11, 30, 10)),
        ((2026, 7, 1, 10), 6, (2026, 1, 1, 10)),  # summer time: ten o'clock stays ten o'clock
    ],
)
def test_months_are_the_calendars(now: tuple[int, ...], months: int, cutoff: tuple[int, ...]) -> None:
    at = datetime(*now, tzinfo=BERLIN).astimezone(UTC)  # type: ignore[arg-type,misc]
    expected = datetime(*cutoff, tzinfo=BERLIN)  # type: ignore[arg-type,misc]
    assert _rule(Unit.MONTHS, months).cutoff(at) == expected


def test_every_period_has_a_reason_and_lies_within_its_own_bounds() -> None:
    assert set(DEFAULT) == set(Period)
    for rule in DEFAULT.values():
        assert rule.least <= rule.count <= rule.most
        assert rule.reason


def test_a_period_can_be_set_within_its_bounds_and_the_others_stay() -> None:
    rules = periods.read("unconfirmed=7d  proof=10y")
    assert (str(rules[Period.UNCONFIRMED]), str(rules[Period.PROOF])) == ("7 days", "10 calendar years")
    assert rules[Period.LISTED] == DEFAULT[Period.LISTED]
    assert str(rules[Period.PROFILE]) == "at once"
    assert str(rules[Period.ATTEMPTS]) == "1 day"
    assert periods.read("") == DEFAULT


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("unconfirmed=15d", "is not within the bounds"),
        ("unconfirmed=6d", "is not within the bounds"),
        ("proof=2y", "is not within the bounds"),
        ("profile=31d", "is not within the bounds"),
        ("unconfirmed=7", "is no period"),
        ("unconfirmed=1m", "is no period"),
        ("unconfirmed=-7d", "is no period"),
        ("unconfirmed=\u0667d", "is no period"),
        ("unconfirmed", "is no period"),
        ("unconfirmd=7d", "there is no period 'unconfirmd'"),
    ],
)
def test_a_period_out_of_bounds_is_refused_with_the_bounds(text: str, what: str) -> None:
    with pytest.raises(InputRefused) as caught:
        periods.read(text)
    assert what in caught.value.what
    assert caught.value.cure

"""Days that come again: what is read, and when they come, over both switches of the clocks in two zones."""

from datetime import UTC, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.errors import InputRefused

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)  # a Monday


def _next(every: str, at: str, zone: str, after: str, count: int = 3) -> list[str]:
    """Give the next moments as that zone's clocks show them, with their offset."""
    moment = datetime.fromisoformat(after)
    found = islice(recurrence(every, at, zone).after(moment), count)
    return [f"{each.astimezone(ZoneInfo(zone)):%a %m-%d %H:%M %z}" for each in found]


@pytest.mark.parametrize(
    ("every", "reads"),
    [
        ("tuesday", "tuesday"),
        ("Fri, TUE", "tuesday friday"),
        ("Dienstag Fr", "tuesday friday"),
        ("mo di mi do fr", "workdays"),
        ("daily", "daily"),
        ("workdays saturday so", "daily"),
        ("last 15 1", "1 15 last"),
    ],
)
def test_days_are_read_in_either_language_and_said_in_one_way(every: str, reads: str) -> None:
    read = recurrence(every, "09:00", "Europe/Berlin")
    assert read.every == reads
    assert recurrence(read.every, "09:00", "Europe/Berlin") == read


@pytest.mark.parametrize(
    ("every", "at", "zone", "what"),
    [
        ("", "09:00", "Europe/Berlin", "no day is named"),
        ("someday", "09:00", "Europe/Berlin", "'someday' is no day"),
        ("tuesday 15", "09:00", "Europe/Berlin", "mixes weekdays and days of the month"),
        ("31", "09:00", "Europe/Berlin", "not every month has a day 31"),
        ("0", "09:00", "Europe/Berlin", "not every month has a day 0"),
        ("-1", "09:00", "Europe/Berlin", "'-1' is no day"),
        ("tuesday", "9", "Europe/Berlin", "'9' is no time of the day"),
        ("tuesday", "25:00", "Europe/Berlin", "'25:00' is no time of the day"),
        ("tuesday", "09:00:30", "Europe/Berlin", "'09:00:30' is no time of the day"),
        ("tuesday", "09:00+01:00", "Europe/Berlin", "is no time of the day"),
        ("tuesday", "09:00", "Europe/Entenhausen", "there is no time zone"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_cure(every: str, at: str, zone: str, what: str) -> None:
    with pytest.raises(InputRefused) as caught:
        recurrence(every, at, zone)
    assert what in caught.value.what
    assert caught.value.cure


def test_nine_on_tuesdays_is_nine_on_both_sides_of_both_switches() -> None:
    spring = _next("tuesday", "09:00", "Europe/Berlin", "2027-03-22T00:00+00:00", 2)
    assert spring == ["Tue 03-23 09:00 +0100", "Tue 03-30 09:00 +0200"]
    autumn = _next("tuesday", "09:00", "Europe/Berlin", "2026-10-19T00:00+00:00", 2)
    assert autumn == ["Tue 10-20 09:00 +0200", "Tue 10-27 09:00 +0100"]
    spring = _next("sunday monday", "09:00", "America/New_York", "2027-03-13T00:00+00:00", 3)
    assert spring == ["Sun 03-14 09:00 -0400", "Mon 03-15 09:00 -0400", "Sun 03-21 09:00 -0400"]


@pytest.mark.parametrize(
    ("zone", "at", "after", "shown"),
    [
        # skipped: it comes once, later by the hour that is skipped
        (
            "Europe/Berlin",
            "02:30",
            "2027-03-26T12:00Z",
            "Sat 03-27 02:30 +0100, Sun 03-28 03:30 +0200, Mon 03-29 02:30 +0200",
        ),
        (
            "America/New_York",
            "02:30",
            "2027-03-12T12:00Z",
            "Sat 03-13 02:30 -0500, Sun 03-14 03:30 -0400, Mon 03-15 02:30 -0400",
        ),
        # comes twice: the first, and that once
        (
            "Europe/Berlin",
            "02:30",
            "2026-10-23T12:00Z",
            "Sat 10-24 02:30 +0200, Sun 10-25 02:30 +0200, Mon 10-26 02:30 +0100",
        ),
        (
            "America/New_York",
            "01:30",
            "2026-10-30T12:00Z",
            "Sat 10-31 01:30 -0400, Sun 11-01 01:30 -0400, Mon 11-02 01:30 -0500",
        ),
    ],
)
def test_a_time_that_a_switch_skips_or_doubles_comes_once_that_day(zone: str, at: str, after: str, shown: str) -> None:
    assert ", ".join(_next("daily", at, zone, after)) == shown


def test_between_the_two_half_past_twos_of_autumn_todays_is_over() -> None:
    shown = _next(
        "daily", "02:30", "Europe/Berlin", "2026-10-25T00:45+00:00", 1
    )  # 02:45, and again 02:30 in 45 minutes
    assert shown == ["Mon 10-26 02:30 +0100"]


def test_days_of_the_month_know_its_last() -> None:
    assert _next("15 last", "09:00", "Europe/Berlin", "2027-02-01T00:00+00:00", 4) == [
        "Mon 02-15 09:00 +0100", "Sun 02-28 09:00 +0100", "Mon 03-15 09:00 +0100", "Wed 03-31 09:00 +0200",
    ]  # fmt: skip


def test_what_is_due_at_this_moment_is_not_after_it() -> None:
    first = next(recurrence("monday", "13:00", "Europe/Berlin").after(NOW))
    assert first == NOW + timedelta(days=7)
    assert next(recurrence("monday", "13:00", "Europe/Berlin").after(NOW - timedelta(seconds=1))) == NOW


@given(
    st.sampled_from(["daily", "workdays", "tuesday", "1 15", "last"]),
    st.times(time(0), time(23, 59)).map(lambda at: f"{at:%H:%M}"),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Asia/Tehran"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_moments_follow_each_other_and_none_of_the_days_is_left_out(
    every: str, at: str, zone: str, after: datetime
) -> None:
    read = recurrence(every, at, zone)
    found = list(islice(read.after(after), 40))
    assert found[0] > after
    assert all(one < other for one, other in pairwise(found))
    longest = {"daily": 2, "workdays": 4, "tuesday": 8}.get(every, 32)
    assert all(other - one < timedelta(days=longest) for one, other in pairwise([after, *found]))
    assert next(read.after(found[0])) == found[1]

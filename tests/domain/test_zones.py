"""Wall-clock times and the moments that they mean, at both switches of the clocks and elsewhere."""

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain import zones
from dispatcher.errors import InputRefused

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-12-01T09:00", "Europe/Berlin", datetime(2026, 12, 1, 8, 0, tzinfo=UTC)),
        ("2026-07-01 09:00", "Europe/Berlin", datetime(2026, 7, 1, 7, 0, tzinfo=UTC)),
        ("2026-12-01", "UTC", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-12-01T09:00", "America/New_York", datetime(2026, 12, 1, 14, 0, tzinfo=UTC)),
        ("2026-03-29T01:59", "Europe/Berlin", datetime(2026, 3, 29, 0, 59, tzinfo=UTC)),
        ("2026-03-29T03:00", "Europe/Berlin", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("2026-10-25T02:30", "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # comes twice: the first
        ("2026-01-10T13:00", "Europe/Berlin", NOW),  # this very moment
    ],
)
def test_a_wall_clock_time_is_read_in_its_zone(text: str, zone: str, expected: datetime) -> None:
    assert zones.moment(text, zone, NOW) == expected


@pytest.mark.parametrize(
    ("text", "zone", "what"),
    [
        ("2026-03-29T02:30", "Europe/Berlin", "does not exist in Europe/Berlin"),
        ("2026-03-08T02:00", "America/New_York", "does not exist in America/New_York"),
        ("2026-01-10T12:59", "Europe/Berlin", "is in the past"),
        ("2026-12-01T09:00", "Europe/Entenhausen", "there is no time zone 'Europe/Entenhausen'"),
        ("2026-12-01T09:00", "", "there is no time zone"),
        ("2026-12-01T09:00", "Europe", "there is no time zone"),
        ("2026-12-01T09:00", "../etc/passwd", "there is no time zone"),
        ("2026-12-01T09:00", "a\0b", "there is no time zone"),
        ("morgen um neun", "Europe/Berlin", "is not a time"),
        ("2026-13-01T09:00", "Europe/Berlin", "is not a time"),
        ("2026-02-30T09:00", "Europe/Berlin", "is not a time"),
        ("2026-12-01T09:00+01:00", "Europe/Berlin", "names an offset"),
        ("2026-12-01T09:00Z", "Europe/Berlin", "names an offset"),
        ("0001-01-01T00:00", "Europe/Berlin", "is not a time"),
        ("9999-12-31T23:59", "America/New_York", "is not a time"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_with_a_cure(text: str, zone: str, what: str) -> None:
    with pytest.raises(InputRefused) as caught:
        zones.moment(text, zone, NOW)
    assert what in caught.value.what
    assert caught.value.cure


@given(
    st.datetimes(datetime(2026, 1, 12), datetime(2027, 12, 31)),  # noqa: DTZ001  (what a person types)
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"]),
)
def test_a_moment_read_back_in_its_zone_is_what_was_typed(typed: datetime, zone: str) -> None:
    with suppress(InputRefused):  # the zone skips it
        moment = zones.moment(typed.isoformat(), zone, NOW)
        shown = moment.astimezone(ZoneInfo(zone))
        assert shown.replace(tzinfo=None, fold=0) == typed
        assert shown.fold == 0


@pytest.mark.parametrize(
    ("local", "zone", "expected"),
    [
        ("2026-03-29T01:59", "Europe/Berlin", "2026-03-29T00:59"),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30"),  # skipped: it is 03:30 then
        ("2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00"),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30"),  # comes twice: the first
        ("2026-10-25T03:00", "Europe/Berlin", "2026-10-25T02:00"),
        ("2026-03-08T02:30", "America/New_York", "2026-03-08T07:30"),
        ("2026-11-01T01:30", "America/New_York", "2026-11-01T05:30"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45"),  # skipped by half an hour: it is 02:45
        ("2011-12-30T09:00", "Pacific/Apia", "2011-12-30T19:00"),  # a day that there never was
    ],
)
def test_a_clock_that_skips_a_time_comes_to_it_later_by_what_it_skips(local: str, zone: str, expected: str) -> None:
    moment = zones.on_the_clock(datetime.fromisoformat(local), ZoneInfo(zone))
    assert moment == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("name", ["", "Europe", "../etc/passwd", "Europe/Entenhausen", "a\0b", "x" * 300])
def test_what_is_no_zone_is_not_known(name: str) -> None:
    assert not zones.is_known(name)
    assert zones.is_known("Europe/Berlin")

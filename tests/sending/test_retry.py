"""When to try again: a rule of pure numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.sending.retry import next_attempt

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NEVER = NOW + timedelta(days=3650)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("attempt", "minutes"), [(1, 5), (2, 15), (3, 30), (4, 60), (5, 120), (6, 240), (7, 240), (500, 240)]
)
def test_each_4xx_is_waited_out_longer_than_the_one_before_up_to_four_hours(attempt: int, minutes: int) -> None:
    assert next_attempt(attempt, NOW, NEVER, 0.0) == NOW + minutes * MINUTE


def test_jitter_adds_up_to_a_quarter() -> None:
    assert next_attempt(2, NOW, NEVER, 1.0) == NOW + timedelta(minutes=18.75)


def test_what_would_come_after_the_expiry_is_given_up() -> None:
    assert next_attempt(1, NOW, NOW + 5 * MINUTE + timedelta(microseconds=1), 0.0) == NOW + 5 * MINUTE
    assert next_attempt(1, NOW, NOW + 5 * MINUTE, 0.0) is None
    assert next_attempt(1, NOW, NOW - MINUTE, 0.0) is None


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_next_attempt_lies_ahead_and_never_more_than_five_hours(attempt: int, jitter: float) -> None:
    at = next_attempt(attempt, NOW, NEVER, jitter)
    assert at is not None
    assert timedelta(minutes=5) <= at - NOW <= timedelta(hours=5)

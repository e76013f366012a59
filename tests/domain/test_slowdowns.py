"""What answers make of a rate, and how it recovers; and the counts of days that rates go by."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine

from dispatcher.domain.rates import relay_days, slowdowns
from dispatcher.domain.rates.relay_days import Counted
from dispatcher.domain.rates.slowdowns import FULL_SPEED, Advice, Place

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
HERE = Place("relay.example.de:587", "google")
SLOWER = Advice("421 4.7.28 unusual rate")


def _heed(engine: Engine, advice: Advice, usual: int | None = 600, at: timedelta = timedelta(0)) -> bool:
    with engine.begin() as conn:
        return slowdowns.heed(conn, HERE, advice, usual, NOW + at)


def _rate(engine: Engine, usual: int | None = 600, at: timedelta = timedelta(0)) -> int | None:
    with engine.begin() as conn:
        return slowdowns.everywhere(conn)[HERE].rate(usual, NOW + at)


def test_a_rate_is_halved_and_doubles_every_five_minutes_until_it_is_what_it_was(engine: Engine) -> None:
    assert _heed(engine, SLOWER)
    assert _rate(engine) == 300
    assert _rate(engine, at=4 * MINUTE) == 300
    assert _rate(engine, at=5 * MINUTE) == 600
    assert _rate(engine, at=100 * HOUR) == 600


def test_the_same_words_heard_by_many_at_once_slow_it_down_once_and_again_only_later(engine: Engine) -> None:
    assert [_heed(engine, SLOWER, at=timedelta(seconds=s)) for s in (0, 1, 30, 59)] == [True, False, False, False]
    assert _rate(engine) == 300
    assert _heed(engine, SLOWER, at=MINUTE)
    assert _rate(engine, at=MINUTE) == 150
    assert _rate(engine, at=12 * MINUTE) == 600


def test_a_rate_without_a_limit_comes_down_from_full_speed_and_is_without_one_again(engine: Engine) -> None:
    _heed(engine, SLOWER, usual=None)
    assert _rate(engine, None) == FULL_SPEED // 2
    assert _rate(engine, None, at=5 * MINUTE) is None


def test_a_rate_does_not_fall_below_one_letter_a_minute(engine: Engine) -> None:
    for minute in range(20):
        _heed(engine, SLOWER, at=minute * MINUTE)
    assert _rate(engine, at=19 * MINUTE) == 1


def test_a_slow_rate_that_was_asked_for_holds_as_long_as_asked_and_then_recovers(engine: Engine) -> None:
    one = Advice("temporarily deferred", slow_to=1, hold=90 * MINUTE)
    _heed(engine, SLOWER)
    assert _heed(engine, one, at=timedelta(seconds=5))
    assert _rate(engine, at=89 * MINUTE) == 1
    assert not _heed(engine, one, at=30 * MINUTE)
    assert _rate(engine, at=106 * MINUTE) == 8


def test_a_stop_pauses_the_place_and_it_goes_on_at_half_its_rate(engine: Engine) -> None:
    assert _heed(engine, Advice("[TSS04]", stop=2 * HOUR))
    assert not _heed(engine, Advice("[TSS04]", stop=2 * HOUR), at=timedelta(seconds=10))
    assert not _heed(engine, SLOWER, at=10 * MINUTE)  # what was on its way when we stopped
    with engine.begin() as conn:
        stands = slowdowns.everywhere(conn)[HERE]
    assert (stands.paused_until, stands.reason) == (NOW + 2 * HOUR, "[TSS04]")
    assert _rate(engine, at=2 * HOUR) == 300
    assert _heed(engine, Advice("[TSS05]", stop=4 * HOUR), at=HOUR)
    assert not _heed(engine, Advice("[TSS04]", stop=2 * HOUR), at=HOUR + MINUTE)


def test_a_rate_does_not_recover_while_more_than_one_in_twenty_is_deferred(engine: Engine) -> None:
    _heed(engine, SLOWER, usual=6_000)
    with engine.begin() as conn:
        relay_days.count(conn, [Counted(HERE, sent=96, deferred=4)], NOW + 4 * MINUTE)
    assert _rate(engine, 6_000, at=5 * MINUTE) == 6_000
    _heed(engine, Advice("x", slow_to=100), usual=6_000, at=10 * MINUTE)
    with engine.begin() as conn:
        relay_days.count(conn, [Counted(HERE, sent=95, deferred=5)], NOW + 16 * MINUTE)
    assert _rate(engine, 6_000, at=20 * MINUTE) == 200
    assert _rate(engine, 6_000, at=21 * MINUTE) == 400


def test_what_was_learnt_of_a_provider_can_be_forgotten(engine: Engine) -> None:
    _heed(engine, SLOWER)
    with engine.begin() as conn:
        slowdowns.forget(conn, "google")
        assert slowdowns.everywhere(conn) == {}


def test_the_attempts_of_a_day_add_up_by_relay_and_provider(engine: Engine) -> None:
    yahoo = Place(HERE.relay, "yahoo")
    with engine.begin() as conn:
        relay_days.count(conn, [Counted(HERE, sent=1), Counted(yahoo, failed=2), Counted(HERE, deferred=3)], NOW)
        relay_days.count(conn, [Counted(HERE, sent=10, failed=1), Counted(yahoo)], NOW + HOUR)
        relay_days.count(conn, [Counted(HERE, sent=7)], NOW + 24 * HOUR)
        relay_days.count(conn, [], NOW)
        days = relay_days.history(conn, [HERE.relay, "another"], date(2026, 11, 24))
        later = relay_days.history(conn, [HERE.relay], date(2026, 11, 25))
    assert days == {
        HERE: {date(2026, 11, 24): Counted(HERE, 11, 3, 1), date(2026, 11, 25): Counted(HERE, 7)},
        yahoo: {date(2026, 11, 24): Counted(yahoo, failed=2)},
    }
    assert later == {HERE: {date(2026, 11, 25): Counted(HERE, 7)}}


@pytest.mark.parametrize(("sent", "deferred", "well"), [(0, 0, True), (96, 4, True), (95, 5, False), (0, 1, False)])
def test_a_day_went_well_if_fewer_than_one_in_twenty_was_deferred(sent: int, deferred: int, well: bool) -> None:
    assert Counted(HERE, sent, deferred).is_well_taken is well

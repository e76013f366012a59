"""The pacer: exact over two processes, all keys or none, and a new rate at once. The clock is the test's."""

from itertools import pairwise

import pytest
from sqlalchemy import Engine

from dispatcher.domain.rates import paces
from dispatcher.domain.rates.paces import Ask, Grant
from dispatcher.sending.pacing import Pacer

T = 1_800_000_000.0


def _supply(pacer: Pacer, engine: Engine, now: float) -> None:
    """Do what `supply` does, at a moment."""
    asked = pacer.wanted(now)
    if asked:
        with engine.begin() as conn:
            pacer.add(asked, paces.reserve(conn, asked, round(now * 1_000_000)), now)


def _taken(pacers: list[Pacer], engine: Engine, keys: list[str], begin: float, seconds: float) -> list[float]:
    """Take whatever can be had, looking every two milliseconds; give the moments."""
    moments = []
    for tick in range(round(seconds * 500)):
        now = begin + tick / 500
        for pacer in pacers:
            while not pacer.take(keys, now):
                moments.append(now)
            _supply(pacer, engine, now)
    return moments


@pytest.mark.parametrize("rate", [3.3, 50.0, 333.0])
def test_over_a_minute_two_processes_together_keep_the_rate_to_two_in_a_hundred(engine: Engine, rate: float) -> None:
    pacers = [Pacer(), Pacer()]
    for pacer in pacers:
        pacer.set_rates({"k": rate})
    moments = _taken(pacers, engine, ["k"], T, 60.0)
    assert len(moments) == pytest.approx(rate * 60, rel=0.02)
    for second in range(60):
        within = [m for m in moments if T + second <= m < T + second + 1]
        assert len(within) <= rate + max(2.0, rate * 0.02)


def test_permits_are_spaced_and_not_given_out_in_bursts(engine: Engine) -> None:
    pacer = Pacer()
    pacer.set_rates({"k": 20.0})
    moments = _taken([pacer], engine, ["k"], T, 5.0)
    assert all(later - earlier == pytest.approx(0.05, abs=0.005) for earlier, later in pairwise(moments[1:]))


def test_a_letter_takes_a_permit_under_every_key_or_under_none(engine: Engine) -> None:
    pacer = Pacer()
    pacer.set_rates({"relay:a": 100.0, "campaign:1": 10.0})
    both = _taken([pacer], engine, ["relay:a", "campaign:1"], T, 10.0)
    assert len(both) == pytest.approx(100, rel=0.02)
    relay_alone = _taken([pacer], engine, ["relay:a"], T + 10, 10.0)
    # What the campaign held up was not saved for later.
    assert len(relay_alone) == pytest.approx(1000, rel=0.03)
    assert len([m for m in relay_alone if m < T + 10.1]) <= 11 + 100  # at most the second that a permit keeps


def test_what_has_no_rate_costs_nothing_and_asks_for_nothing() -> None:
    pacer = Pacer()
    assert pacer.is_idle
    assert pacer.take(["relay:a", "campaign:1"], T) == 0.0
    pacer.set_rates({"campaign:2": 1.0})
    assert not pacer.is_idle
    assert pacer.take(["relay:a", "campaign:1"], T) == 0.0
    assert pacer.wanted(T) == {}


def test_what_nobody_takes_is_not_reserved_and_what_is_wanted_is_asked_for_once() -> None:
    low: list[float] = []
    pacer = Pacer(lambda: low.append(T))
    pacer.set_rates({"k": 100.0})
    assert pacer.wanted(T) == {}
    assert pacer.take(["k"], T) > 0
    assert low
    asked = pacer.wanted(T)
    assert asked == {"k": Ask(100.0, 25)}
    pacer.take(["k"], T)
    assert pacer.wanted(T) == {}
    pacer.add(asked, {"k": Grant(0.0, 25)}, T)
    low.clear()
    for number in range(25):
        assert pacer.take(["k"], T + number / 100) == 0.0
        assert bool(low) is (number >= 12)  # half of it is used: before it runs dry


def test_no_permit_is_used_before_its_moment() -> None:
    pacer = Pacer()
    pacer.set_rates({"k": 4.0})
    pacer.take(["k"], T)
    pacer.add(pacer.wanted(T), {"k": Grant(0.5, 1)}, T)
    assert pacer.take(["k"], T) == pytest.approx(0.5)
    assert pacer.take(["k"], T + 0.4) == pytest.approx(0.1)
    assert pacer.take(["k"], T + 0.5) == 0.0


def test_a_new_rate_holds_at_once_and_what_was_reserved_at_the_old_one_is_dropped() -> None:
    pacer = Pacer()
    pacer.set_rates({"k": 100.0})
    pacer.take(["k"], T)
    pacer.add(pacer.wanted(T), {"k": Grant(0.0, 25)}, T)
    assert pacer.take(["k"], T) == 0.0
    pacer.set_rates({"k": 100.0})
    assert pacer.take(["k"], T + 0.01) == 0.0
    pacer.set_rates({"k": 1.0})
    assert pacer.take(["k"], T + 0.02) > 0
    late = pacer.wanted(T + 0.02)
    assert late == {"k": Ask(1.0, 1)}
    pacer.set_rates({"k": 8.0})
    pacer.add(late, {"k": Grant(0.0, 1)}, T + 0.03)  # an answer to the rate before
    assert pacer.take(["k"], T + 0.03) > 0
    assert pacer.wanted(T + 0.03) == {"k": Ask(8.0, 2)}
    pacer.set_rates({})
    assert pacer.take(["k"], T + 0.04) == 0.0
    pacer.add({"k": Ask(8.0, 2)}, {"k": Grant(0.0, 2)}, T + 0.04)
    assert pacer.is_idle


def test_a_permit_that_nobody_used_in_time_is_gone() -> None:
    pacer = Pacer()
    pacer.set_rates({"k": 10.0})
    pacer.take(["k"], T)
    pacer.add(pacer.wanted(T), {"k": Grant(0.0, 2)}, T)
    assert pacer.take(["k"], T + 1.05) == 0.0  # the second of them: the first is over a second old
    assert pacer.take(["k"], T + 1.05) > 0


def test_a_permit_at_a_slow_rate_keeps_until_the_next_one_comes() -> None:
    pacer = Pacer()
    pacer.set_rates({"k": 1 / 60})
    pacer.take(["k"], T)
    pacer.add(pacer.wanted(T), {"k": Grant(0.0, 1)}, T)
    assert pacer.take(["k"], T + 59) == 0.0


def test_what_was_put_off_is_asked_for_again_in_time() -> None:
    pacer = Pacer()
    pacer.set_rates({"k": 1 / 60})
    pacer.take(["k"], T)
    pacer.add(pacer.wanted(T), {"k": Grant(60.0, 0)}, T)
    assert pacer.take(["k"], T) == pytest.approx(58.0)
    assert pacer.wanted(T + 57) == {}
    assert pacer.take(["k"], T + 58) > 0
    assert pacer.wanted(T + 58) == {"k": Ask(1 / 60, 1)}


def test_when_nobody_could_be_asked_it_asks_again_in_a_second() -> None:
    pacer = Pacer()
    pacer.set_rates({"k": 10.0})
    pacer.take(["k"], T)
    pacer.add(pacer.wanted(T), {}, T)
    pacer.take(["k"], T)
    assert pacer.wanted(T + 0.9) == {}
    pacer.take(["k"], T + 1)
    assert pacer.wanted(T + 1) == {"k": Ask(10.0, 2)}

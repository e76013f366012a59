"""Permits out of the database: never two at one moment, never a burst, and none that lies too far ahead."""

import threading

import pytest
from sqlalchemy import Engine, select, update

from dispatcher.db.tables import pace
from dispatcher.domain.rates import paces
from dispatcher.domain.rates.paces import Ask, Grant

T = 1_800_000_000_000_000  # microseconds
SECOND = 1_000_000


def _ask(engine: Engine, rate: float, permits: int, at: float = 0.0, key: str = "k") -> Grant:
    with engine.begin() as conn:
        return paces.reserve(conn, {key: Ask(rate, permits)}, T + round(at * SECOND))[key]


def test_permits_follow_one_another_at_the_rate_whoever_asks(engine: Engine) -> None:
    assert _ask(engine, 10, 2) == Grant(0.0, 2)
    assert _ask(engine, 10, 3) == Grant(0.2, 3)
    assert _ask(engine, 10, 1, at=0.1) == Grant(0.4, 1)


def test_a_pause_makes_no_burst(engine: Engine) -> None:
    _ask(engine, 10, 1)
    assert _ask(engine, 10, 5, at=3600) == Grant(0.0, 5)
    assert _ask(engine, 10, 1, at=3600) == Grant(0.5, 1)


def test_what_lies_too_far_ahead_is_not_reserved_and_its_moment_is_told(engine: Engine) -> None:
    assert _ask(engine, 1 / 60, 1) == Grant(0.0, 1)
    assert _ask(engine, 1 / 60, 1, at=1) == Grant(59.0, 0)
    assert _ask(engine, 1 / 60, 1, at=57) == Grant(3.0, 0)
    assert _ask(engine, 1 / 60, 1, at=58) == Grant(2.0, 1)
    assert _ask(engine, 1 / 60, 1, at=59) == Grant(61.0, 0)


def test_another_rate_counts_from_the_last_permit_on(engine: Engine) -> None:
    _ask(engine, 1 / 60, 1)
    assert _ask(engine, 10, 1, at=0.05) == Grant(0.05, 1)
    assert _ask(engine, 1, 1, at=0.1) == Grant(1.0, 1)


def test_each_key_has_a_pace_of_its_own(engine: Engine) -> None:
    with engine.begin() as conn:
        asks = {"relay:b": Ask(10, 2), "campaign:1": Ask(5, 1)}
        assert paces.reserve(conn, asks, T) == {"relay:b": Grant(0.0, 2), "campaign:1": Grant(0.0, 1)}
        assert paces.reserve(conn, asks, T) == {"relay:b": Grant(0.2, 2), "campaign:1": Grant(0.2, 1)}


def test_a_clock_that_was_put_back_stops_nobody(engine: Engine) -> None:
    _ask(engine, 10, 1)
    with engine.begin() as conn:
        conn.execute(update(pace).values(last_us=T + 3600 * SECOND))
    assert _ask(engine, 10, 1) == Grant(0.0, 1)
    assert _ask(engine, 10, 1) == Grant(0.1, 1)


def test_without_a_moment_given_the_databases_own_counts(engine: Engine) -> None:
    with engine.begin() as conn:
        first = paces.reserve(conn, {"k": Ask(1000, 250)})["k"]
        second = paces.reserve(conn, {"k": Ask(1000, 250)})["k"]
    assert first == Grant(0.0, 250)
    assert second.wait_s == pytest.approx(0.25, abs=0.1)


def test_many_who_ask_at_once_get_permits_of_their_own(engine: Engine) -> None:
    waits: list[float] = []

    def work() -> None:
        waits.extend(_ask(engine, 100, 5).wait_s for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(waits) == pytest.approx([chunk * 0.05 for chunk in range(40)])
    with engine.begin() as conn:
        assert conn.execute(select(pace.c.last_us)).scalar_one() == T + 199 * 10_000

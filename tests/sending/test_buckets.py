"""Permits out of the broker, and out of the database while the broker is away; over real processes."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, func, select

from dispatcher.db.clock import steady
from dispatcher.db.tables import pace
from dispatcher.domain.rates.paces import Ask
from dispatcher.sending.buckets import Buckets
from tests.journeys.house import wait_for
from tests.processes import Forked
from tests.sending.taker import take_and_tell
from tests.valkey import Valkey, running_valkey

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with running_valkey(tmp_path) as made:
        yield made


@pytest.fixture
def buckets(engine: Engine, valkey: Valkey) -> Iterator[Buckets]:
    made = Buckets(engine, valkey.url, away=0.2)
    yield made
    made.close()


def _in_database(engine: Engine) -> int:
    with engine.begin() as conn:
        return int(conn.execute(select(func.count()).select_from(pace)).scalar_one())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_permits_of_the_broker_follow_one_another_at_the_rate(buckets: Buckets, engine: Engine) -> None:
    began = steady()
    first = buckets.reserve({"a": Ask(100, 25), "b": Ask(1 / 60, 1)})
    second = buckets.reserve({"b": Ask(1 / 60, 1), "a": Ask(100, 25)})
    took = steady() - began
    assert (first["a"].wait_s, first["a"].permits) == (0.0, 25)
    assert max(0.249 - took, 0.0) <= second["a"].wait_s <= 0.251
    assert (first["b"].wait_s, first["b"].permits) == (0.0, 1)
    assert second["b"].permits == 0
    assert 59.99 - took <= second["b"].wait_s <= 60.01
    faster = buckets.reserve({"b": Ask(1000, 1)})["b"]
    assert (faster.permits, faster.wait_s) == (1, pytest.approx(0.0, abs=0.001))
    assert _in_database(engine) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_the_broker_keeps_goes_by_itself_and_a_clock_put_back_stops_nobody(
    buckets: Buckets, valkey: Valkey
) -> None:
    buckets.reserve({"a": Ask(100, 25)})
    with Redis.from_url("unix://" + valkey.url.removeprefix("redis+socket://")) as client:
        assert 86_400 < int(client.ttl("dispatcher:pace:a")) <= 2 * 86_400
        client.set("dispatcher:pace:a", f"{float(client.get('dispatcher:pace:a')) + 3.6e9:.0f}")
    assert buckets.reserve({"a": Ask(100, 25)})["a"].wait_s == 0.0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_many_who_ask_the_broker_at_once_get_permits_of_their_own(buckets: Buckets) -> None:
    granted: list[int] = []

    def work() -> None:
        granted.extend(buckets.reserve({"a": Ask(1, 1)})["a"].permits for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    began = steady()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 3 <= sum(granted) <= 4 + steady() - began  # what lies within two seconds, and what those 200 calls took


def test_while_the_broker_is_away_the_database_gives_permits_and_then_the_broker_again(
    buckets: Buckets, valkey: Valkey, engine: Engine
) -> None:
    assert buckets.reserve({"a": Ask(10, 1)})["a"].permits == 1
    valkey.end()
    assert buckets.reserve({"a": Ask(10, 1)})["a"].permits == 1
    assert buckets.reserve({"a": Ask(10, 1)})["a"].wait_s == pytest.approx(0.1, abs=0.1)
    assert _in_database(engine) == 1
    valkey.start()

    def broker_answers() -> bool:
        with Redis.from_url("unix://" + valkey.url.removeprefix("redis+socket://")) as client:
            return buckets.reserve({"b": Ask(1000, 1)}) != {} and bool(client.exists("dispatcher:pace:b"))

    wait_for(broker_answers, "permits of the broker")


@pytest.mark.parametrize("broker", ["there", "away"])
def test_two_processes_together_keep_the_rate(
    engine: Engine, database_url: str, valkey: Valkey, broker: str, tmp_path: Path
) -> None:
    if broker == "away":
        valkey.end()
    rate, seconds = 200, 3.0
    said = [tmp_path / name for name in ("first", "second")]
    processes = [Forked(take_and_tell, database_url, valkey.url, rate, seconds, path) for path in said]
    assert [process.wait(60) for process in processes] == [0, 0]
    told = [[float(line) for line in path.read_text().split()] for path in said]
    moments = sorted(moment for _, *theirs in told for moment in theirs)
    assert _in_database(engine) == int(broker == "away")
    # From the first question on, not the first permit: whoever was kept waiting for a core by then had several due.
    took = moments[-1] - min(began for began, *_ in told)
    assert took > 2.0
    assert len(moments) <= rate * (took + 0.1) * 1.02  # who is woken late takes at once what was due meanwhile
    assert len(moments) >= rate * took * 0.6  # on a busy machine a process misses some; each alone would have half

"""Scenes with a whole house: `dispatcher worker` as it is started in production, with its Celery workers and a broker.

The lease is production's, a minute; so where everything that could hold one is dead, the clock is moved.
"""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path

import psutil
import redis

from dispatcher.settings import broker_socket, load
from tests.journeys.house import RunningHouse, kill_tree, sender_of, wait_for
from tests.torture.faults import Scene, on, reach
from tests.torture.ground import Databases, Ground
from tests.torture.scenes import Result, result_of
from tests.torture.witness import Weather
from tests.valkey import Valkey

PEOPLE = 900
_WEATHER = Weather(delay=0.01)
_BOTH = ("sqlite", "postgresql")


@contextmanager
def _house(databases: Databases, folder: Path) -> Iterator[tuple[Ground, RunningHouse, Valkey]]:
    with on(databases, folder, _WEATHER, people=PEOPLE) as ground:
        broker = Valkey(folder)
        broker.start()
        as_released = {"DISPATCHER_PUBLIC_URL": load(ground.environ, folder).public_url}  # the release is bound to it
        house = RunningHouse(folder, ground.url, ground.witness, lanes=ground.lanes, extra=as_released)  # type: ignore[arg-type]
        house.start("worker", "--concurrency", "1")
        try:
            yield ground, house, broker
        finally:
            house.end()
            broker.end()


def flushed(databases: Databases, folder: Path) -> Result:
    """FLUSHALL, several times: every message and every queue is gone."""
    with _house(databases, folder) as (ground, house, _):
        with redis.Redis(unix_socket_path=str(broker_socket(house.settings))) as client:
            for letters in (1, 150, 300):
                reach(ground, letters)
                client.flushall()
        return _end(ground, "FLUSHALL")


def killed_broker(databases: Databases, folder: Path) -> Result:
    """kill -9 of the broker, and a new one after a while."""
    with _house(databases, folder) as (ground, house, broker):
        reach(ground, 100)
        _kill_broker(house)
        reach(ground, 250)
        broker.start()
        ground.deaths += 1  # a Celery worker may end when its broker does
        return _end(ground, "broker killed, and back")


def stopped_broker(databases: Databases, folder: Path) -> Result:
    """The broker ends in good order, and comes back."""
    with _house(databases, folder) as (ground, _, broker):
        reach(ground, 100)
        broker.end()
        reach(ground, 250)
        broker.start()
        ground.deaths += 1
        return _end(ground, "broker stopped, and back")


def gone_broker(databases: Databases, folder: Path) -> Result:
    """The broker ends in the middle, for good."""
    with _house(databases, folder) as (ground, _, broker):
        reach(ground, 100)
        broker.end()
        ground.deaths += 1
        return _end(ground, "broker gone for good")


def torn_house(databases: Databases, folder: Path) -> Result:
    """kill -9 of random parts of a running house: the sender, a Celery worker, the watcher with all its children."""
    drawn, kills = random.Random(str(folder)), 0
    with _house(databases, folder) as (ground, house, _):
        for part in ("sender", "celery", "everything"):
            reach(ground, 100 * (kills + 1))
            wait([], drawn.uniform(0.0, 0.3))
            kills += _tear(house, part)
            ground.deaths += 1
            ground.let_leases_end()
        return _end(ground, "parts of the house killed", kills)


SCENES = [
    Scene("FLUSHALL", _BOTH, flushed),
    Scene("broker: kill -9, and back", _BOTH, killed_broker),
    Scene("broker: stopped, and back", _BOTH, stopped_broker),
    Scene("broker: gone for good in the middle", _BOTH, gone_broker),
    Scene("kill -9 of parts of `dispatcher worker`", _BOTH, torn_house),
]


def _end(ground: Ground, name: str, kills: int = 0) -> Result:
    try:
        wait_for(lambda: ground.state() == "sent", "the end of the campaign", 90.0)
    except AssertionError:
        ground.crashes.append(f"not through after 90 s: {ground.standing()}")
    return result_of(ground.evidence(name), kills=kills)


def _kill_broker(house: RunningHouse) -> None:
    socket = str(broker_socket(house.settings))
    brokers = [p for p in psutil.Process().children() if socket in " ".join(p.cmdline())]
    assert len(brokers) == 1
    brokers[0].kill()
    brokers[0].wait(10)


def _tear(house: RunningHouse, part: str) -> int:
    """Kill a part; give the number of processes killed that may have been sending."""
    worker = house.processes[-1]
    sender = sender_of(worker)
    if part == "everything":
        kill_tree(worker.pid)
        worker.wait()
        house.processes.remove(worker)
        house.start("worker", "--concurrency", "1")
        return 1
    if sender is None:
        return 0
    victim = sender if part == "sender" else sender.parent()
    if victim is not None:
        victim.send_signal(signal.SIGKILL)
    return 1

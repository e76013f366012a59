"""The PostgreSQL server of tests and measurements goes with whoever started it, however they went."""

import subprocess
import sys
from pathlib import Path

import psutil

from dispatcher.bench import postgres
from tests.journeys.house import wait_for

STARTS_ONE = """
from dispatcher.bench.postgres import PostgresServer
server = PostgresServer()
print(server.pid, server._guard.pid, server.folder, flush=True)
input()
"""


def test_a_server_whose_starter_is_killed_goes_and_leaves_nothing() -> None:
    with started() as starter:
        pid, _, folder = said(starter)
        assert psutil.pid_exists(pid)
        starter.kill()
    wait_for(lambda: not psutil.pid_exists(pid) and not folder.exists(), "its end")


def test_a_server_whose_starter_and_guard_are_killed_is_taken_away_by_whoever_starts_next(postgres_folder: str) -> None:
    with started() as starter:
        pid, guard, folder = said(starter)
        postgres.sweep()
        assert psutil.pid_exists(pid)  # it has an owner
        psutil.Process(guard).kill()
        starter.kill()
    postgres.sweep()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()
    assert Path(postgres_folder).exists()  # this run's


def started() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(starter: subprocess.Popen[str]) -> tuple[int, int, Path]:
    """Give the process ids of server and guard, and the folder."""
    assert starter.stdout is not None
    pid, guard, folder = starter.stdout.readline().split(maxsplit=2)
    return int(pid), int(guard), Path(folder.strip())

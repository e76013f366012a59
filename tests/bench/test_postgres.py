"""The PostgreSQL server of tests and measurements goes with whoever started it, however they went."""

import subprocess
import sys
from pathlib import Path

import psutil

from tests.journeys.house import wait_for

STARTS_ONE = """
from dispatcher.bench.postgres import PostgresServer
server = PostgresServer()
print(server.pid, server.folder, flush=True)
input()
"""


def test_a_server_whose_starter_is_killed_goes_and_leaves_nothing() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid, _, folder = starter.stdout.readline().strip().partition(" ")
        assert psutil.pid_exists(int(pid))
        starter.kill()
    wait_for(lambda: not psutil.pid_exists(int(pid)) and not Path(folder).exists(), "its end")

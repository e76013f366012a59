"""A listener that is told to end, ends."""

import os
import signal
from pathlib import Path

import redis

from dispatcher.settings import environment
from dispatcher.steady import steady
from dispatcher.worker.programs import Program, of_a_worker
from tests.journeys.house import KEYS, wait_for
from tests.valkey import running_valkey


def test_a_listener_that_is_told_to_end_many_times_at_once_ends(tmp_path: Path) -> None:
    around = {**environment(), "DISPATCHER_VAR": str(tmp_path), "DISPATCHER_SECRET_KEYS": KEYS}
    listener = Program("listener", of_a_worker("listener", "waited", "waited", "1"), around, tmp_path / "lines")
    with running_valkey(tmp_path) as valkey, redis.Redis.from_url(valkey.url.replace("redis+socket", "unix")) as asking:
        listener.start()
        assert listener.process is not None
        try:
            wait_for(lambda: any(client["cmd"] == "brpop" for client in asking.client_list()), "the listener")
            until = steady() + 20
            while listener.is_running and steady() < until:  # some come while one is being heeded
                os.kill(listener.process.pid, signal.SIGTERM)
            assert listener.process.returncode == 0
        finally:
            listener.process.kill()
            listener.process.wait()

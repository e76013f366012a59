"""Processes that start warm and are killed: forked off a server in which everything is imported (`FORKS`)."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.torture.worker", "tests.torture.witness", "tests.torture.leavers"])
KILLED = -signal.SIGKILL


class Forked:
    """One process. It is ours: killed when we say so, and at our own end."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._process = FORKS.Process(target=target, args=arguments, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    @property
    def code(self) -> int | None:
        """Give the exit code; negative: the signal it died of."""
        return self._process.exitcode

    @property
    def sentinel(self) -> int:
        """Give what `multiprocessing.connection.wait` waits for."""
        return self._process.sentinel

    def kill(self) -> None:
        """SIGKILL, also when it is stopped; return when it is gone."""
        self._process.kill()
        self._process.join()

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            if self._process.exitcode is None:
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; None: it did not end in time."""
        self._process.join(seconds)
        return self._process.exitcode

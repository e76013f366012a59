"""Processes that start warm and are killed: forked off a server in which everything is imported (`FORKS`).

What runs in them is the production code. To import it takes a second, and most commands take less.
"""

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dispatcher.cli import main as command_line

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.torture.worker",
        "tests.torture.witness",
        "tests.torture.leavers",
        *sorted({f"dispatcher.cli.{file}" for file, _ in command_line._COMMANDS.values()}),
    ]
)
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

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end; None: it did not end in time."""
        self._process.join(seconds)
        return self._process.exitcode


def command(environ: Mapping[str, str], folder: Path, words: Sequence[str], said: Path, complained: Path) -> None:
    """Be `dispatcher WORDS`, started in a folder with this environment; what is printed goes into two files."""
    gc.freeze()  # what the fork inherited: a round over it would copy all of its memory
    lead(1, said)
    lead(2, complained)
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("DISPATCHER_")]:
        del os.environ[name]
    os.environ.update(environ)
    sys.argv = ["dispatcher", *words]
    command_line.main()


def lead(stream: int, path: Path) -> None:
    """Let a stream (1: standard output, 2: errors) lead to a file, for every piece of code that has it already."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, stream)
    os.close(file)

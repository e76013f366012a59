"""Processes that start warm and are killed: forked off a server in which everything is imported (`FORKS`).

What runs in them is the production code. To import it takes a second, and most commands take less.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Engine

from dispatcher.cli import main as command_line
from dispatcher.worker import intake, listener, programs, sender, watch
from tests.databases import never_wait_for_the_disk

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.databases",
        "tests.torture.worker",
        "celery.apps.worker",
        "celery.bin.worker",
        # What they load only once they run: a third of the time of a command on PostgreSQL.
        "psycopg",
        "celery.app.control",
        "celery.events",
        "celery.worker.consumer",
        "kombu.transport.redis",
        "alembic.command",
        "anyio._backends._asyncio",
        "tests.torture.witness",
        "tests.torture.leavers",
        *sorted({f"dispatcher.cli.{file}" for file, _ in command_line._COMMANDS.values()}),
    ]
)
_PR_SET_NAME = 15
_WARM: dict[str, Callable[..., int]] = {"intake": intake.main, "listener": listener.main, "sender": sender.main}
KILLED = -signal.SIGKILL


class Forked:
    """One process. It is ours: killed when we say so, and at our own end."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._process = FORKS.Process(target=_be_forked, args=(target, *arguments), daemon=True)
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


def _be_forked(target: Callable[..., None], *arguments: Any) -> None:
    never_wait_for_the_disk()  # to be killed loses nothing that was handed to the system
    target(*arguments)


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
    programs.subprocess.Popen = _Warm  # type: ignore[misc]
    programs.become = _become
    command_line.main()


def _become(argv: list[str]) -> NoReturn:
    """Go on as the watcher, warm."""
    assert argv[1:4] == ["-m", "dispatcher.worker", "watch"]
    sys.exit(watch.main(*argv[4:]))


class _Warm(subprocess.Popen[bytes]):
    """What a process like ours starts. A worker's programs are forked off it, so that they start warm, too; unless
    there are threads, which no fork survives: whoever starts one again starts it cold.
    """

    def _execute_child(self, argv: Any, executable: Any, preexec: Any, *rest: Any) -> None:
        if argv[1:3] != ["-m", "dispatcher.worker"] or argv[3] not in _WARM or threading.active_count() > 1:
            super()._execute_child(argv, executable, preexec, *rest)  # type: ignore[misc]
            return
        for engine in [it for it in gc.get_objects() if isinstance(it, Engine)]:
            engine.dispose()  # no connection, and above all none of SQLite's, may go through a fork
        self._child_created = True
        pipes = rest[7:13]  # the ends for us and for the child: of its input, its output and its errors
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            if preexec is not None:
                preexec()
            _be(argv[3:], pipes)
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def _be(words: Sequence[str], pipes: Sequence[int]) -> NoReturn:
    """Be `python -m dispatcher.worker WORDS`, and be known by the second of them."""
    code = 1
    for end, stream in zip((pipes[0], pipes[3]), (0, 1), strict=True):
        if end != -1:
            os.dup2(end, stream)
    for end in pipes:
        if end != -1:
            os.close(end)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_NAME, words[1].encode(), 0, 0, 0)
        code = _WARM[words[0]](*words[1:])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def several(environ: Mapping[str, str], folder: Path, commands: Sequence[tuple[Sequence[str], Path]]) -> None:
    """Be one command after the other, each with the file for all that it says; the first that fails is the last."""
    for words, said in commands:
        try:
            command(environ, folder, words, said, said)
        except SystemExit as end:
            if end.code:
                raise
        sys.stdout.flush()


def program(text: str, *words: str) -> None:
    """Be a Python program with these words on its command line."""
    sys.argv = ["-c", *words]
    exec(compile(text, "program", "exec"), {"__name__": "__main__"})


def lead(stream: int, path: Path) -> None:
    """Let a stream (1: standard output, 2: errors) lead to a file, for every piece of code that has it already."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, stream)
    os.close(file)

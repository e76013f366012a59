"""Programs that are kept running: started, started again when they die, ended when we end.

What must stay true: nothing we started outlives us. On Linux the kernel sees to it even when we are killed.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import structlog

from dispatcher.steady import steady

log = structlog.get_logger()
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds before a program that died is started again
_STEADY_AFTER = 30.0  # seconds after which a program counts as running well
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Program:
    """One program: how to start it, and how it fares."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    output: Path | None = None  # where its lines go; None: where ours go
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    start_again_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it."""
        with contextlib.ExitStack() as stack:
            sink = stack.enter_context(self.output.open("ab")) if self.output else None
            self.process = subprocess.Popen(  # noqa: S603  (our own programs only)
                self.argv,
                env=dict(self.environment),
                stdout=sink,
                stderr=sink,
                preexec_fn=die_with_parent,  # noqa: PLW1509
                process_group=0,  # Ctrl-C is for us; we end them in order
            )
        self.started_at = steady()

    @property
    def is_running(self) -> bool:
        """Say whether it runs."""
        return self.process is not None and self.process.poll() is None

    def look_after(self) -> None:
        """Start it again if it died; the more often it did, the later."""
        if self.process is None or self.is_running:
            return
        now = steady()
        if not self.start_again_at:
            self.deaths = 1 if now - self.started_at > _STEADY_AFTER else self.deaths + 1
            pause = min(_FIRST_PAUSE * 2 ** (self.deaths - 1), _LONGEST_PAUSE)
            self.start_again_at = now + pause
            log.warning("program.died", program=self.name, code=self.process.returncode, again_in_s=pause)
        elif now >= self.start_again_at:
            self.start_again_at = 0.0
            self.start()

    def end(self, patience: float) -> None:
        """Ask it to end, and after `patience` seconds make it."""
        self.ask_to_end()
        self.wait_for_end(patience)

    def ask_to_end(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.is_running:
            self.process.terminate()

    def wait_for_end(self, patience: float) -> None:
        """Wait until it has ended, and after `patience` seconds make it."""
        if self.process is None:
            return
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            log.warning("program.killed", program=self.name)
            self.process.kill()
            self.process.wait()


def end_all(programs: Sequence[Program], patience: float = 25.0) -> None:
    """End programs, the last started first; all are asked before any is waited for."""
    for program in reversed(programs):
        program.ask_to_end()
    for program in reversed(programs):
        program.wait_for_end(patience)


def become(argv: list[str]) -> NoReturn:
    """Go on as this program, which has our number and none of what we loaded."""
    os.execv(argv[0], argv)  # noqa: S606  (our own programs only)


def ourselves(*arguments: str) -> list[str]:
    """Give the command line that starts `dispatcher` with this same Python."""
    return [sys.executable, "-m", "dispatcher", *arguments]


def of_a_worker(program: str, *arguments: str) -> list[str]:
    """Give the command line that starts one of a worker's programs with this same Python."""
    return [sys.executable, "-m", "dispatcher.worker", program, *arguments]


def die_with_parent() -> None:
    """Ask the kernel to tell us to end when the process that started us is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

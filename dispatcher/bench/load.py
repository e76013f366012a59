"""The server at the other end, and the bare load generator beside which a campaign is measured.

Postfix's smtp-sink and smtp-source where they are installed. Without smtp-sink our own takes its place; without
smtp-source there is no ratio.
"""

import os
import shutil
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from dispatcher.db.clock import steady
from dispatcher.errors import PartUnavailable
from dispatcher.settings import environment

_SESSIONS = 20
_START_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Sink:
    """A server that takes every letter: its port, process and kind."""

    port: int
    pid: int
    kind: str


@contextmanager
def sink(delay: float = 0.0) -> Iterator[Sink]:
    """Run a sink in a process of its own; with a `delay` (seconds) always ours."""
    port = free_port()
    theirs = None if delay else find("smtp-sink")
    if theirs is not None:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
        argv, kind = [theirs, *user, f"127.0.0.1:{port}", "1024"], "smtp-sink"
    else:
        argv = [sys.executable, "-m", "dispatcher.bench.sink", "--port", str(port), "--delay", str(delay)]
        kind = "our own"
    process = subprocess.Popen(  # noqa: S603
        argv,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield Sink(port, process.pid, kind)
    finally:
        process.kill()
        process.wait()


def source_rate(target: Sink, octets: int, messages: int) -> float | None:
    """Have smtp-source send messages of the same size to the same sink; give messages a second. None: not installed."""
    program = find("smtp-source")
    if program is None:
        return None
    argv = [program, "-d", "-s", str(_SESSIONS), "-l", str(octets), "-m", str(messages)]
    argv += ["-f", "a@example.com", "-t", "b@example.com", f"127.0.0.1:{target.port}"]
    began = steady()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603
    return messages / (steady() - began)


def held_s(target: Sink) -> float:
    """Give the seconds for which a sink of our own, with a delay, held its replies in truth, in the mean."""
    with smtplib.SMTP("127.0.0.1", target.port) as line:
        return float(line.help().split()[0]) / 1000


def find(program: str) -> str | None:
    """Find one of Postfix's programs, which lie outside most people's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/libexec/postfix")


def free_port() -> int:
    """Give a port on which nobody listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    until = steady() + _START_LIMIT
    while steady() < until:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise PartUnavailable(f"the sink on port {port} does not answer", "see whether the port may be used")

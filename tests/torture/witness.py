"""The relay of torture: records what it accepts (tests/relay.py), and makes and counts the weather it is told to.

It runs in a process of its own, so that it outlives every worker. Two files are its word: the record, a line for each
letter before the first octet of its 250, and the faults, a line for each fault before it is made.
"""

import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.processes import FORKS, Forked
from tests.relay import ScriptedRelay
from tests.relay_script import Accepted, Act, Ask


@dataclass(frozen=True, slots=True)
class Fault:
    """At `verb`, a share of the times, at most `most` times: do this instead of the usual."""

    verb: str
    act: Act
    share: float = 1.0
    most: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Weather:
    """What a relay does. `delay`: seconds before each usual answer to a dot."""

    faults: tuple[Fault, ...] = ()
    delay: float = 0.0
    seed: int = 1


class Script:
    """The weather as a script of the relay; every fault is written down before it is made."""

    def __init__(self, weather: Weather, faults: Path) -> None:
        self._weather = weather
        self._random = random.Random(weather.seed)
        self._made = [0] * len(weather.faults)
        self._usual = Act(delay=weather.delay) if weather.delay else None
        self._file = os.open(faults, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, ask: Ask) -> Act | None:
        for number, fault in enumerate(self._weather.faults):
            if fault.verb != ask.verb or self._made[number] >= fault.most or self._random.random() >= fault.share:
                continue
            self._made[number] += 1
            # At BODY the dot may have been written: a body of usual size shares one write with it.
            is_lost = ask.verb in {"DOT", "BODY"} and fault.act.silent
            row = {"verb": ask.verb, "recipient": ask.recipient, "unanswered_dot": is_lost, "at": time.monotonic()}
            os.write(self._file, (json.dumps(row) + "\n").encode())
            return fault.act
        return self._usual if ask.verb == "DOT" else None


@dataclass
class Witness:
    """The relay's process, and what it says. A new one may take the port of one that was ended."""

    folder: Path
    weather: Weather = field(default_factory=Weather)
    port: int = 0
    _forked: Forked | None = None

    def __enter__(self) -> "Witness":
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        ours, theirs = FORKS.Pipe()
        self._forked = Forked(serve, self.weather, self.folder, self.port, theirs)
        theirs.close()
        assert ours.poll(20), "the witness did not start"
        self.port = int(ours.recv())
        ours.close()

    def end(self) -> None:
        """Break all connections and close the port."""
        assert self._forked is not None
        self._forked.kill()

    def url(self, **options: int | float) -> str:
        """Give the URL for settings."""
        return f"smtp://127.0.0.1:{self.port}?tls=none" + "".join(f"&{name}={value}" for name, value in options.items())

    def accepted(self) -> list[Accepted]:
        return [Accepted.from_row(row) for row in rows_of(self.folder / "accepted.jsonl")]

    def count(self) -> int:
        """Say how many letters were accepted so far."""
        path = self.folder / "accepted.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def unanswered_dots(self) -> int:
        """Say how many dots it left without an answer, on purpose."""
        return sum(row["unanswered_dot"] for row in self.faults())

    def faults(self) -> list[dict[str, Any]]:
        return rows_of(self.folder / "faults.jsonl")


def serve(weather: Weather, folder: Path, port: int, ready: Connection) -> None:
    """Serve until killed, or until whoever started it is gone. Runs in the relay's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the workers first
    script = Script(weather, folder / "faults.jsonl")
    relay = ScriptedRelay(
        script=script,
        record=folder / "accepted.jsonl",
        keep_raw=False,
        keep_lines=False,
        keep_accepted=False,
        port=port,
    )
    with relay:
        ready.send(relay.port)
        ready.close()
        starter = parent_process()
        assert starter is not None
        starter.join()


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; a last line that is still being written is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]

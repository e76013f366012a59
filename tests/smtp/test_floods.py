"""Servers that stream without end: whatever they stream, and wherever, a line's memory stays small."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.raw_server import Flood, Hear, Move, RawServer
from tests.smtp.nonsense import BANNER, INVITED

LINES = 4
A_LINE = 1024  # KiB that a line may take at its peak: a read of 256 KiB, and what is made of it

ROOT = Path(__file__).resolve().parent.parent.parent

STREAMS = {
    "a line": b"250 " + b"x" * 65536,
    "lines": b"250-x\r\n" * 8192,
    "different lines": b"".join(b"250-%d\r\n" % number for number in range(8192)),
    "replies": b"250 ok\r\n" * 8192,
    "different replies": b"".join(b"250 %d\r\n" % number for number in range(8192)),
    "nonsense": b"\xff\x00\r\n" * 16384,
}
PLACES: dict[str, tuple[Move, ...]] = {"EHLO": (BANNER, Hear(b"EHLO")), "the dot": INVITED}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_server_that_streams_without_end_does_not_fill_the_memory(loop: str) -> None:
    cases = [f"{stream} to {place}" for place in PLACES for stream in STREAMS]
    with ExitStack() as servers:
        scripts = [(*moves, Flood(stream)) for moves in PLACES.values() for stream in STREAMS.values()]
        ports = [str(servers.enter_context(RawServer(script)).port) for script in scripts]
        command = [sys.executable, "-m", "tests.smtp.flooded", str(LINES), loop, *ports]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    took = {case: line.split() for case, line in zip(cases, said.splitlines(), strict=True)}
    assert {case: words for case, words in took.items() if max(map(int, words)) >= LINES * A_LINE} == {}

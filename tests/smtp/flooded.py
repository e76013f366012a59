"""A child process that sends letters to servers that flood it, and says what memory each took.

    python -m tests.smtp.flooded LINES asyncio|uvloop PORT ...

For each port it prints a line: the peak of what was traced, and by how much what is resident grew, in KiB.
LINES connections at once, after one to warm up; each is answered by whatever listens at PORT, until all have ended.
"""

import asyncio
import gc
import re
import sys
import tracemalloc
from pathlib import Path

import uvloop

from tests.smtp.nonsense import LIMITS, relay_at, send_one

_ITSELF = Path("/proc/self")
_FORGET_PEAK = "5"  # see proc(5), clear_refs


async def _send(port: int, lines: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(lines):
            group.create_task(send_one(relay_at(port, timeouts=LIMITS), size=10_000))


def _resident(what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB$", (_ITSELF / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def _measure(runner: asyncio.Runner, port: int, lines: int) -> str:
    runner.run(_send(port, 1))
    gc.collect()
    (_ITSELF / "clear_refs").write_text(_FORGET_PEAK)
    resident = _resident("VmRSS")
    runner.run(_send(port, lines))
    grown = _resident("VmHWM") - resident
    tracemalloc.start()
    runner.run(_send(port, lines))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return f"{peak // 1024} {grown}\n"


def main(lines: int, loop: str, ports: list[int]) -> None:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        for port in ports:
            sys.stdout.write(_measure(runner, port, lines))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], [int(port) for port in sys.argv[3:]])

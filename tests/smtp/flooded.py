"""A child process that sends letters to a server that floods it, and says what memory that took.

    python -m tests.smtp.flooded PORT LINES [asyncio|uvloop]     ->  "traced peak in KiB, resident growth in KiB"

LINES connections at once, after one to warm up; each is answered by whatever listens at PORT, until all have ended.
"""

import asyncio
import gc
import resource
import sys
import tracemalloc

import uvloop

from tests.smtp.nonsense import relay_at, send_one


async def _send(port: int, lines: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(lines):
            group.create_task(send_one(relay_at(port), size=10_000))


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(port: int, lines: int, loop: str) -> str:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_send(port, 1))
        gc.collect()
        resident = _resident()
        runner.run(_send(port, lines))
        grown = _resident() - resident
        tracemalloc.start()
        runner.run(_send(port, lines))
        _, peak = tracemalloc.get_traced_memory()
    return f"{peak // 1024} {grown}"


if __name__ == "__main__":
    sys.stdout.write(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]) + "\n")

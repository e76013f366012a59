"""The event loop keeps to one core, and leaves it to whoever else wants it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from threading import Thread

import pytest
from sqlalchemy import create_engine

from dispatcher.sending import core
from dispatcher.sending.clerk import Clerk
from dispatcher.steady import steady

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="this machine has one core for us"
)
_BUSY = """
import os
os.sched_setaffinity(0, {int(input())})
parent = os.getppid()
print("busy", flush=True)
while os.getppid() == parent: pass
"""


def on_a_thread(work: Callable[[], object]) -> None:
    """Whatever fails, no other test is kept to one core."""
    thread = Thread(target=work)
    thread.start()
    thread.join()


def test_the_loop_keeps_to_one_core_and_the_clerks_thread_does_not() -> None:
    seen: dict[str, object] = {}

    async def story() -> None:
        keeping = asyncio.create_task(core.keep())
        await asyncio.sleep(0)
        seen["loop"] = len(os.sched_getaffinity(0))
        clerk = Clerk(create_engine("sqlite://"), "clerk")
        try:
            seen["clerk"] = await clerk.do(lambda: os.sched_getaffinity(0))
        finally:
            clerk.close()
        keeping.cancel()
        await asyncio.wait([keeping])
        seen["after"] = os.sched_getaffinity(0)

    on_a_thread(lambda: asyncio.run(story()))
    everywhere = os.sched_getaffinity(0)
    assert seen == {"loop": 1, "clerk": everywhere, "after": everywhere}


def test_a_core_that_another_keeps_busy_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_LOOK", 0.05)
    seen: list[set[int]] = []

    async def story() -> None:
        keeping = asyncio.create_task(core.keep())
        await asyncio.sleep(0)
        seen.append(os.sched_getaffinity(0))
        argv = [sys.executable, "-c", _BUSY]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as busy:
            try:
                assert busy.stdin is not None
                assert busy.stdout is not None
                busy.stdin.write(f"{min(seen[0])}\n")
                busy.stdin.flush()
                assert busy.stdout.readline() == "busy\n"
                until = steady() + 20
                while os.sched_getaffinity(0) == seen[0] and steady() < until:
                    await asyncio.sleep(0)
                seen.append(os.sched_getaffinity(0))
            finally:
                busy.kill()
        keeping.cancel()
        await asyncio.wait([keeping])

    on_a_thread(lambda: asyncio.run(story()))
    before, after = seen
    assert before != after


def test_where_the_system_gave_our_cores_to_others_nobody_fails_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_CORES", (100_000, 100_001))
    before = os.sched_getaffinity(0)
    asyncio.run(core.keep())
    clerk = Clerk(create_engine("sqlite://"), "clerk")
    clerk.close()
    assert os.sched_getaffinity(0) == before

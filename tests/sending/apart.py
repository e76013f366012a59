"""What is called off in a test is so in a thread that ends with it.

Compiled code (`make compiled`) that waits for something while it handles the end of its own task leaves that exception
behind in its thread, where whatever runs next would meet it. A sender ends then; a process of tests goes on.
"""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run_apart(scene: Coroutine[Any, Any, T]) -> T:
    """Run a scene in which something is called off; give what it gives."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, scene).result()

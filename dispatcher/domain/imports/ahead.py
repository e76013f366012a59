"""Reading ahead: a thread reads and parses the next chunk while the database is busy with this one.

What must stay true: items come in order, `depth` of them at most lie in wait, and an error of the reader comes out at
its place.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(source: Iterator[T], depth: int = 1) -> Generator[T]:
    """Give the same items, read by a thread that is up to `depth` of them ahead."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        waiting = deque(thread.submit(next, source, None) for _ in range(depth))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, source, None))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)

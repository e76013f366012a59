"""One thread with a connection of its own to the database, so that the event loop never waits for a statement.

What is handed to a clerk is done in the order in which it was handed over. After an error of the database its
connections are given up, and the next piece of work begins on new ones.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")


class Clerk:
    """Does what it is handed, one piece after the other; only such work may ask for its connections."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._line: Connection | None = None  # kept for transactions of several statements,
        self._short_line: Connection | None = None  # and for statements that are a transaction of their own

    async def do(self, work: Callable[[], T]) -> T:
        """Have `work` done in the clerk's thread, and wait for it. Called off, the wait ends, but not the work."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection on which a transaction has begun; commit at the end."""
        with self._given_up_after_an_error():
            if self._line is None:
                self._line = self._engine.connect()
            with self._line.begin():
                yield self._line

    @contextlib.contextmanager
    def statement(self) -> Iterator[Connection]:
        """Give a connection on which each statement is a transaction: spares BEGIN and COMMIT their round trips."""
        with self._given_up_after_an_error():
            if self._short_line is None:
                self._short_line = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            yield self._short_line

    def close(self) -> None:
        """Finish what was handed over, hang up, end the thread."""
        self._thread.submit(self._hang_up)
        self._thread.shutdown(wait=True)

    @contextlib.contextmanager
    def _given_up_after_an_error(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        lines, self._line, self._short_line = (self._line, self._short_line), None, None
        for line in lines:
            if line is not None:
                line.close()

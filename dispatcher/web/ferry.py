"""A ferry: what many visitors want at one moment is taken through one transaction together.

    visitors ask ----\\                                  /--> each gets the answer to what they asked
    visitors ask -----> [ one transaction, one COMMIT ] -
    visitors ask ----/                                  \\--> or what went wrong with it

While one group is served the next gathers, so the more visitors come, the less each of them costs: statements, the
end of the chain, the file of endings and the COMMIT are one for all. Whoever comes alone is served at once.

What must stay true: nobody gets an answer before the COMMIT; each question is answered once, also when its visitor
has gone; and what one of a group brings costs the others nothing: where a group cannot be served, each of it is served
again in a transaction of its own. Only while the database is away nobody is, for what became of a COMMIT that nobody
answered cannot be known.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dispatcher.db import clock

Q = TypeVar("Q")
A = TypeVar("A")

MOST = 64  # in a group: none holds the end of the chain for long


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Q, A]):
    question: Q
    answer: Future[A] = field(default_factory=Future)


class Ferry(Generic[Q, A]):
    """Takes whoever waits across, in the order in which they came, on a thread of its own."""

    def __init__(
        self, engine: Engine, name: str, serve: Callable[[Connection, Sequence[Q], datetime], Sequence[A]]
    ) -> None:
        """`serve(conn, questions, now)` gives the answers in the order of their questions."""
        self._engine = engine
        self._serve = serve
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[Q, A]] = []

    async def take(self, question: Q) -> A:
        """Take a question along, and wait for its answer. Raises what went wrong with it."""
        waiting: _Waiting[Q, A] = _Waiting(question)
        with self._lock:
            self._waiting.append(waiting)
            is_first = len(self._waiting) == 1
        if is_first:  # whoever comes before their group begins is taken along
            self._thread.submit(self._serve_who_waits)
        return await asyncio.shield(asyncio.wrap_future(waiting.answer))

    def _serve_who_waits(self) -> None:
        with self._lock:
            everybody, self._waiting = self._waiting, []
        for start in range(0, len(everybody), MOST):
            self._serve_group(everybody[start : start + MOST])

    def _serve_group(self, group: list[_Waiting[Q, A]]) -> None:
        try:
            answers = self._transact([each.question for each in group])
        except (OperationalError, PoolTimeout) as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001  (the border of a thread: whoever waits has to hear of it)
            if len(group) == 1:
                _fail(group, error)
            else:
                for each in group:
                    self._serve_group([each])
        else:
            for each, answer in zip(group, answers, strict=True):
                each.answer.set_result(answer)

    def _transact(self, questions: list[Q]) -> Sequence[A]:
        with self._engine.begin() as conn:
            return self._serve(conn, questions, clock.now(conn))


def _fail(group: list[_Waiting[Q, A]], error: Exception) -> None:
    for each in group:
        each.answer.set_exception(error)

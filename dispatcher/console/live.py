"""Parts of pages that renew themselves: server-sent events (HTML, 9.2).

    browser --GET--> stream ---+
    browser --GET--> stream ---+--> topic: one task, one poll of the database every few seconds
    browser --GET--> stream ---+

What must stay true: the database is asked once per topic however many look, and not at all when nobody does; a stream
ends when its browser goes, when its session ends, and when the server does. To watch is no activity: a session whose
page is merely open runs out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from dispatcher.db.terms import Language

HEARTBEAT = 15.0  # seconds after which a silent line is used, and the session looked at again
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
_RETRY = 3000  # milliseconds until a browser whose line broke asks again

Parts = Mapping[Language, str]
log = structlog.get_logger()


@dataclass(eq=False)
class _Topic:
    """What is watched, by whom, and what was seen last."""

    poll: Callable[[], Parts]
    every: float
    watchers: set["asyncio.Queue[Parts | None]"] = field(default_factory=set)
    last: Parts | None = None
    task: "asyncio.Task[None] | None" = None


class Hub:
    """All topics that somebody watches in this process."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}

    async def stream(
        self,
        name: str,
        poll: Callable[[], Parts],
        every: float,
        language: Language,
        is_still_allowed: Callable[[], Awaitable[bool]],
    ) -> AsyncIterator[str]:
        """Give the events of a topic, in one language. The first comes at once."""
        queue = self._enter(name, poll, every)
        try:
            yield f"retry: {_RETRY}\n\n"
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        parts = await queue.get()
                except TimeoutError:
                    if not await is_still_allowed():
                        yield "event: over\ndata:\n\n"
                        return
                    yield ": still here\n\n"
                    continue
                if parts is None:
                    return
                yield _event(parts[language])
        finally:
            self._leave(name, queue)

    def close(self) -> None:
        """End every stream: the server is going."""
        for topic in self._topics.values():
            for queue in topic.watchers:
                _offer(queue, None)

    @property
    def watched(self) -> Mapping[str, int]:
        """Give how many watch each topic."""
        return {name: len(topic.watchers) for name, topic in self._topics.items()}

    def _enter(self, name: str, poll: Callable[[], Parts], every: float) -> "asyncio.Queue[Parts | None]":
        topic = self._topics.setdefault(name, _Topic(poll, every))
        queue: asyncio.Queue[Parts | None] = asyncio.Queue(maxsize=1)
        topic.watchers.add(queue)
        if topic.last is not None:
            _offer(queue, topic.last)
        if topic.task is None:
            topic.task = asyncio.create_task(_ask(topic))
        return queue

    def _leave(self, name: str, queue: "asyncio.Queue[Parts | None]") -> None:
        topic = self._topics[name]
        topic.watchers.discard(queue)
        if not topic.watchers:
            del self._topics[name]
            if topic.task is not None:
                topic.task.cancel()


async def _ask(topic: _Topic) -> None:
    while True:
        with suppress(asyncio.QueueFull):
            try:
                parts = await run_in_threadpool(topic.poll)
            except SQLAlchemyError as error:
                log.warning("live.unanswered", error=type(error).__name__)
            else:
                if parts != topic.last:
                    topic.last = parts
                    for queue in topic.watchers:
                        _offer(queue, parts)
        await asyncio.sleep(topic.every)


def _offer(queue: "asyncio.Queue[Parts | None]", parts: Parts | None) -> None:
    """Hand over the newest; one that was not fetched yet is out of date."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(parts)


def _event(html: str) -> str:
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"

"""Parts that renew themselves: one poll however many look, none when nobody does, and an end with the session."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from dispatcher.console import live
from dispatcher.console.live import Hub
from dispatcher.db.terms import Language


class Watched:
    """What is polled: counts how often, and says what it is told to."""

    def __init__(self) -> None:
        self.polls = 0
        self.says = "a\nb"
        self.allowed = True

    def poll(self) -> Mapping[Language, str]:
        self.polls += 1
        return {Language.DE: self.says, Language.EN: self.says.upper()}

    async def is_allowed(self) -> bool:
        return self.allowed

    def stream(self, hub: Hub, language: Language = Language.DE) -> AsyncIterator[str]:
        return hub.stream("topic", self.poll, 0.005, language, self.is_allowed)


async def events(stream: AsyncIterator[str], count: int) -> list[str]:
    return [await anext(stream) for _ in range(count)]


def test_however_many_look_the_database_is_asked_once_and_nobody_looking_not_at_all() -> None:
    async def watch() -> None:
        hub, watched = Hub(), Watched()
        streams = [watched.stream(hub, language) for language in (Language.DE, Language.EN, Language.DE)]
        seen = await asyncio.gather(*(events(stream, 2) for stream in streams))
        assert [lines[1] for lines in seen] == ["data: a\ndata: b\n\n", "data: A\ndata: B\n\n", "data: a\ndata: b\n\n"]
        assert hub.watched == {"topic": 3}
        watched.says = "c"
        assert await asyncio.gather(*(anext(stream) for stream in streams)) == [
            "data: c\n\n",
            "data: C\n\n",
            "data: c\n\n",
        ]
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        polls = watched.polls
        await asyncio.sleep(0.03)
        assert (hub.watched, watched.polls) == ({}, polls)

    asyncio.run(watch())


def test_what_did_not_change_is_not_sent_again_and_the_line_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch() -> list[str]:
        hub, watched = Hub(), Watched()
        stream = watched.stream(hub)
        seen = await events(stream, 2)
        monkeypatch.setattr(live, "HEARTBEAT", 0.02)
        seen += await events(stream, 2)
        watched.allowed = False  # the session has ended
        seen.append(await anext(stream))
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert hub.watched == {}
        return seen

    beat = ": still here\n\n"
    assert asyncio.run(watch())[1:] == ["data: a\ndata: b\n\n", beat, beat, "event: over\ndata:\n\n"]


def test_the_servers_end_ends_every_stream() -> None:
    async def watch() -> None:
        hub, watched = Hub(), Watched()
        stream = watched.stream(hub)
        await events(stream, 2)
        hub.close()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(watch())

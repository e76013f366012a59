"""Lanes in tests: run on both event loops, against the scripted relay."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from dispatcher.smtp.lane import Lane
from dispatcher.smtp.relays import Relay
from dispatcher.smtp.verdict import Verdict
from tests.smtp.letters import letter

Run = Callable[[Coroutine[Any, Any, Any]], Any]

_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=sorted(_LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine to its end."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=_LOOPS[request.param]) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture
def send(run: Run) -> Callable[..., list[Verdict]]:
    """Send one letter to each recipient over one lane, pipelined where offered; the gate always says yes."""

    def send(relay: Relay, *recipients: str, **fields: Any) -> list[Verdict]:
        return run(_send(relay, [letter(recipient, **fields) for recipient in recipients]))

    return send


async def _send(relay: Relay, parcels: list[Any]) -> list[Verdict]:
    lane, verdicts = Lane(relay), []
    await lane.open()
    for parcel, following in zip(parcels, [*parcels[1:], None], strict=True):
        verdict = await lane.offer(parcel)
        verdicts.append(await lane.release(following) if verdict is None else verdict)
    await lane.close()
    return verdicts

"""What the lanes draw from: who waits for whom, and the bookkeeping of claims."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select

from dispatcher.db.tables import relay_day
from dispatcher.db.terms import CampaignKind, CampaignState
from dispatcher.domain.audience import dealing_out
from dispatcher.domain.newsletters import campaigns
from dispatcher.sending.feed import Feed
from dispatcher.sending.gate import Gate
from dispatcher.sending.pace import Pace
from dispatcher.smtp.relays import Relay
from tests.relay import ScriptedRelay
from tests.sending.test_drain import spoil_names
from tests.stage import Stage


@asynccontextmanager
async def _feed(stage: Stage, *relays: Relay) -> AsyncIterator[Feed]:
    gate = Gate(stage.engine)
    pace = Pace(gate, stage.buckets, relays)
    try:
        await pace.look()
        async with asyncio.TaskGroup() as group:
            group.create_task(pace.run())
            yield Feed(gate, pace, list(CampaignKind), stage.stationery, lambda: None)
            pace.end()
    finally:
        gate.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it is the same code on each
def test_who_waits_for_a_permit_of_one_relay_holds_up_nobody_at_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing_out, "PAGE", 2)
    stage.add(8)
    stage.campaign()
    slow, fast = ScriptedRelay().relay(name="slow", rate_per_min=1), ScriptedRelay().relay(name="fast")

    async def scene() -> int:
        async with _feed(stage, slow, fast) as feed:
            assert await feed.draw("slow") is not None
            waiting = asyncio.create_task(feed.draw("slow"))
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                drawn = [await feed.draw("fast") for _ in range(7)]
            feed.closed = True
            assert await waiting is None
            return sum(errand is not None for errand in drawn)

    assert asyncio.run(scene()) == 7


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it is the same code on each
def test_what_became_of_a_claims_letters_is_counted_once_also_when_the_last_one_pauses_the_campaign(
    stage: Stage,
) -> None:
    people = stage.add(10)
    spoil_names(stage, people[4:])
    campaign = stage.campaign()
    with stage.engine.begin() as conn:
        campaigns.set_rate(conn, campaign, 3000)  # so that nothing is drawn ahead while the last letter is out
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=1))
    assert stage.status(campaign).state is CampaignState.PAUSED
    with stage.engine.begin() as conn:
        assert conn.execute(select(func.sum(relay_day.c.sent))).scalar_one() == 4

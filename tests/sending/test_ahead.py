"""Letters that are composed before a lane draws them, by a process that has time."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from dispatcher.db.tables import batch
from dispatcher.db.terms import BatchState, CampaignKind
from dispatcher.domain.audience import dealing_out
from dispatcher.sending.feed import Feed
from dispatcher.sending.gate import Gate
from dispatcher.sending.leisure import Leisure
from dispatcher.sending.pace import Pace
from tests.stage import Stage


@contextlib.contextmanager
def _feed(stage: Stage, low: int = 0) -> Iterator[Feed]:
    gate = Gate(stage.engine)
    try:
        yield Feed(gate, Pace(gate, stage.buckets, []), list(CampaignKind), stage.stationery, lambda: None, low)
    finally:
        gate.close()


def test_a_letter_that_was_composed_ahead_goes_to_whom_it_is_for_and_nobody_is_left_out(stage: Stage) -> None:
    people = stage.add(40)
    campaign = stage.campaign()

    async def story() -> list[tuple[str, str]]:
        with _feed(stage) as feed:
            errands = [await feed.draw("relay")]
            rounds = 0
            while feed.compose_ahead():
                rounds += 1
            assert rounds == 32
            while (errand := feed.draw_ready("relay")) is not None:
                errands.append(errand)
                if len(errands) == 20:
                    await feed.refresh(campaign)  # it may have been replaced: these are composed anew
                    assert feed.compose_ahead()
        return [(errand.to.address, errand.parcel.recipient) for errand in errands if errand is not None]

    drawn = asyncio.run(story())
    assert sorted(to for to, _ in drawn) == sorted(people)
    assert all(to == recipient for to, recipient in drawn)


def test_where_there_is_nothing_to_draw_nothing_is_composed(stage: Stage) -> None:
    async def story() -> bool:
        with _feed(stage) as feed:
            return feed.compose_ahead()

    assert not asyncio.run(story())


def test_no_more_people_are_at_hand_than_the_lanes_need_however_many_batches_there_are(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing_out, "PAGE", 4)
    stage.add(40)
    campaign = stage.campaign()
    claimed = select(func.count()).where(batch.c.state == BatchState.LEASED)

    async def story() -> list[int]:
        at_hand = []
        with _feed(stage, low=4) as feed:
            for drawn in range(1, 13):
                assert await feed.draw("relay") is not None
                for _ in range(3):
                    await feed.refresh(campaign)  # behind the claim that is under way
                with stage.engine.begin() as conn:
                    at_hand.append(4 * conn.execute(claimed).scalar_one() - drawn)
        return at_hand

    at_hand = asyncio.run(story())
    assert min(at_hand) >= 3
    assert max(at_hand) <= 7


def test_a_process_has_time_when_it_worked_less_than_a_third_of_it() -> None:
    leisure = Leisure()
    for at in range(20):
        leisure.note(0.03 * at, 100 + 0.1 * at)
    assert leisure.is_there
    leisure.note(0.62, 101.95)  # too short to judge by
    assert leisure.is_there
    leisure.note(0.72, 102.05)
    assert not leisure.is_there


def test_before_anything_is_known_of_it_a_process_has_time_so_that_who_asks_first_does_not_wait() -> None:
    leisure = Leisure()
    assert leisure.is_there
    leisure.note(0.0, 100.0)
    assert leisure.is_there

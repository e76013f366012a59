"""Letters that are composed before a lane draws them, by a process that has time."""

import asyncio
import contextlib
from collections.abc import Iterator

from dispatcher.db.terms import CampaignKind
from dispatcher.sending.feed import Feed
from dispatcher.sending.gate import Gate
from dispatcher.sending.leisure import Leisure
from dispatcher.sending.pace import Pace
from tests.stage import Stage


@contextlib.contextmanager
def _feed(stage: Stage) -> Iterator[Feed]:
    gate = Gate(stage.engine)
    try:
        yield Feed(gate, Pace(gate, stage.buckets, []), list(CampaignKind), stage.stationery, lambda: None)
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


def test_a_process_has_time_when_it_worked_less_than_half_of_it() -> None:
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

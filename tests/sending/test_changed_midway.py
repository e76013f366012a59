"""A campaign that is paused or changed while lanes have its letters in hand; others, and the relay, do not feel it."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import update

from dispatcher.db.tables import campaign, edition
from dispatcher.db.terms import CampaignKind, CampaignState
from dispatcher.domain.delivery.passage import CHANGED, Halted, Intent, Withheld
from dispatcher.domain.newsletters import campaigns
from dispatcher.sending.drain import Orders
from dispatcher.sending.feed import Feed
from dispatcher.sending.gate import Gate
from dispatcher.sending.pace import Pace
from dispatcher.smtp.breaker import Position
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.verdict import Verdict
from tests.relay import Act, Ask, ScriptedRelay
from tests.stage import Stage


def _pause(stage: Stage, campaign_id: int) -> None:
    stage.move(campaign_id, CampaignState.PAUSED)


def _set_a_rate(stage: Stage, campaign_id: int) -> None:
    with stage.engine.begin() as conn:
        campaigns.set_rate(conn, campaign_id, 60_000)


def _standing(orders: Orders) -> tuple[Position, int]:
    (standing,) = orders.breakers.standings()
    return standing.position, standing.failures


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it is the same code on each
@pytest.mark.parametrize("change", [_pause, _set_a_rate])
def test_letters_that_are_not_to_go_on_cost_the_relay_and_other_letters_nothing(
    stage: Stage, change: Callable[[Stage, int], None]
) -> None:
    people = stage.add(80)
    changed, other = stage.campaign(), stage.campaign()
    is_changed = []

    def change_midway(ask: Ask) -> Act | None:
        if ask.verb == "DOT" and len(relay.accepted) >= 30 and not is_changed:
            is_changed.append(change(stage, changed))
        return Act(delay=0.02) if ask.verb == "DOT" else None  # so that each lane has a letter out, and one behind it

    with ScriptedRelay(script=change_midway) as relay:
        orders = stage.orders(relay.relay(lanes=8))
        report = stage.obey(orders)
    assert _standing(orders) == (Position.CLOSED, 0)
    assert report.problem is None
    assert stage.status(other).sent == len(people)


def test_a_letter_composed_before_the_campaign_was_changed_does_not_pass_once_the_process_knows_the_change(
    stage: Stage,
) -> None:
    stage.add(2)
    changed = stage.campaign()

    async def scene() -> Verdict | Withheld | Halted:
        gate = Gate(stage.engine)
        try:
            pace = Pace(gate, stage.buckets, [])
            feed = Feed(gate, pace, list(CampaignKind), stage.stationery, lambda: None)
            old = await feed.draw("relay")
            assert old is not None
            _set_a_rate(stage, changed)
            await feed.refresh(changed)  # as another lane does that was turned away before
            intent = Intent(old.held.claim, old.to.subscriber_id, old.to.attempt, "relay")
            question = gate.ask(intent, old.of.epoch, Lane(ScriptedRelay().relay()), None)
            turning = asyncio.create_task(gate.run())
            answer = await question.answer
            gate.end()
            await turning
            return answer
        finally:
            gate.close()

    assert asyncio.run(scene()) == Halted(CHANGED)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it is the same code on each
def test_a_campaign_whose_new_content_cannot_be_read_is_paused_and_holds_up_no_other(stage: Stage) -> None:
    people = stage.add(40)
    broken, good = stage.campaign(), stage.campaign()
    is_changed = []

    def break_midway(ask: Ask) -> Act | None:
        if ask.verb == "DOT" and len(relay.accepted) >= 10 and not is_changed:
            is_changed.append(True)
            with stage.engine.begin() as conn:
                conn.execute(update(edition).where(edition.c.campaign_id == broken).values(no=2, frozen="{}"))
                anew = {"edition_no": 2, "epoch": campaign.c.epoch + 1}
                conn.execute(update(campaign).where(campaign.c.id == broken).values(**anew))
        return None

    with ScriptedRelay(script=break_midway) as relay:
        stage.drain(relay.relay(lanes=2))
    assert stage.status(good).sent == len(people)
    stands = stage.status(broken)
    assert (stands.state, stands.problem) == (CampaignState.PAUSED, "the stored letter cannot be read")
    assert 10 <= stands.sent <= 13

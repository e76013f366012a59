"""A campaign that is paused or changed while lanes have its letters in hand; others, and the relay, do not feel it."""

from collections.abc import Callable

import pytest

from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import campaigns
from dispatcher.sending.drain import Orders
from dispatcher.smtp.breaker import Position
from tests.relay import Act, Ask, ScriptedRelay
from tests.stage import Stage


def _pause(stage: Stage, campaign: int) -> None:
    stage.move(campaign, CampaignState.PAUSED)


def _set_a_rate(stage: Stage, campaign: int) -> None:
    with stage.engine.begin() as conn:
        campaigns.set_rate(conn, campaign, 60_000)


def _standing(orders: Orders) -> tuple[Position, int]:
    (standing,) = orders.breakers.standings()
    return standing.position, standing.failures


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

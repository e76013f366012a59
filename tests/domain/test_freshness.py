"""Prices that are too old: from that moment on nothing passes and nothing is claimed, and the campaign says so."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignState, Hold
from dispatcher.domain.delivery.passage import CHANGED, STALE, Halted, Pass
from dispatcher.domain.newsletters import campaigns, freshness
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.errors import MoveRefused
from tests.domain.dispatch import Dispatch

HOUR = timedelta(hours=1)


def _good_for(dispatch: Dispatch, of: Campaign, span: timedelta) -> Campaign:
    with dispatch.engine.begin() as conn:
        values = {"prices_as_of": dispatch.now, "prices_until": dispatch.now + span}
        conn.execute(update(campaign).where(campaign.c.id == of.id).values(**values))
        return campaigns.get(conn, of.id)


def _now(dispatch: Dispatch, of: Campaign) -> Campaign:
    with dispatch.engine.begin() as conn:
        return campaigns.get(conn, of.id)


def _hold(dispatch: Dispatch) -> list[int]:
    with dispatch.engine.begin() as conn:
        return freshness.hold_stale(conn, dispatch.now)


def test_prices_that_grow_too_old_while_a_letter_waits_at_the_gate_keep_it_back(dispatch: Dispatch) -> None:
    maria, josef = dispatch.people(2)
    of = _good_for(dispatch, dispatch.campaign(), timedelta(seconds=30))
    mine = dispatch.must_claim()
    dispatch.now += timedelta(seconds=29)
    assert isinstance(dispatch.ask(mine, of, [maria])[0], Pass)
    dispatch.now += timedelta(seconds=1)
    assert dispatch.ask(mine, of, [josef]) == [Halted(STALE)]
    assert dispatch.outcomes(of) == {}


def test_a_batch_whose_prices_are_too_old_is_not_claimed(dispatch: Dispatch) -> None:
    dispatch.people(1)
    _good_for(dispatch, dispatch.campaign(), HOUR)
    other = dispatch.campaign()
    dispatch.now += HOUR
    assert dispatch.must_claim().campaign_id == other.id  # it stands in nobody's way
    assert dispatch.claim() is None


def test_whoever_knows_an_older_word_of_the_operators_asks_again(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = _good_for(dispatch, dispatch.campaign(), HOUR)
    mine = dispatch.must_claim()
    with dispatch.engine.begin() as conn:
        campaigns.move(conn, of.id, CampaignState.PAUSED)
        freshness.resume(conn, of.id, dispatch.now, with_old_prices=True)
    assert dispatch.ask(mine, of, [maria]) == [Halted(CHANGED)]
    dispatch.now += timedelta(seconds=30)
    assert isinstance(dispatch.ask(mine, _now(dispatch, of), [maria])[0], Pass)


def test_a_campaign_with_old_prices_is_held_once_and_says_what_to_do(dispatch: Dispatch) -> None:
    of = _good_for(dispatch, dispatch.campaign(), HOUR)
    other = _good_for(dispatch, dispatch.campaign(), 2 * HOUR)
    assert _hold(dispatch) == []
    dispatch.now += HOUR
    assert _hold(dispatch) == [of.id]
    assert _hold(dispatch) == []
    held = _now(dispatch, of)
    assert (held.state, held.hold) == (CampaignState.PAUSED, Hold.STALE_PRICES)
    assert held.problem is not None
    assert held.problem.startswith("held: its prices are of 2026-11-23 10:00 CET and were good until 2026-11-23 11:00")
    assert f"campaigns replace {of.id} --content FILE" in held.problem
    assert _now(dispatch, other).state is CampaignState.SENDING


def test_it_goes_on_with_old_prices_on_an_operators_word_alone(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = _good_for(dispatch, dispatch.campaign(), HOUR)
    dispatch.now += HOUR
    _hold(dispatch)
    with dispatch.engine.begin() as conn, pytest.raises(MoveRefused, match="cannot go on: its prices are of"):
        freshness.resume(conn, of.id, dispatch.now)
    with dispatch.engine.begin() as conn:
        freshness.resume(conn, of.id, dispatch.now, with_old_prices=True)
    now = _now(dispatch, of)
    assert (now.state, now.problem, now.hold, now.prices_until) == (CampaignState.SENDING, None, None, None)
    assert _hold(dispatch) == []
    assert isinstance(dispatch.ask(dispatch.must_claim(), now, [maria])[0], Pass)


@pytest.mark.parametrize("state", [CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.SENT])
def test_nothing_but_a_paused_campaign_goes_on(dispatch: Dispatch, state: CampaignState) -> None:
    of = _good_for(dispatch, dispatch.campaign(), -HOUR)
    with dispatch.engine.begin() as conn:
        conn.execute(update(campaign).values(state=state))
        for with_old_prices in (False, True):
            with pytest.raises(MoveRefused, match=f"is {state}; it cannot become sending"):
                freshness.resume(conn, of.id, dispatch.now, with_old_prices=with_old_prices)
    assert _hold(dispatch) == []

"""How fast a campaign goes: from the rows at the first look, from what was served since at each further one."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from dispatcher.console.pulse import Beat, Pulse
from dispatcher.db.terms import Outcome
from dispatcher.domain.newsletters import campaigns, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.tokens import Keyring
from tests.domain.dispatch import Dispatch, final


@pytest.fixture
def dispatch(engine: Engine, keyring: Keyring) -> Dispatch:
    return Dispatch(engine, keyring)


def feel(pulse: Pulse, dispatch: Dispatch, of: Campaign) -> Beat:
    with dispatch.engine.connect() as conn:
        stands = campaigns.get(conn, of.id)
        return pulse.feel(conn, stands, tallies.tally(conn, stands), dispatch.now)


@pytest.mark.both_databases
def test_the_first_look_reads_the_rows_and_the_next_ones_go_on_from_there(dispatch: Dispatch) -> None:
    people = dispatch.people(100)
    of = dispatch.campaign()
    dispatch.must_claim()
    dispatch.now += timedelta(minutes=1)
    dispatch.record(*(final(of, who, Outcome.FAILED, None, 550) for who in people[:30]))
    dispatch.now += timedelta(seconds=30)
    pulse = Pulse()
    first = feel(pulse, dispatch, of)
    assert (first.per_second, first.line) == (1.0, (0, 0, 0, 0, 0, 0, 180, 0, 0))
    dispatch.now += timedelta(seconds=10)
    dispatch.record(*(final(of, who, Outcome.FAILED, None, 550) for who in people[30:90]))
    second = feel(pulse, dispatch, of)
    assert second.per_second == 2.0  # what was served at the beginning of the half minute is out of it
    dispatch.now += timedelta(seconds=10)
    assert feel(pulse, dispatch, of).line == (*first.line, 0, 360)


@pytest.mark.both_databases
def test_whoever_comes_back_later_finds_what_went_meanwhile_where_it_belongs(dispatch: Dispatch) -> None:
    people = dispatch.people(60)
    of = dispatch.campaign()
    dispatch.must_claim()
    pulse = Pulse()
    feel(pulse, dispatch, of)
    dispatch.record(*(final(of, who, Outcome.FAILED, None, 550) for who in people))
    dispatch.now += timedelta(minutes=2)
    again = feel(pulse, dispatch, of)
    assert again.per_second == 0
    assert again.line == (360, *(0 for _ in range(11)))

"""A batch that another worker took while this one stalled, and that this one claims again later."""

import pytest
from sqlalchemy import Engine, update

from dispatcher.db.tables import batch
from dispatcher.db.terms import BatchState, CampaignState
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import gate
from dispatcher.sending.press import Stationery
from tests.relay import Act, Ask, ScriptedRelay
from tests.stage import Stage


def test_a_batch_that_was_lost_and_is_claimed_again_is_served(
    engine: Engine, keyring: Keyring, stationery: Stationery, house, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HEARTBEAT", 0.05)
    stage = Stage(engine, keyring, stationery, house)
    people = stage.add(6)
    campaign = stage.campaign()

    def take_it_over_and_give_it_back(ask: Ask) -> Act | None:
        if ask.verb != "DOT" or ask.recipient != people[2]:
            return None
        with engine.begin() as conn:
            freed = {"state": BatchState.READY, "owner": None, "lease_until": None, "token": batch.c.token + 1}
            conn.execute(update(batch).values(**freed))
        return Act(delay=1.5)  # long enough for the heartbeat to find that the batch is gone

    with ScriptedRelay(script=take_it_over_and_give_it_back) as relay:
        stage.drain(relay.relay(lanes=1))
    assert sorted(a.recipient for a in relay.accepted) == sorted(people)
    assert stage.status(campaign).state is CampaignState.SENT

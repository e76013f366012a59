"""A campaign by each reader's own clock, from its schedule to the last letter."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.tables import batch, subscriber
from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import campaigns
from dispatcher.errors import InputRefused
from dispatcher.sending import release, sweep
from dispatcher.sending.release import Local
from tests import builders
from tests.relay import ScriptedRelay
from tests.stage import Stage

ZONE = "Etc/GMT+6"  # six hours behind UTC, all year


def _live_in(stage: Stage, address: str, zone: str) -> None:
    with stage.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.address == address).values(zone=zone))


def _draft(stage: Stage) -> int:
    with stage.engine.begin() as conn:
        return builders.create_campaign(conn, clock.now(conn))


def _schedule(stage: Stage, campaign_id: int, wait: timedelta) -> campaigns.Campaign:
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        wall = f"{(now + wait).astimezone(ZoneInfo(ZONE)):%Y-%m-%dT%H:%M}"
        return release.schedule_local(conn, campaign_id, Local(wall, ZONE), now, stage.stationery, stage.house)


def test_each_gets_it_at_their_own_time_and_whose_time_has_passed_at_once(stage: Stage) -> None:
    utc, here, west = stage.add(3)
    _live_in(stage, utc, "UTC")
    _live_in(stage, west, "Etc/GMT+8")
    of = _schedule(stage, _draft(stage), timedelta(hours=2))
    sweep.tick(stage.engine, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        assert [letter.recipient for letter in relay.accepted] == [utc]
        sweep.tick(stage.engine, stage.house)
        status = stage.status(of.id)
        assert (status.state, status.sent, status.remaining) == (CampaignState.SENDING, 1, 2)
        assert status.next_at is not None
        for reader in (here, west):
            with stage.engine.begin() as conn:
                first = select(batch.c.no).where(batch.c.due_at.is_not(None)).order_by(batch.c.due_at).limit(1)
                past = {"not_before": clock.now(conn), "due_at": None}
                conn.execute(update(batch).where(batch.c.no == first.scalar_subquery()).values(**past))
            stage.drain(relay.relay())
            assert relay.accepted[-1].recipient == reader
    assert stage.status(of.id).state is CampaignState.SENT
    assert len(relay.accepted) == 3


def test_with_nobody_ahead_it_is_launched_when_the_first_clocks_come_to_it(stage: Stage) -> None:
    here, west = stage.add(2)
    _live_in(stage, west, "Etc/GMT+8")
    of = _schedule(stage, _draft(stage), timedelta(hours=2))
    assert of.send_at is not None
    assert timedelta(hours=1, minutes=58) < of.send_at - stage.now() <= timedelta(hours=2)
    sweep.tick(stage.engine, stage.house)
    assert stage.status(of.id).state is CampaignState.SCHEDULED
    _live_in(stage, here, "Etc/GMT+8")
    later = _schedule(stage, of.id, timedelta(hours=2)).send_at
    assert later is not None
    assert later > of.send_at


def test_one_that_is_put_off_to_one_moment_for_all_goes_to_all_at_it(stage: Stage) -> None:
    _, west = stage.add(2)
    _live_in(stage, west, "Etc/GMT+8")
    of = _schedule(stage, _draft(stage), timedelta(hours=2))
    with stage.engine.begin() as conn:
        release.schedule(conn, of.id, clock.now(conn), "UTC", stage.stationery, stage.house)
    sweep.tick(stage.engine, stage.house)
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert len(relay.accepted) == 2


def test_a_time_that_is_past_in_the_campaigns_own_zone_is_refused(stage: Stage) -> None:
    with pytest.raises(InputRefused, match="is in the past"):
        _schedule(stage, _draft(stage), -timedelta(minutes=5))

"""The tick: what is done becomes `sent`, what was left in doubt is said, and old things are forgotten."""

from datetime import timedelta

from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.tables import batch, subscriber
from dispatcher.db.terms import CampaignKind, CampaignState, Outcome
from dispatcher.domain.consent import Evidence
from dispatcher.domain.delivery import batches, flights
from dispatcher.domain.ledger import Final, record
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.people import pauses
from dispatcher.sending import backlog, release, sweep
from tests import builders
from tests.stage import Stage

SENDING, SENT = CampaignState.SENDING, CampaignState.SENT


def _get(stage: Stage, campaign_id: int) -> Campaign:
    with stage.engine.begin() as conn:
        return campaigns.get(conn, campaign_id)


def test_a_campaign_is_sent_when_everyone_is_accounted_for_and_not_before(stage: Stage) -> None:
    stage.add(2)
    campaign_id = stage.campaign()
    sweep.tick(stage.engine, stage.house)
    assert _get(stage, campaign_id).state is SENDING
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        claim = batches.claim(conn, "a", list(CampaignKind), now)
        assert claim is not None
        for who in stage.ids.values():
            record(conn, [Final(campaign_id, who, Outcome.UNKNOWN, 1, None, "?", None)], now)
        batches.settle(conn, claim)
    sweep.tick(stage.engine, stage.house)
    of = _get(stage, campaign_id)
    assert of.state is SENT
    assert of.finished_at is not None
    sweep.tick(stage.engine, stage.house)
    assert _get(stage, campaign_id) == of


def test_a_campaign_of_withheld_people_alone_is_sent_by_the_tick_that_launches_it(stage: Stage) -> None:
    stage.add(2)
    for address in stage.ids:
        stage.withdraw(address)
    with stage.engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, clock.now(conn))
        release.schedule(conn, campaign_id, clock.now(conn), "UTC", stage.stationery, stage.house)
    sweep.tick(stage.engine, stage.house)
    assert _get(stage, campaign_id).state is SENT
    assert stage.status(campaign_id).withheld == 2


def test_a_paused_campaign_is_not_finished_behind_the_operators_back(stage: Stage) -> None:
    campaign_id = stage.campaign()
    stage.move(campaign_id, CampaignState.PAUSED)
    sweep.tick(stage.engine, stage.house)
    assert _get(stage, campaign_id).state is CampaignState.PAUSED


def test_finish_names_those_that_it_moved(stage: Stage) -> None:
    done = stage.campaign()
    stage.add(1)
    open_ = stage.campaign()
    with stage.engine.begin() as conn:
        assert backlog.finish_campaigns(conn, [done, open_], clock.now(conn)) == [done]
    backlog.finish(stage.engine)
    assert (_get(stage, done).state, _get(stage, open_).state) == (SENT, SENDING)


def test_what_a_dead_worker_had_in_flight_of_a_cancelled_campaign_is_settled_by_the_tick(stage: Stage) -> None:
    (address,) = stage.add(1)
    campaign_id = stage.campaign()
    with stage.engine.begin() as conn:
        long_ago = builders.long_ago(conn)
        claim = batches.claim(conn, "dead", list(CampaignKind), long_ago)
        assert claim is not None
        conn.execute(update(batch).values(in_flight=flights.entry(stage.ids[address], 1, 1, "r")))
    stage.move(campaign_id, CampaignState.CANCELLED)
    sweep.tick(stage.engine, stage.house)
    assert stage.outcomes(campaign_id) == {address: "unknown"}


def test_a_pause_that_is_over_is_ended_by_the_tick_and_one_that_is_not_stays(stage: Stage) -> None:
    over, running = (stage.ids[address] for address in stage.add(2))
    with stage.engine.begin() as conn:
        now = clock.now(conn)
        pauses.pause(conn, over, 2, Evidence(source="a test"), now - timedelta(days=15))
        pauses.pause(conn, running, 2, Evidence(source="a test"), now - timedelta(days=12))
    sweep.tick(stage.engine, stage.house)
    with stage.engine.begin() as conn:
        paused = conn.execute(select(subscriber.c.id).where(subscriber.c.paused_until.is_not(None))).scalars().all()
    assert paused == [running]


def test_with_nothing_to_do_the_tick_says_so(stage: Stage) -> None:
    assert sweep.tick(stage.engine, stage.house) == sweep.Work(0, 0, None)

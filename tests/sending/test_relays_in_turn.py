"""Several relays: the preferred one while it is well, the next one while it is not, and back again."""

import asyncio

from sqlalchemy import select, update

from dispatcher.db.clock import steady
from dispatcher.db.tables import batch, delivery
from dispatcher.db.tables import campaign as campaign_table
from dispatcher.db.terms import CampaignKind, CampaignState
from dispatcher.sending.drain import Orders, drain
from dispatcher.smtp.breaker import Breakers
from dispatcher.smtp.relays import Relay
from tests.relay import ScriptedRelay, say
from tests.stage import Stage


def relays_of(stage: Stage, campaign: int) -> set[str]:
    with stage.engine.begin() as conn:
        sent = select(delivery.c.relay).where(delivery.c.campaign_id == campaign, delivery.c.outcome == "sent")
        return set(conn.execute(sent.distinct()).scalars())


def drain_by(stage: Stage, breakers: Breakers) -> None:
    orders = Orders([CampaignKind.NEWSLETTER], breakers, stage.buckets, stage.stationery, steady() + 60)
    asyncio.run(drain(stage.engine, orders))


def nowhere() -> Relay:
    with ScriptedRelay() as gone:
        return gone.relay(lanes=2)


def test_while_the_preferred_relay_is_well_the_others_get_nothing(stage: Stage) -> None:
    stage.add(40)
    campaign = stage.campaign()
    with ScriptedRelay() as first, ScriptedRelay() as second:
        stage.drain(first.relay(lanes=3), second.relay(lanes=8))
    assert len(first.accepted) == 40
    assert second.connections == 0
    assert stage.status(campaign).sent == 40


def test_a_relay_that_is_gone_hands_over_to_the_next(stage: Stage) -> None:
    stage.add(40)
    campaign = stage.campaign()
    with ScriptedRelay() as second:
        stage.drain(nowhere(), second.relay(lanes=3))
        assert relays_of(stage, campaign) == {second.relay().name}
    assert stage.status(campaign).sent == 40


def test_a_relay_that_refuses_us_in_the_middle_hands_over_and_nobody_is_lost_or_doubled(stage: Stage) -> None:
    people = stage.add(60)
    campaign = stage.campaign()
    with ScriptedRelay() as first, ScriptedRelay() as second:
        refuse = say("421 4.3.2 closing for maintenance")
        first.script = lambda ask: refuse if ask.verb in ("MAIL", "BANNER") and len(first.accepted) >= 15 else None
        stage.drain(first.relay(lanes=2), second.relay(lanes=2))
        got = [letter.recipient for letter in (*first.accepted, *second.accepted)]
    assert sorted(got) == sorted(people)
    assert len(second.accepted) >= 40
    assert stage.status(campaign).state is CampaignState.SENT


def test_what_a_breaker_learned_outlives_the_drain(stage: Stage) -> None:
    stage.add(3)
    breakers = Breakers([nowhere()])
    stage.campaign()
    drain_by(stage, breakers)
    assert "closed by the breaker" in breakers.words(steady(), stage.now())[0]


def test_with_every_relay_away_the_batch_waits_as_long_as_the_breaker_and_says_why(stage: Stage) -> None:
    stage.add(3)
    campaign = stage.campaign()
    began = stage.now()
    stage.drain(nowhere())
    with stage.engine.begin() as conn:
        waiting = conn.execute(select(batch.c.not_before, batch.c.attempts, batch.c.last_error)).one()
    assert (waiting.not_before - began).total_seconds() > 4
    assert (waiting.not_before - stage.now()).total_seconds() < 8
    assert "relay" in waiting.last_error
    assert stage.status(campaign).remaining == 3


def test_a_letter_that_makes_the_relay_refuse_us_is_put_off_and_not_tried_for_ever(stage: Stage) -> None:
    people = stage.add(20)
    campaign = stage.campaign()
    refuse = say("530 5.7.0 authentication required")
    with ScriptedRelay(script={("RCPT", people[3]): refuse}) as relay:
        stage.drain(relay.relay(lanes=1))
        tried = [line for line in relay.lines if line.startswith(f"RCPT TO:<{people[3]}>")]
    assert stage.status(campaign).sent == 19
    assert stage.status(campaign).deferred == 1
    assert len(tried) == 2


def test_once_a_campaign_has_expired_a_letter_that_the_relay_refuses_for_our_sake_is_given_up(stage: Stage) -> None:
    stage.add(1)
    campaign = stage.campaign()
    with stage.engine.begin() as conn:
        conn.execute(update(campaign_table).values(expires_after_s=-1))
    with ScriptedRelay(script={"MAIL": say("550 5.7.1 you may not send")}) as relay:
        stage.drain(relay.relay(lanes=1))
    (missing,) = stage.missing(campaign).values()
    assert missing.outcome == "failed"
    assert "you may not send" in missing.reason

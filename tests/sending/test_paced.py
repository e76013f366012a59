"""The engine held to rates: of a campaign, of a mailbox provider, of a relay; and slowed by what a provider answers."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import OperationalError

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.tables import batch, relay_day, slowdown, subscriber
from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.rates import providers
from dispatcher.domain.rates.providers import Provider
from dispatcher.sending.gate import Gate
from dispatcher.sending.pace import Pace
from dispatcher.smtp.reply import Reply
from dispatcher.smtp.verdict import Deferred
from tests.relay import ScriptedRelay, say
from tests.stage import Stage


def at_google(stage: Stage, people: list[str]) -> None:
    with stage.engine.begin() as conn:
        conn.execute(subscriber.update().where(subscriber.c.address.in_(people)).values(provider=Provider.GOOGLE))


def set_campaign_rate(stage: Stage, campaign: int, rate_per_min: int | None) -> None:
    with stage.engine.begin() as conn:
        campaigns.set_rate(conn, campaign, rate_per_min)


def is_through(relay: ScriptedRelay, people: list[str], *others: str) -> bool:
    """Say whether all of these have their letter."""
    return {letter.recipient for letter in relay.accepted} >= {*people, *others}


def slowed(stage: Stage) -> str | None:
    """Give the one provider that is slowed down."""
    with stage.engine.connect() as conn:
        found = conn.execute(select(slowdown.c.provider).where(slowdown.c.rate_per_min.is_not(None)))
        return found.scalar_one_or_none()


def test_a_campaign_keeps_to_its_own_rate(stage: Stage) -> None:
    stage.add(200)
    campaign = stage.campaign()
    set_campaign_rate(stage, campaign, 1200)
    began = steady()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=8), stop=lambda: len(relay.accepted) >= 30)
    assert 30 <= len(relay.accepted) <= 20 * (steady() - began) + 6 + 8  # a chunk of permits at hand, a letter per lane
    assert stage.status(campaign).remaining == 200 - len(relay.accepted)


def test_a_relay_keeps_to_its_rate(stage: Stage) -> None:
    stage.add(200)
    stage.campaign()
    began = steady()
    with ScriptedRelay() as relay:
        stage.drain(replace(relay.relay(lanes=8), rate_per_min=1200), stop=lambda: len(relay.accepted) >= 30)
    assert 30 <= len(relay.accepted) <= 20 * (steady() - began) + 6 + 8


def test_a_slow_provider_holds_up_nobody_elses_letters(stage: Stage) -> None:
    slow, others = stage.add(60, prefix="g"), stage.add(300)
    at_google(stage, slow)
    campaign = stage.campaign()
    with stage.engine.begin() as conn:
        providers.set_rate(conn, Provider.GOOGLE, 60)
    began = steady()
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=4), stop=lambda: is_through(relay, others, slow[0]))
    got = {letter.recipient for letter in relay.accepted}
    assert set(others) <= got
    assert 1 <= len(got & set(slow)) <= 3 + steady() - began  # permits: one a second
    assert stage.status(campaign).state is CampaignState.SENDING


def test_a_paused_provider_gets_nothing_and_its_batch_is_not_even_claimed(stage: Stage) -> None:
    paused, others = stage.add(5, prefix="g"), stage.add(20)
    at_google(stage, paused)
    stage.campaign()
    with stage.engine.begin() as conn:
        providers.pause(conn, Provider.GOOGLE, clock.now(conn) + timedelta(hours=1))
    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=4))
    assert {letter.recipient for letter in relay.accepted} == set(others)
    with stage.engine.begin() as conn:
        waits = conn.execute(select(batch.c.token).where(batch.c.provider == Provider.GOOGLE)).scalar_one()
    assert waits == 0


def test_a_rate_that_is_set_while_it_runs_holds_within_one_letter_per_lane(stage: Stage) -> None:
    stage.add(400)
    campaign = stage.campaign()
    marks: list[tuple[int, float]] = []

    def look() -> bool:
        if len(relay.accepted) >= 50 and not marks:
            set_campaign_rate(stage, campaign, 60)
            marks.append((len(relay.accepted), steady()))
        return bool(marks) and steady() - marks[0][1] > 2.0

    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=4), stop=look)
    before, since = marks[0]
    permits = 1 + (steady() - since)  # one a second, the first at once
    assert len(relay.accepted) - before <= 4 + permits


def test_a_rate_that_is_lifted_while_it_runs_lets_the_rest_go(stage: Stage) -> None:
    stage.add(200)
    campaign = stage.campaign()
    set_campaign_rate(stage, campaign, 60)

    def look() -> bool:
        if relay.accepted:
            set_campaign_rate(stage, campaign, None)
        return False

    with ScriptedRelay() as relay:
        stage.drain(relay.relay(lanes=4), stop=look)
    assert stage.status(campaign).sent == 200


def test_a_provider_that_asks_for_less_is_slowed_for_everybody(stage: Stage) -> None:
    slow, others = stage.add(40, prefix="g"), stage.add(40)
    at_google(stage, slow)
    stage.campaign()
    answer = say("450 4.7.28 unusual rate of mail from your network, see https://example.com/1")
    with ScriptedRelay(script=lambda ask: answer if ask.verb == "DOT" and ask.recipient in slow else None) as relay:
        stage.drain(relay.relay(lanes=2), stop=lambda: is_through(relay, others) and slowed(stage) is not None)
    assert {letter.recipient for letter in relay.accepted} >= set(others)
    assert slowed(stage) == Provider.GOOGLE


def test_what_a_provider_asked_for_while_the_database_was_away_is_written_down_once_it_is_back(stage: Stage) -> None:
    def be_away(_conn: Connection) -> None:
        raise OperationalError("BEGIN", None, ConnectionError("the database is away"))

    async def scene() -> None:
        gate = Gate(stage.engine)
        try:
            pace = Pace(gate, stage.buckets, [ScriptedRelay().relay()])
            await pace.look()
            unusual = Reply(450, "4.7.28", "unusual rate of mail from your network")
            pace.hear("witness", Provider.GOOGLE, Deferred(unusual))
            event.listen(stage.engine, "begin", be_away)
            with pytest.raises(OperationalError):
                await pace.look()
            event.remove(stage.engine, "begin", be_away)
            await pace.look()
        finally:
            gate.close()

    asyncio.run(scene())
    assert slowed(stage) == Provider.GOOGLE


def test_what_became_of_a_days_letters_is_counted_by_relay_and_provider(stage: Stage) -> None:
    stage.add(30)
    stage.campaign()
    with ScriptedRelay(script={("RCPT", "p3@example.de"): say("550 5.1.1 no such user")}) as relay:
        stage.drain(relay.relay(lanes=2))
        name = relay.relay().name
    with stage.engine.begin() as conn:
        day = conn.execute(select(relay_day)).one()
    assert (day.relay, day.provider, day.sent, day.failed) == (name, Provider.OTHER, 29, 1)

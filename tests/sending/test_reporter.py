"""What a process says of the relays while it drains, and that it tries one again on a word."""

from dataclasses import replace

from sqlalchemy import select

from dispatcher.db import clock
from dispatcher.db.tables import batch
from dispatcher.db.terms import BatchState, CampaignKind, WorkerRole
from dispatcher.domain.delivery import batches, workers
from dispatcher.domain.delivery.workers import Found
from dispatcher.sending.drain import Orders
from dispatcher.sending.reporter import Reporter
from dispatcher.smtp.relays import Relay
from tests.relay import ScriptedRelay, say
from tests.stage import Stage


def orders_of(stage: Stage, relay: Relay) -> Orders:
    orders = stage.orders(relay)
    return replace(orders, reporter=Reporter(WorkerRole.BULK, orders.breakers))


def off(stage: Stage) -> list[Found]:
    with stage.engine.begin() as conn:
        return workers.off(workers.everyone(conn), clock.now(conn))


def waiting(stage: Stage) -> int:
    with stage.engine.begin() as conn:
        return batches.waiting(conn, [CampaignKind.NEWSLETTER], clock.now(conn), 10)


def try_again(stage: Stage, relay: str) -> int:
    with stage.engine.begin() as conn:
        return workers.try_again(conn, relay, clock.now(conn))


def test_a_relay_that_refuses_is_told_and_tried_again_at_once_on_a_word(stage: Stage) -> None:
    stage.add(3)
    campaign = stage.campaign()
    with ScriptedRelay(script={"BANNER": say("554 5.3.2 not today")}) as relay:
        orders = orders_of(stage, relay.relay(lanes=2))
        assert orders.reporter is not None
        began = stage.now()
        stage.obey(orders)
        orders.reporter.rest(stage.engine)
        (found,) = off(stage)
        assert "554 5.3.2 not today" in found.why
        assert found.next_try_at is not None
        assert (found.next_try_at - began).total_seconds() > 4
        assert (found.next_try_at - stage.now()).total_seconds() < 8
        relay.script = {}
        assert waiting(stage) == 0
        assert try_again(stage, found.relay) == 1
        assert waiting(stage) == 1
        stage.obey(orders)
        orders.reporter.rest(stage.engine)
    assert stage.status(campaign).sent == 3
    assert off(stage) == []


def test_what_a_recipient_has_put_off_keeps_its_time_when_a_relay_is_tried_again(stage: Stage) -> None:
    people = stage.add(2)
    stage.campaign()
    with ScriptedRelay(script={("RCPT", people[0]): say("450 4.2.2 mailbox full")}) as relay:
        stage.obey(orders_of(stage, relay.relay(lanes=1)))
    assert try_again(stage, relay.relay().name) == 0
    with stage.engine.begin() as conn:
        (row,) = conn.execute(select(batch.c.state, batch.c.not_before)).all()
    assert row.state == BatchState.DEFERRED
    assert (row.not_before - stage.now()).total_seconds() > 60


def test_while_it_sends_it_says_so_and_a_wish_is_heard_once(stage: Stage) -> None:
    stage.add(1)
    stage.campaign()
    with ScriptedRelay() as relay:
        orders = orders_of(stage, relay.relay(lanes=1))
        stage.obey(orders)
    with stage.engine.begin() as conn:
        (said,) = workers.everyone(conn)  # at the first look of the drain
    assert said.is_sending
    assert said.role is WorkerRole.BULK
    assert said.started_at <= said.seen_at
    assert orders.reporter is not None
    assert orders.reporter.due() is None  # it was said a moment ago

"""A drain that ends before its lanes have: called off, or because one of them met what nobody foresaw."""

import asyncio
import contextlib
import gc
import threading
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, event, select, update
from sqlalchemy.exc import OperationalError

from dispatcher.db.tables import batch, delivery
from dispatcher.db.terms import BatchState, CampaignState, Outcome
from dispatcher.domain.audience import dealing_out
from dispatcher.domain.delivery import flights
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.ledger import Final
from dispatcher.sending.drain import drain
from dispatcher.sending.gate import DATABASE_AWAY, Gate
from tests import builders
from tests.relay import Act, Ask, ScriptedRelay
from tests.sending.apart import run_apart
from tests.stage import Stage


def _call_off_while_a_dot_is_out(stage: Stage, whose: str) -> ScriptedRelay:
    """Drain over one lane; call the drain off once the relay has taken `whose` letter, and before it says so."""

    def take_and_say_nothing(ask: Ask) -> Act | None:
        return Act(silent=True, accept=True, hang=True) if (ask.verb, ask.recipient) == ("DOT", whose) else None

    async def scene(relay: ScriptedRelay) -> None:
        drawing = asyncio.create_task(drain(stage.engine, stage.orders(relay.relay(lanes=1))))
        assert await asyncio.to_thread(relay.wait_until, lambda r: whose in [a.recipient for a in r.accepted])
        drawing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drawing

    with ScriptedRelay(script=take_and_say_nothing) as relay:
        run_apart(scene(relay))
    return relay


def test_a_letter_that_is_out_when_its_drain_is_called_off_is_left_in_doubt_and_not_sent_again(stage: Stage) -> None:
    people = stage.add(40)
    campaign = stage.campaign()
    before = _call_off_while_a_dot_is_out(stage, people[5])
    with stage.engine.begin() as conn:
        (left,) = conn.execute(select(batch.c.state, batch.c.in_flight))
        assert left.state == BatchState.LEASED
        assert [flight.subscriber_id for flight in flights.read(left.in_flight)] == [stage.ids[people[5]]]
        conn.execute(update(batch).values(lease_until=builders.long_ago(conn)))
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
    assert sorted(a.recipient for a in before.accepted + relay.accepted) == sorted(people)
    assert [address for address, m in stage.missing(campaign).items() if m.outcome == "unknown"] == [people[5]]


def test_an_answer_whose_turn_was_called_off_and_then_failed_is_written_down_all_the_same(engine: Engine) -> None:
    claim = Claim(campaign_id=1, no=0, token=1, attempts=1, subscriber_ids=(1,))
    has_begun, may_fail = threading.Event(), threading.Event()

    def fail_once(_conn: Connection) -> None:
        if not may_fail.is_set():
            has_begun.set()
            may_fail.wait(20)
            raise OperationalError("BEGIN", None, ConnectionError("the database is away"))

    def written(conn: Connection, _now: datetime) -> list[int]:
        return list(conn.execute(select(delivery.c.subscriber_id)).scalars())

    async def scene() -> list[int]:
        gate = Gate(engine)
        try:
            await gate.transact(lambda _conn, _now: None)
            event.listen(engine, "begin", fail_once)
            gate.tell(Final(1, 1, Outcome.SENT, 7, 250, "250 Ok", "relay", was_deferred=True), claim)
            turning = asyncio.create_task(gate.run())
            assert await asyncio.to_thread(has_begun.wait, 20)
            turning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await turning
            may_fail.set()
            await gate.flush()
            return await gate.transact(written)
        finally:
            may_fail.set()
            gate.close()

    assert run_apart(scene()) == [1]


def test_a_database_that_goes_away_while_a_lane_has_two_letters_costs_only_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dealing_out, "PAGE", 1)  # each letter the last of its batch, whose claim it closes
    people = stage.add(6)
    campaign = stage.campaign()
    is_away = threading.Event()

    def be_away(_conn: Connection) -> None:
        if is_away.is_set():
            raise OperationalError("BEGIN", None, ConnectionError("the database is away"))

    def go_away(ask: Ask) -> Act | None:
        if (ask.verb, ask.recipient) == ("DOT", people[2]):
            is_away.set()
        return None

    event.listen(stage.engine, "begin", be_away)
    with ScriptedRelay(script=go_away) as relay, caplog.at_level("ERROR", "asyncio"):
        report = asyncio.run(drain(stage.engine, stage.orders(relay.relay(lanes=1))))
        assert report.problem == DATABASE_AWAY
        gc.collect()
        assert not caplog.records  # no claim failed of which nobody was told
        is_away.clear()
        with stage.engine.begin() as conn:
            conn.execute(
                update(batch).where(batch.c.state == BatchState.LEASED).values(lease_until=builders.long_ago(conn))
            )
        stage.drain(relay.relay(lanes=1))
    assert sorted(a.recipient for a in relay.accepted) == sorted(people)
    assert stage.status(campaign).state is CampaignState.SENT

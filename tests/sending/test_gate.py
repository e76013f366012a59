"""When the gate has a turn; what runs beside its turns, and what it may write down."""

import asyncio
import threading
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, select

from dispatcher.db.tables import delivery
from dispatcher.db.terms import Language, Outcome, Topic
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.delivery.passage import Intent
from dispatcher.domain.ledger import Final
from dispatcher.sending import gate as gate_module
from dispatcher.sending.gate import Gate
from dispatcher.smtp.lane import Lane
from tests.relay import ScriptedRelay
from tests.sending.apart import run_apart
from tests.stage import Stage

ONE = Claim(campaign_id=1, no=0, token=1, attempts=1, subscriber_ids=(1, 2))
OTHER = Claim(campaign_id=1, no=1, token=1, attempts=1, subscriber_ids=(3,))


def answered(who: int) -> Final:
    return Final(1, who, Outcome.SENT, 7, 250, "250 Ok", "relay", was_deferred=False)


def written(conn: Connection, _now: datetime) -> list[int]:
    return list(conn.execute(select(delivery.c.subscriber_id).order_by(delivery.c.subscriber_id)).scalars())


def test_what_closes_a_claim_writes_down_its_answers_and_those_of_no_other(engine: Engine) -> None:
    async def scene() -> tuple[list[int], list[int], list[int]]:
        gate = Gate(engine)
        try:
            for who, claim in ((1, ONE), (3, OTHER), (2, ONE)):
                gate.tell(answered(who), claim)
            seen_by_the_work = await gate.conclude(ONE, written)
            before = await gate.transact(written)
            await gate.flush()
            return seen_by_the_work, before, await gate.transact(written)
        finally:
            gate.close()

    assert asyncio.run(scene()) == ([1, 2], [1, 2], [1, 2, 3])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_slow_claim_lets_nobody_wait_at_the_gate(engine: Engine) -> None:
    async def scene() -> list[int]:
        gate, may_end = Gate(engine), threading.Event()
        try:
            slow = asyncio.create_task(gate.transact(lambda _conn, _now: may_end.wait(30)))
            gate.tell(answered(3), OTHER)
            async with asyncio.timeout(20):
                await gate.flush()
            assert not slow.done()
            may_end.set()
            assert await slow
            return await gate.transact(written)
        finally:
            may_end.set()
            gate.close()

    assert asyncio.run(scene()) == [3]


ANY_WAIT, NO_WAIT = 3600.0, 0.0  # seconds that askers wait for company: so that a turn does not come, or does at once


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it is asked nothing that matters
@pytest.mark.parametrize(
    ("is_busy", "askers", "wait", "has_turn"),
    [
        (True, 5, ANY_WAIT, False),
        (True, 6, ANY_WAIT, True),  # three quarters of eight
        (True, 1, NO_WAIT, True),  # nobody waits for company for ever
        (False, 1, ANY_WAIT, True),
    ],
)
def test_who_asks_waits_for_company_where_the_process_is_busy_and_fewer_than_three_quarters_of_its_lanes_ask(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, is_busy: bool, askers: int, wait: float, has_turn: bool
) -> None:
    monkeypatch.setattr(gate_module, "GATHER", wait)
    turns: list[int] = []

    async def scene() -> None:
        gate = Gate(engine, lanes=8, each_turn=lambda: turns.append(1))
        try:
            await gate.transact(written)
            gate._leisure.note(0.0, 100.0)
            gate._leisure.note(1.0 if is_busy else 0.0, 101.0)
            gate.campaigns[1] = Stage.made_up_campaign(Topic.FINANCE_NEWS, Language.DE)
            turning = asyncio.create_task(gate.run())
            for who in range(askers):
                gate.ask(Intent(ONE, who, 1, "relay"), 0, Lane(ScriptedRelay().relay()), None)
            for _ in range(30):  # of the loop: no time passes
                await asyncio.sleep(0)
            turning.cancel()
            await asyncio.wait([turning])
        finally:
            gate.close()

    run_apart(scene())
    assert bool(turns) is has_turn


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # its clock is asked once
def test_letters_bear_the_time_also_after_a_while_in_which_nobody_passed_the_gate(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "STRIKE", 0.001)

    async def scene() -> tuple[datetime, datetime]:
        looked = asyncio.Semaphore(0)
        gate = Gate(engine, each_turn=looked.release)
        try:
            gate.tell(answered(1), ONE)
            await gate.transact(written)
            turning = asyncio.create_task(gate.run())
            await looked.acquire()
            at_the_turn = gate.about_now()
            for _ in range(5):
                await looked.acquire()
            later = gate.about_now()
            gate.end()
            await turning
            return at_the_turn, later
        finally:
            gate.close()

    at_the_turn, later = asyncio.run(scene())
    assert later > at_the_turn

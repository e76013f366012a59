"""What runs beside the gate's turns, and what it may write down."""

import asyncio
import threading
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, select

from dispatcher.db.tables import delivery
from dispatcher.db.terms import Outcome
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.ledger import Final
from dispatcher.sending.gate import Gate

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

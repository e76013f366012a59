"""What is handed to a clerk is done, in order, and whoever waits hears of it."""

import asyncio
import threading

import pytest
from sqlalchemy import create_engine

from dispatcher.sending.clerk import Clerk


def test_what_was_handed_over_is_done_in_order_though_whoever_waited_was_called_off() -> None:
    done: list[str] = []
    may_go_on = threading.Event()

    async def scene() -> None:
        clerk = Clerk(create_engine("sqlite://"), "clerk")
        called_off = [
            clerk.do(lambda: may_go_on.wait(30) and done.append("slow")),
            clerk.do(lambda: done.append("left")),
        ]
        for waiting in called_off:
            waiting.cancel()
        may_go_on.set()
        await clerk.do(lambda: done.append("last"))
        clerk.close()

    asyncio.run(scene())
    assert done == ["slow", "left", "last"]


def test_an_error_is_raised_where_it_is_waited_for_and_the_next_piece_of_work_is_done() -> None:
    async def scene() -> int:
        clerk = Clerk(create_engine("sqlite://"), "clerk")
        try:
            with pytest.raises(ZeroDivisionError):
                await clerk.do(lambda: 1 // 0)
            return await clerk.do(lambda: 7)
        finally:
            clerk.close()

    assert asyncio.run(scene()) == 7


def test_work_that_ends_after_its_loop_harms_nobody() -> None:
    may_go_on = threading.Event()
    clerks: list[Clerk] = []

    async def leave() -> None:
        clerks.append(Clerk(create_engine("sqlite://"), "clerk"))
        clerks[0].do(lambda: may_go_on.wait(30)).cancel()

    asyncio.run(leave())
    may_go_on.set()
    clerks[0].close()

"""The ferry: who comes at one moment shares a transaction, and nobody has to suffer for what another brings."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from dispatcher.db.tables import signup_attempt
from dispatcher.web.ferry import Ferry
from tests.web.visitor import on_sqlite


class Serving:
    """Enters a row for each question; the first group waits until it is told to go on."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.has_begun, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, conn: Connection, questions: Sequence[str], now: datetime) -> list[str]:
        self.groups.append(list(questions))
        self.has_begun.set()
        assert self.may_go_on.wait(30)
        for question in questions:
            conn.execute(insert(signup_attempt), {"at": now, "bucket": question, "bucket_hash": b"h" * 16})
            if question == "refused":
                raise IntegrityError("INSERT", None, Exception("somebody's key"))
            if question == "away":
                raise OperationalError("INSERT", None, Exception("no connection"))
        return [question.upper() for question in questions]


def take(engine: Engine, *others: str) -> tuple[Serving, list[str | BaseException]]:
    """Let `first` be under way, and the others come meanwhile; give what became of those."""
    serving = Serving()
    ferry = Ferry(engine, "test", serving)

    async def visit() -> list[str | BaseException]:
        first = asyncio.create_task(ferry.take("first"))
        await asyncio.to_thread(serving.has_begun.wait, 30)
        waiting = [asyncio.create_task(ferry.take(other)) for other in others]
        await asyncio.sleep(0)  # until all of them have asked
        serving.may_go_on.set()
        assert await first == "FIRST"
        return await asyncio.gather(*waiting, return_exceptions=True)

    return serving, asyncio.run(visit())


def rows(engine: Engine) -> int:
    with engine.begin() as conn:
        return conn.execute(select(func.count()).select_from(signup_attempt)).scalar_one()


@on_sqlite
def test_whoever_comes_while_others_are_served_goes_with_the_next_group(engine: Engine) -> None:
    serving, answers = take(engine, "a", "b", "c")
    assert serving.groups == [["first"], ["a", "b", "c"]]
    assert answers == ["A", "B", "C"]
    assert rows(engine) == 4


@pytest.mark.both_databases
def test_what_one_brings_costs_the_others_nothing(engine: Engine) -> None:
    serving, answers = take(engine, "a", "refused", "c")
    assert serving.groups == [["first"], ["a", "refused", "c"], ["a"], ["refused"], ["c"]]
    assert [answers[0], answers[2]] == ["A", "C"]
    assert isinstance(answers[1], IntegrityError)
    assert rows(engine) == 3


@on_sqlite
def test_while_the_database_is_away_nobody_is_served_a_second_time(engine: Engine) -> None:
    serving, answers = take(engine, "a", "away", "c")
    assert serving.groups == [["first"], ["a", "away", "c"]]
    assert all(isinstance(answer, OperationalError) for answer in answers)
    assert rows(engine) == 1


@on_sqlite
def test_a_question_is_answered_though_its_visitor_has_gone(engine: Engine) -> None:
    serving = Serving()
    ferry = Ferry(engine, "test", serving)

    async def visit() -> None:
        gone = asyncio.create_task(ferry.take("gone"))
        await asyncio.to_thread(serving.has_begun.wait, 30)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        serving.may_go_on.set()
        assert await ferry.take("here") == "HERE"

    asyncio.run(visit())
    assert rows(engine) == 2

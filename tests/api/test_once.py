"""A request that comes twice is done once: after a lost answer, at the same moment, and not for ever."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest
from sqlalchemy import update

from dispatcher.db import clock
from dispatcher.db.tables import api_answer
from dispatcher.domain import periods, retention
from dispatcher.domain.programs.api_answers import KEPT
from dispatcher.domain.retention import Step
from tests.api.program import DRAFT, MARIA, House, Program, kind_of

KEY = {"Idempotency-Key": "5f0c9d7e-order-1"}
JSON = {"Content-Type": "application/json"}
WISH = {"address": MARIA, "topics": ["finance-news"], "source": "shop, checkout 4"}


def test_a_request_that_is_repeated_is_done_once_and_gets_the_same_answer(program: Program, api_house: House) -> None:
    first = program.ask("POST", "/campaigns", json=DRAFT, headers=KEY)
    again = program.ask("POST", "/campaigns", content=first.request.content + b"\n", headers=KEY | JSON)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(api_house.rows("campaign")) == 1


def test_the_key_of_one_request_is_refused_for_another(program: Program, api_house: House) -> None:
    program.post("/campaigns", DRAFT, headers=KEY)
    for path, said in (("/campaigns", {**DRAFT, "subject": "Silber"}), ("/subscribers", WISH)):
        problem = program.refused("POST", path, said, headers=KEY)
        assert (problem["status"], kind_of(problem)) == (409, "key-of-another")
    assert program.refused("POST", "/campaigns/1/pause", headers={"Idempotency-Key": "pause"})["status"] == 409
    assert len(api_house.rows("campaign")) == 1
    other = api_house.program()
    assert other.post("/campaigns", DRAFT, headers=KEY)["id"] == 2  # of another program it is another key


@pytest.mark.both_databases
def test_of_many_twins_at_the_same_moment_one_does_it_and_all_get_its_answer(
    program: Program, api_house: House
) -> None:
    together = Barrier(6)

    def ask(_: int) -> httpx.Response:
        together.wait()
        return program.ask("POST", "/subscribers", json=WISH, headers=KEY)

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(ask, range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len([answer for answer in answers if "idempotent-replayed" in answer.headers]) == 5
    assert len(api_house.rows("opt_in_request")) == 1
    assert api_house.nudged == [1]


def test_what_was_refused_is_not_kept_and_can_be_put_right_under_the_same_key(program: Program) -> None:
    assert program.refused("POST", "/subscribers", {**WISH, "address": "nobody"}, headers=KEY)["status"] == 422
    told = program.post("/subscribers", WISH, headers=KEY)
    assert told["topics"] == [{"topic": "finance-news", "fate": "asked"}]


@pytest.mark.both_databases
def test_after_a_day_a_key_is_new_and_retention_lets_go_of_its_answer(program: Program, api_house: House) -> None:
    program.post("/campaigns", DRAFT, headers=KEY)
    (kept,) = api_house.rows("api_answer")
    with api_house.engine.begin() as conn:
        conn.execute(update(api_answer).values(at=kept.at - KEPT))
    assert program.post("/campaigns", DRAFT, headers=KEY)["id"] == 2
    with api_house.engine.begin() as conn:
        taken = retention.take(conn, Step.ANSWERS, periods.DEFAULT, clock.now(conn), None)
        assert taken.rows == 0  # the new answer is not a day old
        conn.execute(update(api_answer).values(at=kept.at - KEPT))
        assert retention.take(conn, Step.ANSWERS, periods.DEFAULT, clock.now(conn), None).rows == 1
    assert api_house.rows("api_answer") == []


def test_no_answer_that_is_kept_holds_an_address(program: Program, api_house: House) -> None:
    (maria,) = api_house.add(MARIA)
    program.post("/subscribers", {**WISH, "address": "josef@example.de"}, headers=KEY)
    program.post(f"/subscribers/{maria}/withdraw", {"source": "by telephone"}, headers={"Idempotency-Key": "2"})
    program.post("/suppressions", {"address": MARIA, "source": "letter"}, headers={"Idempotency-Key": "3"})
    kept = str(api_house.rows("api_answer"))
    assert kept.count("finance-news") >= 2
    assert "example.de" not in kept

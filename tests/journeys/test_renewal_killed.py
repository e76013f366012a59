"""People are asked to renew their consent while workers are killed and the command is given again: one mail each."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from dispatcher.db import clock
from dispatcher.db.tables import opt_in_request
from dispatcher.db.terms import CampaignState, Language, Topic
from dispatcher.domain import declarations
from dispatcher.domain.declarations import Draft
from tests.journeys.house import RunningHouse, kill_tree, let_leases_end, open_house, wait_for
from tests.stage import Stage

LANES = 4
PEOPLE = 700
KILLS = 2


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=LANES, relay_options=("--delay", "0.01"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_each_is_asked_once_whoever_is_killed_and_however_often_the_command_is_given(
    house: RunningHouse, stage: Stage, engine: Engine
) -> None:
    people = stage.add(PEOPLE)
    texts = {language: f"Words in {language}" for language in Language}
    with engine.begin() as conn:
        declarations.enter(conn, Draft("1", texts, tuple(Topic)), clock.now(conn))
        declarations.enter(conn, Draft("2", texts, tuple(Topic), frozenset({Topic.FINANCE_NEWS})), clock.now(conn))
    order = ("declarations", "ask", "2", "--topic", "finance-news")
    assert "700 to be asked" in house.run(*order)
    for number in range(1, KILLS + 1):
        worker = house.start("worker", "--concurrency", "1")
        wait_for(lambda seen=150 * number: house.relay.count() >= seen, "mails")  # type: ignore[misc]
        kill_tree(worker.pid)
        worker.wait()
        house.processes.remove(worker)
        let_leases_end(engine)
    house.start("worker", "--concurrency", "1")
    wait_for(lambda: stage.status(1).state is CampaignState.SENT, "the end of the campaign")
    assert "was asked before, under the same words" in house.run(*order)
    taken = Counter(a.recipient for a in house.relay.accepted())
    unknown = {address for address, m in stage.missing(1).items() if m.outcome == "unknown"}
    assert max(taken.values()) == 1
    assert set(taken) | unknown == set(people)
    assert len(unknown) <= KILLS * LANES
    with engine.begin() as conn:
        requests = select(func.count(), func.count(opt_in_request.c.subscriber_id.distinct()))
        assert tuple(conn.execute(requests).one()) == (PEOPLE, PEOPLE)

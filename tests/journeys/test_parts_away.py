"""Parts of the house go away in the middle, and come back or do not: nobody is lost, nobody gets two."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher.bench.postgres import PostgresServer
from dispatcher.db import migrate
from dispatcher.db.engine import make_engine
from dispatcher.db.terms import CampaignState
from tests.journeys.house import RunningHouse, let_leases_end, open_house, stage_of, wait_for
from tests.relay import Act, Ask, ScriptedRelay

PEOPLE = 600


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=4, relay_options=("--delay", "0.01"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_campaign_completes_with_the_broker_gone(house: RunningHouse, engine: Engine) -> None:
    stage = stage_of(house, engine)
    people = stage.add(PEOPLE)
    house.end_broker()
    house.start("worker", "--concurrency", "1")
    campaign = stage.campaign()
    wait_for(lambda: stage.status(campaign).state is CampaignState.SENT, "the end of the campaign")
    taken = Counter(a.recipient for a in house.relay.accepted())
    assert set(taken) == set(people)
    assert set(taken.values()) == {1}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL of its own, with fsync, to be crashed."""
    made = PostgresServer(durable=True)
    yield made
    made.remove()


@pytest.fixture
def house_on_postgres(server: PostgresServer, tmp_path: Path) -> Iterator[RunningHouse]:
    server.execute("DROP DATABASE IF EXISTS crashing WITH (FORCE)")
    server.execute("CREATE DATABASE crashing")
    yield from open_house(tmp_path, server.database("crashing"), lanes=4, relay_options=("--delay", "0.01"))


def test_a_campaign_survives_a_crash_of_postgresql(server: PostgresServer, house_on_postgres: RunningHouse) -> None:
    house = house_on_postgres
    engine = make_engine(house.database_url)
    migrate.upgrade(engine)
    stage = stage_of(house, engine)
    people = stage.add(PEOPLE)
    campaign = stage.campaign()
    house.start("worker", "--concurrency", "1")
    wait_for(lambda: house.relay.count() >= 100, "100 letters")
    server.stop("immediate")
    server.start()
    engine.dispose()
    let_leases_end(engine)
    wait_for(lambda: stage.status(campaign).state is CampaignState.SENT, "the end of the campaign")
    taken = Counter(a.recipient for a in house.relay.accepted())
    unknown = {address for address, m in stage.missing(campaign).items() if m.outcome == "unknown"}
    engine.dispose()
    assert max(taken.values()) == 1
    assert len(unknown) <= 4
    assert set(taken) | unknown == set(people)


def test_what_was_answered_while_the_database_was_away_is_written_down_when_it_is_back(
    server: PostgresServer, house_on_postgres: RunningHouse
) -> None:
    house = house_on_postgres
    engine = make_engine(house.database_url)
    migrate.upgrade(engine)
    stage = stage_of(house, engine)
    people = stage.add(40)
    campaign = stage.campaign()
    taken = threading.Event()

    def crash(ask: Ask) -> Act | None:
        if ask.verb == "DOT" and not taken.is_set():
            server.stop("immediate")
            taken.set()
        return None

    def come_back() -> None:
        taken.wait(20)
        server.start()

    back = threading.Thread(target=come_back)
    with ScriptedRelay() as relay:
        relay.script = crash
        back.start()
        stage.drain(relay.relay(lanes=4))
        back.join()
        got = Counter(letter.recipient for letter in relay.accepted)
        sent = stage.status(campaign).sent
        assert 1 <= sent == len(got) < 40
        relay.script = {}
        stage.drain(relay.relay(lanes=4))
        got = Counter(letter.recipient for letter in relay.accepted)
    assert stage.status(campaign).sent == 40
    engine.dispose()
    assert got == Counter(people)

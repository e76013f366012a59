"""A relay refuses, and a worker dies: the console says so, and how it goes on."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from dispatcher import health
from dispatcher.console.app import console
from dispatcher.db.tables import worker_report
from dispatcher.db.terms import CampaignState, Role
from dispatcher.domain.delivery import workers
from dispatcher.health import Part
from dispatcher.web.app import create_app
from tests.console.office import Office, text_of
from tests.journeys.house import RunningHouse, kill_tree, open_house, wait_for
from tests.relay import ScriptedRelay, say
from tests.stage import Stage


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=2, relay_options=())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_relay_that_refuses_is_told_tried_again_on_a_word_and_a_killed_worker_is_told_as_silent(
    house: RunningHouse, stage: Stage, engine: Engine
) -> None:
    stage.add(20)
    campaign = stage.campaign()
    with ScriptedRelay(script={"BANNER": say("554 5.3.2 closed for today")}) as relay:
        house.extra = {"DISPATCHER_SMTP_URL": relay.url(lanes=2), "DISPATCHER_CONSOLE_TOTP": "off"}
        office = Office(create_app(house.settings, engine, lambda _: None, [console]), house.settings, engine)
        sender = office.browser_of(Role.SENDER)
        worker = house.start("worker", "--concurrency", "1")
        wait_for(lambda: "Es wies uns schon bei der Begrüßung ab" in text_of(sender.get("/health")), "the page")
        (found,) = [f for f in health.examine(house.settings, lambda: engine, [Part.BREAKER]) if not f.is_well]
        assert "closed for today" in found.says
        relay.script = {}
        assert sender.post("/health/relay/try", {"relay": found.name}).status_code == 303
        wait_for(lambda: stage.status(campaign).state is CampaignState.SENT, "the end of the campaign")
        assert len(relay.accepted) == 20
    kill_tree(worker.pid)
    with engine.begin() as conn:
        assert {report.role for report in workers.everyone(conn)} == {"watch", "waited", "bulk"}
        for report in workers.everyone(conn):
            moved = {"seen_at": report.seen_at - timedelta(minutes=2)}  # the clock goes on
            conn.execute(update(worker_report).where(worker_report.c.process == report.process).values(moved))
    assert "Kein Zeichen seit 2 Minuten" in text_of(sender.get("/health"))
    (silent,) = health.examine(house.settings, lambda: engine, [Part.WORKERS])
    assert not silent.is_well

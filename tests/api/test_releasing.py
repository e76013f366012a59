"""A newsletter is released through the gate: what stops it is told, somebody answers for it, and it is done once."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, update

from dispatcher.api.entrance import Allowance
from dispatcher.db import clock
from dispatcher.db.tables import campaign
from dispatcher.domain.newsletters import authors, releases
from dispatcher.settings import Settings
from tests.api.program import DRAFT, PLAIN, House, Program, kind_of, on_sqlite, open_house

LEAKY = PLAIN.replace("kaum", "kaum, [Name],")
KEY = {"Idempotency-Key": "start-1"}


@pytest.fixture
def house(served: tuple[House, str]) -> House:
    """Serve pages and API: the look before a release presses the button there."""
    return served[0]


def enter(program: Program, text: str = PLAIN) -> int:
    return int(program.post("/campaigns", {**DRAFT, "contents": [{"source": text}]})["id"])


def looks(house: House) -> int:
    return len(house.rows("preflight"))


def test_what_stops_a_newsletter_is_told_in_both_languages_and_it_stays_a_draft(house: House) -> None:
    program = house.program()
    campaign_id = enter(program, LEAKY)
    report = program.post(f"/campaigns/{campaign_id}/check")
    assert report["stops"]
    for path, said in (("start", None), ("start", {}), ("schedule", {"at": "2031-01-01T09:00"})):
        problem = program.refused("POST", f"/campaigns/{campaign_id}/{path}", said, headers=KEY)
        assert (problem["status"], kind_of(problem)) == (409, "stopped")
        (found,) = problem["findings"]
        assert (found["check"], found["severity"], found["where"]) == ("placeholders", "stop", "content.de.md:9")
        assert found["de"]["what"] == "„[Name]“ ist nicht ausgefüllt."
        assert found["en"]["what"] == "“[Name]” was not filled in."
        assert found in report["findings"]
    assert program.get(f"/campaigns/{campaign_id}")["state"] == "draft"
    assert house.nudged == []
    assert house.rows("api_answer") == []  # a refusal is not kept


def test_a_program_may_answer_for_it_and_stands_in_the_release_as_who_wrote_and_who_released(house: House) -> None:
    campaign_id = enter(house.program(name="editor"), LEAKY)
    program = house.program(name="sender")
    despite: list[dict[str, Any]] = [{"check": "placeholders", "because": "a film"}]
    start = f"/campaigns/{campaign_id}/start"
    assert kind_of(program.refused("POST", start, {"despite": [*despite, *despite]})) == "refused"
    assert kind_of(program.refused("POST", start, {"despite": [{"check": "luck", "because": "x"}]})) == "invalid"
    assert kind_of(program.refused("POST", start, {"despite": [{"check": "links", "because": ""}]})) == "invalid"
    assert program.post(start, {"despite": despite})["state"] == "scheduled"
    assert house.nudged == [campaign_id]
    with house.engine.begin() as conn:
        held = releases.holding(conn, campaign_id)
        (written,) = authors.versions(conn, campaign_id)
    assert held is not None
    assert (held.by.kind, held.by.name, held.despite) == ("key", "sender", {"placeholders": "a film"})
    assert (written.by.actor.kind, written.by.name) == ("key", "editor")


def test_a_release_that_is_repeated_is_given_once_and_its_answer_comes_without_another_look(house: House) -> None:
    program = house.program()
    campaign_id = enter(program)

    def start() -> httpx.Response:
        return program.ask("POST", f"/campaigns/{campaign_id}/start", headers=KEY)

    first = start()
    assert first.json()["state"] == "scheduled"
    with house.engine.begin() as conn:  # by now it would be refused
        conn.execute(update(campaign).values(state="cancelled", finished_at=clock.now(conn)))
    seen = looks(house)
    again = start()
    assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (200, first.json(), "true")
    assert looks(house) == seen
    assert len(house.rows("campaign_release")) == 1
    problem = program.refused("POST", f"/campaigns/{campaign_id}/schedule", {"at": "2031-01-01T09:00"}, headers=KEY)
    assert kind_of(problem) == "key-of-another"


@on_sqlite
def test_with_four_eyes_the_key_that_wrote_does_not_release(settings: Settings, engine: Engine) -> None:
    house = open_house(replace(settings, four_eyes=True), engine, Allowance())
    program = house.program()
    campaign_id = enter(program)
    problem = program.refused("POST", f"/campaigns/{campaign_id}/start")
    assert (problem["status"], kind_of(problem)) == (409, "four-eyes")
    assert problem["detail"] == f"campaign {campaign_id} is not released: shop wrote version 1 of it"

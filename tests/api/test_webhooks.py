"""/webhooks: endpoints are entered and looked after by programs; the secret is told once and kept nowhere."""

from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.domain.programs import webhooks
from dispatcher.domain.tokens import Keyring
from tests.api.program import House, Program, kind_of, on_sqlite

SAID = {"url": "https://hooks.example.de/newsletter", "types": ["consent.given", "person.erased"]}


def test_the_secret_is_told_once_and_stands_nowhere(program: Program, api_house: House) -> None:
    key = {"Idempotency-Key": "one"}
    made = program.post("/webhooks", SAID, headers=key)
    assert made["secret"].startswith("whsec_")
    again = program.ask("POST", "/webhooks", json=SAID, headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {**made, "secret": None}
    assert "secret" not in program.get("/webhooks/1")
    assert [one["types"] for one in program.get("/webhooks")["items"]] == [["consent.given", "person.erased"]]
    stored = str(api_house.rows("api_answer")) + str(api_house.rows("webhook_endpoint"))
    assert made["secret"].removeprefix("whsec_") not in stored


@on_sqlite
def test_what_is_told_is_listed_in_pages_and_goes_once_more_on_a_word(program: Program, api_house: House) -> None:
    program.post("/webhooks", SAID)
    people = api_house.add("maria@example.de", "josef@example.de")
    listed = list(program.all("/webhooks/1/messages", limit=1))
    assert len(listed) == len(people) * 3
    assert len({message["id"] for message in listed}) == len(listed)
    assert {(message["type"], message["state"]) for message in listed} == {("consent.given", "waiting")}
    assert "example.de" not in str(listed)
    sent = program.post("/webhooks/1/test")["id"]
    assert program.get("/webhooks/1/messages", params={"limit": 1})["items"][0]["id"] == sent
    assert program.post("/webhooks/1/replay", {})["messages"] == 0
    assert program.post("/webhooks/1/off")["off_at"] is not None
    assert kind_of(program.refused("POST", "/webhooks/1/test")) == "not-possible-now"
    assert kind_of(program.refused("POST", "/webhooks/1/replay", {})) == "not-possible-now"
    assert program.post("/webhooks/1/on")["off_at"] is None
    assert kind_of(program.refused("GET", "/webhooks/7/messages")) == "not-found"


@on_sqlite
def test_what_is_no_endpoint_is_refused(program: Program) -> None:
    assert kind_of(program.refused("POST", "/webhooks", {**SAID, "url": "http://hooks.example.de/"})) == "refused"
    assert kind_of(program.refused("POST", "/webhooks", {**SAID, "types": ["webhook.test"]})) == "refused"
    assert kind_of(program.refused("POST", "/webhooks", {**SAID, "types": []})) == "invalid"


@on_sqlite
def test_health_names_a_receiver_that_was_given_up(program: Program, engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        now = clock.now(conn)
        webhooks.add(conn, keyring, "https://hooks.example.de/x", webhooks.KINDS, "a test", now)
        webhooks.give_up(conn, 1, "500", now)
    (part,) = [part for part in program.get("/health")["parts"] if part["part"] == "webhooks"]
    assert not part["is_well"]
    assert "endpoint 1 (hooks.example.de)" in part["says"]
    assert part["cure"]

"""/rights: a person is given everything, and erased, and the log says by which key."""

import pytest

from dispatcher.db.terms import Scope
from tests.api.program import MARIA, House, Program, kind_of, on_sqlite


def test_a_person_is_given_everything_that_is_held_and_the_log_says_by_whom(program: Program, api_house: House) -> None:
    (maria,) = api_house.add(MARIA)
    told = program.post("/rights/export", {"address": MARIA, "language": "en"})
    assert told["language"] == "en"
    assert told["held"]["person"]["address"] == MARIA
    assert told["held"]["person"]["public_id"] == maria
    assert told["held"]["explanation"]["person"]["about"]
    (row,) = api_house.rows("rights_request")
    assert (row.kind, row.operator, row.outcome) == ("access", "API key 1 (shop)", "everything held was exported")


@pytest.mark.both_databases
def test_a_person_is_erased_and_to_repeat_it_is_harmless(program: Program, api_house: House) -> None:
    (maria,) = api_house.add(MARIA)
    told = program.post("/rights/erase", {"address": MARIA, "received_on": "2026-01-05"})
    assert (told["outcome"], len(told["topics"])) == ("erased", 3)
    assert program.get(f"/subscribers/{maria}")["address"] is None
    (row,) = api_house.rows("rights_request")
    assert (row.kind, row.operator, f"{row.due_on}") == ("erasure", "API key 1 (shop)", "2026-02-05")
    assert program.post("/rights/erase", {"address": MARIA})["outcome"] == "was erased already"
    assert MARIA not in str(api_house.rows("subscriber")) + str(api_house.rows("api_answer"))


@on_sqlite
@pytest.mark.parametrize("what", ["export", "erase"])
def test_who_is_not_known_is_not_served_nor_is_a_day_to_come(program: Program, api_house: House, what: str) -> None:
    assert kind_of(program.refused("POST", f"/rights/{what}", {"address": "nobody@example.de"})) == "not-found"
    assert kind_of(program.refused("POST", f"/rights/{what}", {"address": "nobody"})) == "address-refused"
    late = {"address": MARIA, "received_on": "2999-01-01"}
    assert kind_of(program.refused("POST", f"/rights/{what}", late)) == "refused"
    other = api_house.program(*(scope for scope in Scope if scope is not Scope.RIGHTS_WRITE))
    assert kind_of(other.refused("POST", f"/rights/{what}", {"address": MARIA})) == "scope-lacking"
    assert api_house.rows("rights_request") == []


def test_a_right_that_is_asked_for_twice_under_one_key_is_served_and_entered_once(
    program: Program, api_house: House
) -> None:
    api_house.add(MARIA)
    ask, once, again = {"address": MARIA, "language": "en"}, {"Idempotency-Key": "1"}, {"Idempotency-Key": "2"}
    told = program.post("/rights/export", ask, headers=once)
    assert program.post("/rights/export", ask, headers=once)["held"]["person"] == told["held"]["person"]
    erased = program.post("/rights/erase", {"address": MARIA}, headers=again)
    twin = program.post("/rights/erase", {"address": MARIA}, headers=again)
    assert (twin["outcome"], twin["topics"]) == ("erased", erased["topics"])
    assert [row.kind for row in api_house.rows("rights_request")] == ["access", "erasure"]
    assert MARIA not in str(api_house.rows("api_answer"))

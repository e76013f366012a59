"""Files of people by the API: handed in once, looked over, imported on the program's word."""

import pytest

from dispatcher.db.terms import Scope
from dispatcher.sending.handed_in import work
from dispatcher.sending.handed_in.place import Place, shelf_of
from tests.api.program import House, Program, kind_of, on_sqlite

pytestmark = on_sqlite
ROW = "anna@example.de,finance-news,2026-01-31T14:05:00+01:00,form 3\n"
FILE = f"email,topics,consent_at,consent_source\n{ROW}broken,finance-news,,\n".encode()
ORIGIN = {"origin": "export from the CRM", "file": "crm.csv"}


def hand_in(program: Program, content: bytes = FILE, key: str = "one", **params: object) -> object:
    """Send a file."""
    headers = {"Idempotency-Key": key, "Content-Type": "application/octet-stream"}
    answer = program.ask("POST", "/imports", params={**ORIGIN, **params}, content=content, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def work_off(house: House) -> None:
    """Be the worker."""
    place = Place(house.engine, house.settings, house.keyring, shelf_of(house.settings), "worker", lambda: False)
    work.work_off(place)


def test_a_file_is_handed_in_looked_over_and_imported(api_house: House) -> None:
    program = api_house.program()
    told = hand_in(program)
    assert (told["id"], told["state"], told["file"], told["rows"]) == (1, "looking", "crm.csv", 0)
    assert kind_of(program.refused("POST", "/imports/1/start")) == "not-possible-now"
    work_off(api_house)
    looked = program.get("/imports/1")
    assert (looked["state"], looked["counts"]["confirmed"], looked["counts"]["rejected"]) == ("looked", 1, 1)
    assert api_house.rows("subscriber") == []
    started = program.post("/imports/1/start", headers={"Idempotency-Key": "go"})
    assert started["state"] == "importing"
    work_off(api_house)
    assert program.post("/imports/1/start", headers={"Idempotency-Key": "go"}) == started
    done = program.get("/imports/1")
    assert (done["state"], done["counts"], done["is_kept"]) == ("imported", looked["counts"], False)
    assert len(api_house.rows("subscriber")) == 1
    rejects = program.ask("GET", "/imports/1/rejects")
    assert rejects.headers["content-type"] == "text/csv; charset=utf-8"
    assert rejects.text.splitlines()[1] == "3,An email address must have an @-sign.,broken,finance-news,,"
    assert [each["id"] for each in program.all("/imports", limit=1)] == [1]


def test_a_request_that_is_repeated_leaves_one_file_and_another_file_is_another_request(api_house: House) -> None:
    program = api_house.program()
    first = hand_in(program)
    assert hand_in(program) == first
    assert len(list(api_house.settings.uploads.iterdir())) == 1
    headers = {"Idempotency-Key": "one"}
    other = program.refused("POST", "/imports", params=ORIGIN, content=FILE + b"x", headers=headers)
    assert kind_of(other) == "key-of-another"
    assert len(list(api_house.settings.uploads.iterdir())) == 1
    program.post("/imports/1/discard")
    work_off(api_house)
    work.sweep(api_house.engine, shelf_of(api_house.settings))
    assert list(api_house.settings.uploads.iterdir()) == []


@pytest.mark.parametrize(
    ("params", "content", "kind"),
    [
        ({}, FILE, "invalid"),
        (ORIGIN, b"", "refused"),
        ({**ORIGIN, "encoding": "ebcdic"}, FILE, "invalid"),
        ({**ORIGIN, "columns": "nonsense=E-Mail"}, FILE, "invalid"),
        ({**ORIGIN, "file": "../../etc/passwd"}, FILE, "invalid"),
        ({"origin": "list of anna@example.de"}, FILE, "refused"),
    ],
)
def test_what_cannot_be_taken_leaves_no_file_behind(
    program: Program, api_house: House, params: dict[str, str], content: bytes, kind: str
) -> None:
    assert kind_of(program.refused("POST", "/imports", params=params, content=content)) == kind
    assert list(api_house.settings.uploads.iterdir()) == []


def test_no_file_is_read_of_a_key_that_may_not_hand_one_in(api_house: House) -> None:
    program = api_house.program(Scope.SUBSCRIBERS_READ)
    assert kind_of(program.refused("POST", "/imports", params=ORIGIN, content=FILE)) == "scope-lacking"
    assert not api_house.settings.uploads.exists()


def test_a_file_may_be_larger_than_other_requests_and_not_larger_than_the_setting(api_house: House) -> None:
    program = api_house.program()
    told = hand_in(program, FILE + ROW.encode() * 20_000)
    assert told["octets"] > 1024 * 1024
    object.__setattr__(api_house.settings, "upload_limit", 1000)
    big = program.refused("POST", "/imports", params=ORIGIN, content=b"x" * 1001)
    assert kind_of(big) == "too-large"
    assert len(list(api_house.settings.uploads.iterdir())) == 1

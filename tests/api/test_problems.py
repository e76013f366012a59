"""What goes wrong is told as a problem: what happened, to which thing, what to do; and nothing of what is inside."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from structlog.testing import capture_logs

from dispatcher.api.problems import KINDS
from tests.api.program import DRAFT, MARIA, House, Program, kind_of, on_sqlite

JSON = {"Content-Type": "application/json"}
CASES = {
    "no such campaign": ("GET", "/campaigns/77", {}, "not-found", "there is no newsletter 77"),
    "no such path": ("GET", "/campaign", {}, "not-found", "nothing at this path"),
    "no such person": ("GET", "/subscribers/00ff00ff00ff00ff", {}, "not-found", "nobody with the id"),
    "not with this method": ("DELETE", "/campaigns/1", {}, "not-allowed", "DELETE is not possible here"),
    "no JSON": ("POST", "/campaigns", {"content": b"{", "headers": JSON}, "not-readable", "no JSON"),
    "a form": ("POST", "/campaigns", {"data": {"topic": "x"}}, "media-type", "no JSON"),
    "too large": ("POST", "/campaigns", {"content": b"x" * (1 << 20 | 1), "headers": JSON}, "too-large", "is larger"),
    "a field that there is not": (
        "POST", "/subscribers/lookup", {"json": {"adress": MARIA}}, "invalid", "not as described: /address, /adress",
    ),
    "a half character": (
        "POST", "/subscribers/lookup", {"content": rb'{"address": "\ud800"}', "headers": JSON}, "invalid", "/address",
    ),
    "a NUL": ("POST", "/subscribers/lookup", {"json": {"address": "a\0b@example.de"}}, "invalid", "/address"),
    "no address": (
        "POST", "/subscribers/lookup", {"json": {"address": "maria@"}}, "address-refused", "after the @-sign",
    ),
    "a parameter out of bounds": ("GET", "/campaigns?limit=100000", {}, "invalid", "limit"),
    "a cursor of another list": ("GET", "/campaigns?cursor=WyJldmVudHMiLDFd", {}, "refused", "not one of this list"),
    "a cursor of nobody's": ("GET", "/consent-events?cursor=x%00", {}, "refused", "not one of this list"),
    "a move that is not possible": ("POST", "/campaigns/1/pause", {}, "not-possible-now", "is draft; it cannot"),
    "a zone that there is not": (
        "POST", "/campaigns/1/schedule", {"json": {"at": "2027-01-01T09:00", "zone": "Mars/Nord"}}, "refused",
        "no time zone 'Mars/Nord'",
    ),
    "a time that is past": (
        "POST", "/campaigns/1/schedule", {"json": {"at": "2020-01-01T09:00"}}, "refused", "is in the past",
    ),
    "content with a fault": (
        "POST", "/campaigns", {"json": {**DRAFT, "contents": [{"source": "---\nlanguage: xx\n---\n"}]}},
        "content-refused", "contents[0], line 2",
    ),
    "nobody to suppress": ("POST", "/suppressions", {"json": {"source": "x"}}, "refused", "whom never to mail"),
    "a kind that there is not": ("GET", "/problems/strange", {}, "not-found", "no kind of problem 'strange'"),
}  # fmt: skip


@on_sqlite
def test_each_thing_that_goes_wrong_has_its_kind_its_words_and_a_cure(program: Program) -> None:
    program.post("/campaigns", DRAFT)
    with capture_logs() as lines:
        for case, (method, path, request, kind, words) in CASES.items():
            problem = program.refused(method, path, **request)
            assert (kind_of(problem), problem["status"]) == (kind, KINDS[kind].status), case
            assert words in problem["detail"], case
            assert MARIA not in str(problem), case
    assert lines == []


@on_sqlite
def test_each_kind_of_problem_is_explained_where_its_type_leads(api_house: House) -> None:
    nobody = Program(api_house.app, None)
    for kind, about in KINDS.items():
        assert nobody.get(f"/problems/{kind}") == {"title": about.title, "status": about.status, "about": about.about}


@on_sqlite
def test_405_names_every_method_of_the_path(program: Program) -> None:
    assert program.ask("DELETE", "/campaigns").headers["allow"] == "GET, POST"
    assert program.ask("GET", "/campaigns/1/rate").headers["allow"] == "PUT"


@on_sqlite
def test_a_fault_of_ours_shows_nothing_outside_and_is_logged_without_values(program: Program, api_house: House) -> None:
    @event.listens_for(api_house.engine, "before_cursor_execute")
    def _break(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "suppression" in statement:
            raise RuntimeError(f"a fault with {MARIA} in it")

    with capture_logs() as lines:
        answer = program.ask("POST", "/suppressions/lookup", json={"address": MARIA})
    assert (answer.status_code, kind_of(answer.json())) == (500, "failed")
    assert "fault with" not in answer.text
    assert [(line["event"], line["error"]) for line in lines] == [("page.failed", "RuntimeError")]
    assert MARIA not in str(lines)


@pytest.mark.parametrize("path", ["/key", "/campaigns"])
@on_sqlite
def test_while_the_database_is_away_it_is_said_when_to_ask_again(
    program: Program, engine: Engine, database_url: str, path: str
) -> None:
    file = Path(database_url.removeprefix("sqlite:///"))
    engine.dispose()
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    answer = program.ask("GET", path)
    assert (answer.status_code, kind_of(answer.json())) == (503, "away")
    assert answer.headers["retry-after"] == "30"
    assert file.name not in answer.text

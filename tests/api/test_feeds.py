"""/feeds: programs let news from elsewhere fill a series, and look at what it would bring."""

import pytest

from dispatcher.db.terms import Scope
from tests.api.program import House, Program, kind_of, on_sqlite
from tests.compose.test_news import rss
from tests.web_server import Says, running_web

PLAN = {"name": "Marktbericht", "topic": "finance-news", "subject": "Der Markt", "every": "daily", "at": "09:00"}


def test_a_feed_is_entered_looked_at_and_removed(
    program: Program, api_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_web({"/feed.xml": Says(200, rss("<title>Gold</title>", "<title>Silber</title>"))}) as web:
        made = program.post("/feeds", {"url": web.url("/feed.xml"), "series": PLAN, "most": 1})
        assert (made["series_id"], made["releases"], made["ahead_s"], made["said"]) == (1, False, 4 * 3600, None)
        assert made["next_issue"] is not None
        assert program.get("/feeds")["items"] == [made] == [program.get("/feeds/1")]
        problem = program.refused("POST", "/feeds/1/fetch")
        assert "is none of a web server" in problem["detail"]  # an address of the inside, which nobody named
    assert kind_of(program.refused("POST", "/feeds", {"url": "https://example.de/f", "series_id": 1})) == (
        "not-possible-now"
    )
    otherwise = {"url": "https://example.de/f", "language": "en", "releases": True, "most": 3, "ahead_minutes": None}
    changed = program.post("/feeds/1/change", otherwise)
    assert (changed["url"], changed["language"], changed["ahead_s"]) == ("https://example.de/f", "en", 900)
    assert program.post("/feeds/1/off")["off_at"] is not None
    assert program.post("/feeds/1/on")["off_at"] is None
    assert program.post("/feeds/1/remove") == {"series_id": 1}
    assert kind_of(program.refused("GET", "/feeds/1")) == "not-found"


@on_sqlite
def test_a_feed_that_releases_by_itself_needs_the_scope_that_sends(api_house: House) -> None:
    program = api_house.program(Scope.CAMPAIGNS_WRITE)
    said = {"url": "https://example.de/f", "series": PLAN}
    assert "campaigns:send" in program.refused("POST", "/feeds", {**said, "releases": True})["detail"]
    assert kind_of(program.refused("POST", "/feeds", {"url": "https://example.de/f"})) == "refused"
    assert kind_of(program.refused("POST", "/feeds", {**said, "series_id": 1})) == "refused"
    assert program.post("/feeds", said)["id"] == 1
    otherwise = {"url": "https://example.de/f", "language": "de", "releases": True, "most": 1, "ahead_minutes": None}
    assert "campaigns:send" in program.refused("POST", "/feeds/1/change", otherwise)["detail"]
    assert api_house.program().post("/feeds/1/change", otherwise)["releases"]
    assert "campaigns:send" in program.refused("POST", "/feeds/1/change", {**otherwise, "releases": False})["detail"]
    assert program.post("/feeds/1/off")["releases"]  # to hold it is nobody's harm
    assert "campaigns:send" in program.refused("POST", "/feeds/1/on")["detail"]

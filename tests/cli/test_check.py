"""`dispatcher campaigns check`, and what `start` says when something stops it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.domain import releases
from tests import builders
from tests.cli.conftest import Run
from tests.stage import Stage
from tests.web_server import Says, WebServer, running_web


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with running_web({"/impressum": Says(), "/privacy": Says()}) as web:
        monkeypatch.setenv("DISPATCHER_PUBLIC_URL", web.url(""))
        yield web


@pytest.fixture
def campaign_id(dispatcher: Run, outside: Path, stage: Stage) -> int:
    stage.add(2)
    (outside / "news.de.md").write_text(
        builders.CONTENT.replace("kaum bewegt", "kaum bewegt, [Name]"), encoding="utf-8"
    )
    words = ["--topic", "finance-news", "--subject", "Gold", "--content", outside / "news.de.md", "--by", "anna"]
    return int(dispatcher("campaigns", "create", *words, "--json").json["id"])


def test_check_tells_what_where_why_and_the_cure_in_each_language_and_ends_with_3(
    dispatcher: Run, pages: WebServer, campaign_id: int
) -> None:
    german = dispatcher("campaigns", "check", campaign_id, "--lang", "de")
    assert german.code == 3
    assert "stop Platzhalter · Wer eine Lücke statt des Namens liest" in german.out
    assert "news.de.md:9 · „[Name]“ ist nicht ausgefüllt." in german.out
    assert "→ Schreiben Sie das Feld" in german.out
    assert f"campaign {campaign_id}: 2 letters composed; 2 stop" in german.out
    ran = dispatcher("campaigns", "check", campaign_id, "--json")
    assert ran.code == 3
    said = json.loads(ran.out)
    assert (said["people"], said["stops"]) == (2, True)
    leak = next(f for f in said["findings"] if f["check"] == "placeholders")
    assert (leak["severity"], leak["where"]) == ("stop", "news.de.md:9")
    assert leak["said"]["en"]["what"] == "“[Name]” was not filled in."


def test_start_tells_what_stops_it_and_goes_when_somebody_answers_for_it(
    dispatcher: Run, pages: WebServer, campaign_id: int, stage: Stage
) -> None:
    ran = dispatcher("campaigns", "start", campaign_id)
    assert ran.code == 3
    assert "--despite one-click --despite placeholders --because REASON" in ran.err
    assert dispatcher("campaigns", "status", campaign_id, "--json").json["state"] == "draft"
    words = ["--despite", "placeholders", "--despite", "one-click", "--because", "a film", "--by", "berta"]
    assert dispatcher("campaigns", "start", campaign_id, *words).code == 0
    with stage.engine.begin() as conn:
        held = releases.holding(conn, campaign_id)
    assert held is not None
    assert (held.by.name, held.despite) == ("berta", {"placeholders": "a film", "one-click": "a film"})


def test_start_wants_to_know_why_and_who(dispatcher: Run, pages: WebServer, campaign_id: int) -> None:
    assert dispatcher("campaigns", "start", campaign_id, "--despite", "links").error[0].startswith("no reason is given")
    assert dispatcher("campaigns", "start", campaign_id, "--by", " ").error == (
        "it is not said who acts",
        "add --by NAME",
    )

"""`dispatcher campaigns check`, `edit` and `take-back`, and what `start` says when something stops it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.domain.newsletters import releases
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


def test_a_draft_is_edited_by_who_read_it_and_what_is_released_is_taken_back_first(
    dispatcher: Run, pages: WebServer, campaign_id: int, outside: Path
) -> None:
    (outside / "news.de.md").write_text(builders.CONTENT, encoding="utf-8")
    mend = ["campaigns", "edit", campaign_id, "--content", outside / "news.de.md"]
    what, cure = dispatcher(*mend, "--by", "berta").error
    assert what == f"version 1 of campaign {campaign_id} was saved by anna, and it is not said that you read it"
    assert cure.endswith("then add --version 1")
    assert "is saved as version 2" in dispatcher(*mend, "--by", "berta", "--version", 1).out
    assert "is saved as version 3" in dispatcher(*mend, "--by", "Berta").out
    assert "berta saved version 2" in dispatcher(*mend, "--by", "anna", "--version", 1).error[0]
    assert dispatcher("campaigns", "contents", campaign_id).out == builders.CONTENT
    written = dispatcher("campaigns", "contents", campaign_id, "--json").json["written"]
    assert [(one["version"], one["by"]) for one in written] == [(1, "anna"), (2, "berta"), (3, "Berta")]
    assert dispatcher("campaigns", "contents", campaign_id, "--lang", "en").error[1] == "there are: de"
    assert "nothing is said" in dispatcher("campaigns", "edit", campaign_id).error[0]
    words = ["--despite", "one-click", "--despite", "links", "--because", "the pages\nare [not] up", "--by", "anna"]
    assert dispatcher("campaigns", "schedule", campaign_id, "--at", "2031-12-01T09:00", *words).code == 0
    assert dispatcher(*mend, "--by", "berta").error[1].startswith("take it back first")
    back = ["campaigns", "take-back", campaign_id, "--because", "a wrong price", "--by", "anna"]
    assert "is a draft again" in dispatcher(*back).out
    shown = dispatcher("campaigns", "status", campaign_id).out
    assert "version 3 written by Berta" in shown
    assert "version 3 released by anna" in shown
    assert "despite one-click: the pages\nare [not] up" in shown
    assert "taken back by anna: a wrong price" in shown
    (given,) = dispatcher("campaigns", "status", campaign_id, "--json").json["releases"]
    assert (given["version"], given["by"], given["people"], given["despite"]["one-click"][:5]) == (
        3,
        "anna",
        2,
        "the p",
    )


def test_with_four_eyes_the_command_line_is_told_who_acts_and_the_writer_does_not_release(
    dispatcher: Run, pages: WebServer, campaign_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCHER_FOUR_EYES", "on")
    assert dispatcher("campaigns", "start", campaign_id).error[1] == "add --by NAME"
    assert dispatcher("campaigns", "start", campaign_id, "--by", "ANNA").error == (
        f"campaign {campaign_id} is not released: ANNA wrote version 1 of it",
        "somebody who did not write it has to look at it and release it (DISPATCHER_FOUR_EYES is on)",
    )

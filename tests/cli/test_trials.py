"""A trial of subjects at the command line: entered, edited, watched, chosen."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from dispatcher.db.tables import trial
from dispatcher.sending import house as houses
from dispatcher.sending import sweep
from dispatcher.settings import load
from tests import builders
from tests.cli.conftest import Run
from tests.relay import ScriptedRelay
from tests.stage import Stage

CONTENT = builders.CONTENT.replace("title:", 'subjects:\n  - Gold steigt\n  - "Gold: was nun, {{ name }}?"\ntitle:')
DESPITE = ("--despite", "one-click", "--despite", "links", "--because", "the pages are not up in this test")


@pytest.fixture
def file(outside: Path) -> Path:
    path = outside / "news.de.md"
    path.write_text(CONTENT, encoding="utf-8")
    return path


def _create(dispatcher: Run, file: Path, *words: str | int) -> str:
    ran = dispatcher(
        "campaigns", "create", "--topic", "finance-news", "--subject", "Gold", "--content", file, "--json", *words
    )
    assert ran.code == 0, ran.err
    return str(ran.json["id"])


def test_a_trial_is_entered_and_edited_and_says_how_it_is_to_go(dispatcher: Run, file: Path, stage: Stage) -> None:
    stage.add(12)
    campaign = _create(dispatcher, file, "--wait", "90min", "--otherwise", "wait")
    assert dispatcher("campaigns", "edit", campaign, "--share", "50").code == 0
    with stage.engine.begin() as conn:
        row = conn.execute(select(trial)).one()
    assert (row.share, row.wait_s, row.otherwise) == (50, 5400, "wait")
    said = dispatcher("campaigns", "status", campaign).out
    assert "50 % try the subjects; the rest waits for the launch" in said
    assert "the wait: 90 min; if nothing is clear then: wait" in said
    what, _ = dispatcher("campaigns", "choose", campaign, "A").error
    assert what == f"campaign {campaign} is draft: nobody waits for a subject"
    assert dispatcher("campaigns", "check", campaign).out.count("Fewer than 100 for each subject prove nothing") == 1


def test_a_trial_is_watched_and_chosen(dispatcher: Run, file: Path, stage: Stage) -> None:
    stage.add(12)
    campaign = _create(dispatcher, file, "--share", 50)
    started = dispatcher("campaigns", "start", campaign, *DESPITE)
    assert started.code == 0, started.out + started.err
    assert sweep.begin(stage.engine, int(campaign), houses.house(load()))
    with ScriptedRelay() as relay:
        stage.drain(relay.relay())
        assert len(relay.accepted) == 6
        shown = dispatcher("campaigns", "status", campaign)
        assert "Gold: was nun, {{ name }}?" in shown.out
        assert "fewer than 100 people for each subject: its figures prove nothing" in shown.out
        ran = dispatcher("campaigns", "choose", campaign, "b")
        assert ran.out == f"campaign {campaign}: the rest, 6 people, gets subject B\n"
        stage.drain(relay.relay())
    assert len(relay.accepted) == 12
    told = json.loads(dispatcher("campaigns", "status", campaign, "--json").out)["trial"]
    assert (told["chosen"], told["chosen_by"], told["waits_for"]) == ("B", "hand", None)
    assert [(each["letter"], each["people"], each["sent"]) for each in told["subjects"]] == [("A", 3, 3), ("B", 3, 3)]
    assert "the rest gets B, since " in dispatcher("campaigns", "status", campaign).out
    what, _ = dispatcher("campaigns", "choose", campaign, "A").error
    assert what == f"campaign {campaign} is sent: nobody waits for a subject"


def test_terms_of_no_trial_and_terms_that_make_none_are_refused(dispatcher: Run, file: Path) -> None:
    for words, what in (
        (("--share", 95), "a share of 95 per cent leaves no trial or no rest"),
        (("--wait", "soon"), "'soon' is no span of time"),
    ):
        ran = dispatcher(
            "campaigns", "create", "--topic", "finance-news", "--subject", "x", "--content", file, *map(str, words)
        )
        assert ran.error[0] == what
    file.write_text(builders.CONTENT, encoding="utf-8")
    one = _create(dispatcher, file)
    assert dispatcher("campaigns", "edit", one, "--share", "30").error[0].endswith("there is nothing to try")
    assert dispatcher("campaigns", "choose", one, "A").error[0].endswith("there is nothing to choose")
    told = json.loads(dispatcher("campaigns", "status", one, "--json").out)
    assert told["trial"] is None

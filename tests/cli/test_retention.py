"""`dispatcher retention`: the plan, a run, and the log."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.terms import Topic
from dispatcher.domain.retention import Step
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.cli.conftest import Run

GOLD = Topic.FINANCE_NEWS


@pytest.fixture
def _left(engine: Engine, keyring: Keyring) -> None:
    """Somebody who left everything yesterday."""
    with engine.begin() as conn:
        now = clock.now(conn) - timedelta(days=1)
        ids = list(builders.add_people(conn, keyring, ["maria@example.de"], now).values())
        builders.agree(conn, ids, GOLD, now)
        builders.withdraw(conn, ids, GOLD, now)


@pytest.mark.usefixtures("_left")
def test_the_plan_names_each_period_with_its_reason_and_what_is_due(dispatcher: Run) -> None:
    planned = {due["step"]: due for due in dispatcher("retention", "plan", "--json").json["plan"]}
    assert set(planned) == set(Step)
    assert (planned["profiles"]["rows"], planned["profiles"]["kept_for"]) == (1, "at once")
    assert planned["profiles"]["oldest"] is not None
    assert (planned["requests"]["rows"], planned["requests"]["most"]) == (0, "14d")
    shown = dispatcher("retention", "plan").out
    for words in ("3 calendar years", "195, 199 BGB", "names and addresses of who left", "dispatcher retention run"):
        assert words in shown


@pytest.mark.both_databases
@pytest.mark.usefixtures("_left")
def test_a_run_does_what_was_planned_and_the_log_shows_it(dispatcher: Run) -> None:
    assert dispatcher("retention", "log", "--json").json == {"runs": []}
    ran = dispatcher("retention", "run", "--json").json
    assert ran["rows"]["profiles"] == 1
    assert sum(ran["rows"].values()) == 1
    assert "names and addresses of who left" in dispatcher("retention", "run").out
    again, first = dispatcher("retention", "log", "--json").json["runs"]
    assert (first, sum(again["rows"].values())) == (ran, 0)
    assert "operator, command line" in dispatcher("retention", "log").out
    assert [d["rows"] for d in dispatcher("retention", "plan", "--json").json["plan"]] == [0] * len(Step)


def test_a_period_that_is_set_out_of_bounds_stops_the_command(dispatcher: Run, outside: Path) -> None:
    (outside / "dispatcher.toml").write_text('retention = "unconfirmed=20d"\n', encoding="utf-8")
    what, cure = dispatcher("retention", "plan").error
    assert what == "DISPATCHER_RETENTION: unconfirmed=20d is not within the bounds"
    assert cure == "write unconfirmed=7d to unconfirmed=14d"

"""`dispatcher series`, and campaigns that go by each reader's own clock."""

from pathlib import Path

import pytest

from tests import builders
from tests.cli.conftest import Run
from tests.cli.test_campaigns import DESPITE
from tests.stage import Stage

CREATE = ["series", "create", "--name", "Markt", "--topic", "finance-news", "--subject", "Der Markt"]


@pytest.fixture
def file(outside: Path) -> Path:
    path = outside / "markt.de.md"
    path.write_text(builders.CONTENT, encoding="utf-8")
    return path


def test_a_series_is_created_filled_shown_skipped_paused_and_ended(dispatcher: Run, file: Path) -> None:
    ran = dispatcher(*CREATE, "--every", "Dienstag", "--at", "09:00")
    assert ran.out.startswith("series 1: finance-news, tuesday at 09:00 Europe/Berlin; the first Tue ")
    filled = dispatcher("series", "fill", 1, "--content", file, *DESPITE)
    assert filled.out.splitlines()[-1].startswith("campaign 1, a draft, goes out at Tue ")
    told = dispatcher("series", "show", 1, "--json").json
    assert [issue["campaign_id"] for issue in told["to_come"]] == [1, None, None, None, None]
    assert "no content yet: will be passed over" in dispatcher("series", "show", 1).out
    assert dispatcher("series", "list", "--json").json["series"][0]["waiting"] == [1]
    assert "passes over Tue" in dispatcher("series", "skip", 1).out
    shown = dispatcher("series", "show", 1).out
    assert "skipped" in shown
    assert dispatcher("series", "pause", 1).code == 0
    assert "paused" in dispatcher("series", "list").out
    assert dispatcher("series", "fill", 1, "--content", file, *DESPITE).out.endswith(
        "waits until the series is resumed\n"
    )
    assert "the next issue is due Tue" in dispatcher("series", "resume", 1).out
    assert dispatcher("series", "end", 1).out == "series 1 has ended\n"
    assert dispatcher("series", "pause", 1).error[0] == "series 1 is ended; it cannot become paused"


def test_a_draft_that_is_there_can_be_put_into_a_series(dispatcher: Run, file: Path) -> None:
    dispatcher(*CREATE, "--every", "daily", "--at", "23:59")
    words = ["--topic", "finance-news", "--subject", "Gold", "--content", file]
    assert dispatcher("campaigns", "create", *words).code == 0
    assert (
        dispatcher("series", "fill", 1, "--campaign", 1, *DESPITE)
        .out.splitlines()[-1]
        .startswith("campaign 1, a draft, goes out at")
    )
    assert dispatcher("series", "fill", 1).code == 2
    assert dispatcher("series", "fill", 1, "--campaign", 1, "--content", file).code == 2
    assert dispatcher("series", "fill", 1, "--campaign", 9).error[0] == "there is no campaign 9"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--every", "someday", "--at", "09:00"], "'someday' is no day"),
        (["--every", "tuesday", "--at", "nine"], "'nine' is no time of the day"),
        (["--every", "tuesday", "--at", "09:00", "--zone", "Berlin"], "there is no time zone 'Berlin'"),
    ],
)
def test_a_series_that_cannot_be_meant_is_refused(dispatcher: Run, words: list[str], what: str) -> None:
    assert dispatcher(*CREATE, *words).error[0] == what
    assert "no series yet" in dispatcher("series", "list").out
    assert dispatcher("series", "show", 1).error[0] == "there is no series 1"


def test_a_schedule_by_each_readers_own_clock_says_who_gets_it_when(
    dispatcher: Run, file: Path, stage: Stage, outside: Path
) -> None:
    people = outside / "people.csv"
    people.write_text(
        "email,zone,topics,consent_at,consent_source\n"
        "a@example.de,Europe/Berlin,finance-news,2026-01-02T03:04:05+01:00,form\n"
        "b@example.de,America/New_York,finance-news,2026-01-02T03:04:05+01:00,form\n"
        "c@example.de,,finance-news,2026-01-02T03:04:05+01:00,form\n"
        "d@example.de,Europe/Nowhere,finance-news,2026-01-02T03:04:05+01:00,form\n",
        encoding="utf-8",
    )
    ran = dispatcher("subscribers", "import", people, "--origin", "a test")
    assert "there is no time zone 'Europe/Nowhere'" in ran.out
    words = ["--topic", "finance-news", "--subject", "Gold", "--content", file]
    dispatcher("campaigns", "create", *words)
    at = ["--at", "2099-12-01T09:00", "--zone", "Europe/Berlin", "--local", *DESPITE]
    ran = dispatcher("campaigns", "schedule", 1, *at)
    *_, first, _, one, other = ran.out.splitlines()
    assert first == "campaign 1 goes out at 2099-12-01T09:00 by each reader's own clock"
    assert [line.split() for line in (one, other)] == [
        ["2099-12-01", "08:00", "2", "none,", "so", "Europe/Berlin,", "Europe/Berlin"],
        ["2099-12-01", "14:00", "1", "America/New_York"],
    ]
    with stage.engine.begin() as conn:
        (row,) = conn.exec_driver_sql("SELECT wall_time, zone, send_at FROM campaign").all()
    assert (row[0], row[1], str(row[2])[:16]) == ("2099-12-01T09:00", "Europe/Berlin", "2099-12-01 08:00")
    assert (
        dispatcher("campaigns", "schedule", 1, "--at", "2020-01-01T09:00", "--local").error[0].endswith("in the past")
    )


def test_a_zone_is_learnt_from_a_later_file_and_put_right_by_hand(dispatcher: Run, stage: Stage, outside: Path) -> None:
    (known,) = stage.add(1)
    people = outside / "zones.csv"

    def bring(zone: str) -> None:
        people.write_text(f"email,zone,topics\n{known},{zone},finance-news\n", encoding="utf-8")
        assert dispatcher("subscribers", "import", people, "--origin", f"zones {zone}").code == 0

    def zone() -> str:
        return str(dispatcher("subscribers", "list", "--json").json["zone"])

    bring("Asia/Tokyo")
    assert zone() == "Asia/Tokyo"
    bring("Europe/Rome")
    assert zone() == "Asia/Tokyo"
    assert dispatcher("subscribers", "rectify", known, "--zone", "Europe/Rome").code == 0
    assert zone() == "Europe/Rome"
    assert dispatcher("subscribers", "rectify", known, "--zone", "Rome").error[0] == "there is no time zone 'Rome'"

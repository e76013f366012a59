"""`dispatcher campaigns` and prices that grow old: said beforehand, held, and let go on."""

from pathlib import Path

import pytest

from dispatcher import settings
from dispatcher.sending import house as houses
from dispatcher.sending import sweep
from tests.cli.conftest import Run
from tests.cli.test_campaigns import DESPITE
from tests.stage import Stage

HEAD = "---\nlanguage: de\ntitle: Gold\nas_of: {as_of}\nprices_good_for: 4h\n---\nGold steigt.\n"


@pytest.fixture
def old(dispatcher: Run, outside: Path) -> int:
    """Give a draft whose prices are of long ago."""
    file = outside / "old.de.md"
    file.write_text(HEAD.format(as_of="2026-01-05 09:00"), encoding="utf-8")
    words = ["--topic", "finance-news", "--subject", "Gold", "--content", file, "--json"]
    return int(dispatcher("campaigns", "create", *words).json["id"])


@pytest.fixture
def new(outside: Path) -> Path:
    """Give content whose prices do not age."""
    file = outside / "new.de.md"
    file.write_text(HEAD.format(as_of="2026-01-05 09:00").replace("prices_good_for: 4h\n", ""), encoding="utf-8")
    return file


def _tick(stage: Stage) -> None:
    """As a worker does, of the house that the commands know."""
    sweep.tick(stage.engine, houses.house(settings.load()))


def _part(dispatcher: Run, name: str) -> dict[str, object]:
    return next(part for part in dispatcher("doctor", "--json").json["parts"] if part["part"] == name)


def test_a_schedule_with_prices_that_will_be_too_old_says_so(dispatcher: Run, old: int) -> None:
    ran = dispatcher("campaigns", "schedule", old, "--at", "2099-12-01T09:00", *DESPITE)
    assert ran.code == 0
    assert "it will be held then: its prices are of 2026-01-05 09:00 CET and were good until" in ran.out
    assert f"campaigns replace {old} --content FILE" in ran.out
    assert "its prices are good until 2026-01-05 13:00 CET" in dispatcher("campaigns", "status", old).out


def test_a_start_with_prices_that_are_too_old_is_refused(dispatcher: Run, old: int) -> None:
    what, cure = dispatcher("campaigns", "start", old, *DESPITE).error
    assert what.startswith(f"campaign {old} cannot go out: its prices are of 2026-01-05 09:00")
    assert cure == f"`campaigns replace {old} --content FILE` brings new ones"


def test_one_that_is_held_says_so_to_whoever_asks_and_goes_on_when_it_may(
    dispatcher: Run, old: int, new: Path, stage: Stage
) -> None:
    stage.add(1)
    dispatcher("campaigns", "schedule", old, "--at", "2099-12-01T09:00", *DESPITE)
    with stage.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE campaign SET send_at = created_at")
    _tick(stage)
    status = dispatcher("campaigns", "status", old, "--json").json
    assert (status["state"], status["prices_as_of"][:16]) == ("paused", "2026-01-05 08:00")
    assert "problem: held: its prices are of 2026-01-05 09:00 CET" in dispatcher("campaigns", "status", old).out
    part = _part(dispatcher, "campaigns")
    assert not part["well"]
    assert str(part["says"]).startswith(f"campaign {old} stands still, held: its prices")
    what, cure = dispatcher("campaigns", "resume", old).error
    assert what.startswith(f"campaign {old} cannot go on: its prices are of")
    assert "--with-old-prices" in cure
    ran = dispatcher("campaigns", "replace", old, "--content", new, *DESPITE)
    assert ran.out.splitlines()[-1] == f"campaign {old} has new content in de; it is sending"
    assert _part(dispatcher, "campaigns")["well"]


def test_old_prices_go_out_on_an_operators_word(dispatcher: Run, old: int, new: Path, stage: Stage) -> None:
    stage.add(1)
    assert dispatcher("campaigns", "replace", old, "--content", new.with_name("old.de.md")).out.endswith("is draft\n")
    dispatcher("campaigns", "schedule", old, "--at", "2099-12-01T09:00", *DESPITE)
    with stage.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE campaign SET send_at = created_at")
    _tick(stage)
    assert dispatcher("campaigns", "resume", old, "--with-old-prices").code == 0
    _tick(stage)
    assert dispatcher("campaigns", "status", old, "--json").json["state"] == "sending"


def test_what_is_paused_by_hand_waits_for_a_hand_with_its_new_content(
    dispatcher: Run, old: int, new: Path, stage: Stage
) -> None:
    stage.add(1)
    dispatcher("campaigns", "replace", old, "--content", new, *DESPITE)
    dispatcher("campaigns", "start", old, *DESPITE)
    _tick(stage)
    dispatcher("campaigns", "pause", old)
    ran = dispatcher("campaigns", "replace", old, "--content", new, *DESPITE)
    assert ran.out.splitlines()[-1] == f"next: dispatcher campaigns resume {old}"
    assert dispatcher("campaigns", "resume", old).code == 0


def test_with_four_eyes_new_content_under_way_is_released_by_somebody_else(
    dispatcher: Run, old: int, new: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.add(1)
    monkeypatch.setenv("DISPATCHER_FOUR_EYES", "on")
    dispatcher("campaigns", "replace", old, "--content", new, "--by", "anna", "--version", 1)
    assert dispatcher("campaigns", "start", old, *DESPITE, "--by", "berta").code == 0
    _tick(stage)
    dispatcher("campaigns", "pause", old)
    new.write_text(new.read_text(encoding="utf-8").replace("steigt", "fällt"), encoding="utf-8")
    ran = dispatcher("campaigns", "replace", old, "--content", new, *DESPITE, "--by", "anna", "--version", 2)
    assert ran.error[0] == f"campaign {old} is not released: anna wrote version 3 of it"
    assert dispatcher("campaigns", "resume", old).error[0].endswith("has new content that is not released")
    ran = dispatcher("campaigns", "replace", old, *DESPITE, "--by", "berta")
    assert f"campaign {old} is released in version 3; it is paused" in ran.out
    assert dispatcher("campaigns", "resume", old).code == 0

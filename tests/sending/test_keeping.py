"""Runs of retention: once a day, resumable at every chunk, noted to the row, by one process at a time."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from dispatcher.db import clock
from dispatcher.db.tables import retention_run, signup_attempt, subscriber
from dispatcher.domain import periods
from dispatcher.domain.retention import Step
from dispatcher.errors import SettingInvalid
from dispatcher.sending import house, keeping
from dispatcher.sending.keeping import Keeper
from dispatcher.settings import load
from tests import builders
from tests.stage import Stage

RULES = periods.DEFAULT
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def _try(stage: Stage, at: datetime, hours: int) -> None:
    """Note an attempt at the form, so many hours before."""
    row = {"at": at - timedelta(hours=hours), "bucket": "ip", "bucket_hash": bytes(16)}
    with stage.engine.begin() as conn:
        conn.execute(insert(signup_attempt), row)


def _chunk(stage: Stage, at: datetime) -> bool:
    with stage.engine.begin() as conn:
        return keeping.daily_chunk(conn, RULES, at)


def _runs(stage: Stage) -> list[keeping.Run]:
    with stage.engine.begin() as conn:
        return keeping.newest(conn)


def test_the_daily_run_goes_step_by_step_through_all_and_begins_again_after_a_day(stage: Stage) -> None:
    _try(stage, NOW, 25)
    chunks = 0
    while _chunk(stage, NOW):
        chunks += 1
    assert chunks == len(Step)
    (run,) = _runs(stage)
    assert (run.origin, run.started_at, run.finished_at, run.step) == ("daily", NOW, NOW, None)
    assert run.counts == dict.fromkeys(Step, 0) | {Step.ATTEMPTS: 1}
    assert not _chunk(stage, NOW + keeping.EVERY - timedelta(seconds=1))
    assert _chunk(stage, NOW + keeping.EVERY)
    assert len(_runs(stage)) == 2


def test_a_run_that_was_cut_off_goes_on_where_it_stood_and_counts_each_row_once(stage: Stage) -> None:
    for hours in (25, 26, 27):
        _try(stage, NOW, hours)
    for _ in range(3):
        assert _chunk(stage, NOW)
    with stage.engine.begin() as conn:
        stands = keeping.open_run(conn)
    assert stands is not None
    assert (stands.step, stands.steps_done) == (Step.OLDER, 3)
    while _chunk(stage, NOW + timedelta(days=3)):  # another process, days later
        pass
    newest, first = _runs(stage)
    assert first.counts[Step.ATTEMPTS] == 3
    assert newest.counts[Step.ATTEMPTS] == 0
    assert (first.finished_at, newest.started_at) == (NOW + timedelta(days=3),) * 2


def test_there_is_one_open_run_at_most(stage: Stage) -> None:
    assert _chunk(stage, NOW)
    row = {"origin": "daily", "started_at": NOW, "is_open": True, "step": Step.REQUESTS, "counts": {}}
    with pytest.raises(Exception, match="is_open"), stage.engine.begin() as conn:
        conn.execute(insert(retention_run), row)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite lets one process write at a time
def test_while_one_process_is_at_a_chunk_another_passes_by(stage: Stage) -> None:
    with stage.engine.begin() as conn:
        assert keeping.daily_chunk(conn, RULES, NOW)
        assert not _chunk(stage, NOW)


def test_an_operators_run_finishes_what_is_open_and_is_a_run_of_its_own(stage: Stage) -> None:
    assert _chunk(stage, NOW)
    _try(stage, stage.now(), 25)
    told: list[keeping.Run] = []
    done = keeping.run_now(stage.engine, RULES, "operator", told.append)
    newest, first = _runs(stage)
    assert newest == done == told[-1]
    assert (newest.origin, first.origin, first.step) == ("operator", "daily", None)
    assert first.counts[Step.ATTEMPTS] + newest.counts[Step.ATTEMPTS] == 1


def test_a_worker_keeps_the_periods_by_itself_and_then_rests(stage: Stage) -> None:
    (address,) = stage.add(1)
    stage.withdraw(address)
    keeper = Keeper(stage.engine, RULES)
    for _ in range(2 * len(Step)):  # a busy machine may do no more than one chunk in a moment
        keeper.step()
    with stage.engine.begin() as conn:
        assert conn.execute(select(subscriber.c.address)).scalars().all() == [None]
        long_ago = clock.now(conn) - timedelta(days=9)
        conn.execute(update(retention_run).values(started_at=long_ago))
    keeper.step()  # it has looked a moment ago
    assert len(_runs(stage)) == 1
    Keeper(stage.engine, RULES).step()
    assert len(_runs(stage)) == 2


def test_a_period_that_is_set_holds_and_one_out_of_bounds_is_refused_by_name(tmp_path, stage: Stage) -> None:
    settings = load({"DISPATCHER_RETENTION": "attempts=3d"}, tmp_path)
    _try(stage, NOW, 48)
    with stage.engine.begin() as conn:
        builders.add_people(conn, stage.keyring, ["maria@example.de"], NOW)
        while keeping.daily_chunk(conn, house.retention(settings), NOW):
            pass
    assert _runs(stage)[0].counts[Step.ATTEMPTS] == 0
    with pytest.raises(SettingInvalid, match="DISPATCHER_RETENTION: unconfirmed=30d is not within the bounds"):
        house.retention(load({"DISPATCHER_RETENTION": "unconfirmed=30d"}, tmp_path))

"""What worker processes say of themselves: who is silent, which relays are off, and what is forgotten when."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.domain.delivery import workers
from dispatcher.domain.delivery.workers import Found
from tests.builders import away, report

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_whoever_sends_or_watches_must_give_a_sign_and_who_waits_to_be_called_need_not() -> None:
    late = NOON - 2 * MINUTE
    assert report("watch", late).is_silent(NOON)
    assert report("bulk", late, is_sending=True).is_silent(NOON)
    assert not report("bulk", late).is_silent(NOON)
    assert not report("watch", NOON - MINUTE).is_silent(NOON)


def test_a_relay_that_several_leave_alone_is_told_once_from_the_first_failure_to_the_first_try() -> None:
    first, second = away("a", NOON - MINUTE), away("a", NOON)
    (off,) = workers.off([report("bulk", NOON, second), report("waited", NOON - MINUTE, first)], NOON)
    assert (off.since, off.next_try_at, off.failures) == (first.since, first.next_try_at, 6)


def test_what_a_silent_process_said_of_a_relay_and_what_others_know_better_counts_no_more() -> None:
    late, well = NOON - 2 * MINUTE, Found("a", well_at=NOON)
    assert workers.off([report("bulk", late, away("a", late), is_sending=True)], NOON) == []
    assert workers.off([report("bulk", late, away("a", late)), report("waited", NOON, well)], NOON) == []
    both = [report("bulk", NOON, away("a", late)), report("waited", NOON, Found("a", well_at=late))]
    assert [off.relay for off in workers.off(both, NOON)] == ["a"]


def test_a_report_takes_the_place_of_the_last_and_what_is_over_is_cleared_up(engine: Engine) -> None:
    with engine.begin() as conn:
        now = clock.now(conn)
        lives = report("watch", now, away("a", now), pid=1)
        killed = report("watch", now - 2 * MINUTE, pid=2)
        succeeded = report("bulk", now - 70 * MINUTE, pid=3)
        rests = report("bulk", now - 5 * MINUTE, pid=4)
        long_silent = report("waited", now - 61 * MINUTE, pid=5, is_sending=True)
        for each in (report("watch", now - MINUTE, pid=1), lives, killed, succeeded, rests, long_silent):
            workers.write(conn, each)
        workers.clear_up(conn, now)
        assert {r.pid for r in workers.everyone(conn)} == {1, 2, 4}
        assert workers.everyone(conn)[0] in (lives, killed)
        assert lives in workers.everyone(conn)
        workers.say_goodbye(conn, lives.process)
        assert lives not in workers.everyone(conn)

"""The log of rights: a month by calendar, one row and one end a request, and no address in it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine

from dispatcher.db.terms import RightKind
from dispatcher.domain.people import rights
from dispatcher.domain.people.rights import Done
from dispatcher.errors import InputRefused, NotFound

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MARIA, TOM = b"m" * 32, b"t" * 32
ERASURE, ACCESS = RightKind.ERASURE, RightKind.ACCESS


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-11-24T09:00:00+00:00", "2026-12-24"),
        ("2026-12-15T09:00:00+00:00", "2027-01-15"),
        ("2026-01-31T09:00:00+00:00", "2026-02-28"),  # no such day: the month's last
        ("2028-01-31T09:00:00+00:00", "2028-02-29"),
        ("2026-03-31T09:00:00+00:00", "2026-04-30"),
        ("2026-02-28T09:00:00+00:00", "2026-03-28"),
        ("2026-11-23T23:30:00+00:00", "2026-12-24"),  # in Berlin it was the 24th already
        ("2026-07-09T22:30:00+00:00", "2026-08-10"),
    ],
)
def test_a_request_is_due_a_month_later_by_the_calendar_of_berlin(received: str, due: str) -> None:
    assert rights.due_on(datetime.fromisoformat(received)) == date.fromisoformat(due)


def test_the_days_left_count_down_to_the_last_day_and_below_it_when_it_is_over(engine: Engine) -> None:
    with engine.begin() as conn:
        rights.enter(conn, ERASURE, MARIA, NOW)
        (asked,) = rights.of_address(conn, MARIA)
        late = datetime(2026, 12, 24, 22, 59, tzinfo=UTC)  # the last minute in Berlin
        assert (asked.days_left(NOW), asked.days_left(late)) == (30, 0)
        assert rights.overdue(conn, late) == []
        after = late + timedelta(minutes=1)
        assert asked.days_left(after) == -1
        assert rights.overdue(conn, after) == [asked]


def test_what_is_done_ends_every_open_request_of_its_kind_and_no_other(engine: Engine) -> None:
    with engine.begin() as conn:
        first = rights.enter(conn, ERASURE, MARIA, NOW)
        rights.enter(conn, ERASURE, MARIA, NOW)
        others = [rights.enter(conn, ACCESS, MARIA, NOW), rights.enter(conn, ERASURE, TOM, NOW)]
        assert rights.complete(conn, Done(ERASURE, MARIA, None, "anna", "erased"), NOW) == first
        open_ones = {asked.id for asked in rights.listed(conn) if asked.done_at is None}
        assert open_ones == set(others)


def test_what_was_never_entered_is_entered_as_done_with_the_day_it_came_in(engine: Engine) -> None:
    with engine.begin() as conn:
        came = rights.received(date(2026, 11, 20), NOW)
        rights.complete(conn, Done(ERASURE, MARIA, came, "anna", "erased"), NOW)
        (asked,) = rights.listed(conn)
    assert (asked.due_on, asked.done_at, asked.operator, asked.outcome) == (date(2026, 12, 20), NOW, "anna", "erased")


def test_a_request_ends_once(engine: Engine) -> None:
    with engine.begin() as conn:
        number = rights.enter(conn, ACCESS, MARIA, NOW)
        rights.close(conn, number, "anna", "answered by letter", NOW)
        with pytest.raises(NotFound, match=f"no request {number} is open"):
            rights.close(conn, number, "tom", "something else", NOW)
        assert rights.listed(conn)[0].operator == "anna"


def test_the_urgent_stands_at_the_top_and_the_done_at_the_end(engine: Engine) -> None:
    with engine.begin() as conn:
        later = rights.enter(conn, ACCESS, MARIA, NOW)
        sooner = rights.enter(conn, ERASURE, TOM, NOW - timedelta(days=20))
        done = rights.enter(conn, ERASURE, TOM, NOW - timedelta(days=40))
        rights.close(conn, done, "anna", "erased", NOW)
        assert [asked.id for asked in rights.listed(conn)] == [sooner, later, done]


def test_nothing_comes_in_tomorrow() -> None:
    with pytest.raises(InputRefused, match="future"):
        rights.received(date(2026, 11, 25), NOW)
    assert rights.received(date(2026, 11, 24), NOW) < NOW

"""A month of newsletters in the house's zone: what went out, what is to go, and when series have their turn."""

import calendar
import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection

from dispatcher.console.declare import Values, area, look
from dispatcher.console.visit import Visit
from dispatcher.db.terms import IssueOutcome, SeriesState
from dispatcher.domain.newsletters import campaigns, series
from dispatcher.domain.staff.roles import Permission
from dispatcher.zone import ZONE

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
_FURTHEST = timedelta(days=370)  # ahead, up to where series are drawn


@dataclass(frozen=True, slots=True)
class Item:
    """What stands on a day: `state` is a campaign's, or what an issue of a series is; `path` leads to it."""

    at: datetime
    name: str
    path: str
    state: str
    is_issue: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the page; those of the months beside it are empty."""

    date: date
    is_in: bool
    items: Sequence[Item] = ()


def show(visit: Visit) -> Values:
    """Give the month that is asked for, else this one."""
    today = visit.now.astimezone(ZONE).date()
    first = _first(visit.asked("month"), today)
    after = _next(first)
    items = _by_day(visit.conn, visit.now, _midnight(first), _midnight(after))
    weeks = [
        [Day(day, day.month == first.month, items.get(day, ()) if day.month == first.month else ()) for day in week]
        for week in calendar.Calendar().monthdatescalendar(first.year, first.month)
    ]
    return {
        "first": first,
        "before": f"{first - timedelta(days=1):%Y-%m}",
        "after": f"{after:%Y-%m}",
        "weeks": weeks,
        "days": [day for week in weeks for day in week if day.is_in and day.items],
        "today": today,
    }


def _first(asked: str, today: date) -> date:
    named = _MONTH.fullmatch(asked)
    return date(int(named[1]), int(named[2]), 1) if named else today.replace(day=1)


def _next(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)


def _by_day(conn: Connection, now: datetime, since: datetime, until: datetime) -> dict[date, Sequence[Item]]:
    found: dict[date, list[Item]] = defaultdict(list)
    for item in sorted(_items(conn, now, since, until), key=lambda item: item.at):
        found[item.at.astimezone(ZONE).date()].append(item)
    return dict(found)


def _items(conn: Connection, now: datetime, since: datetime, until: datetime) -> list[Item]:
    items = []
    for of in campaigns.between(conn, since, until):
        began = of.launched_at or of.send_at
        assert began is not None
        items.append(Item(began, of.name, f"/campaigns/{of.id}", of.state.value))
    known = {of.id: of for of in series.newest(conn)}
    for series_id, issue in series.past_between(conn, since, until):
        if issue.outcome is not IssueOutcome.RELEASED and issue.outcome is not None and series_id in known:
            items.append(_issue(known[series_id], issue.at, issue.outcome.value))
    for of_series in known.values():
        if of_series.state is SeriesState.ACTIVE:
            items += _to_come(conn, of_series, since, min(until, now + _FURTHEST))
    return items


def _to_come(conn: Connection, of: series.Series, since: datetime, until: datetime) -> list[Item]:
    coming = series.upcoming(of, series.waiting(conn, of.id))
    in_time = itertools.takewhile(lambda issue: issue.at < until, coming)
    return [
        _issue(of, issue.at, "waits" if issue.campaign_id else "no_content") for issue in in_time if issue.at >= since
    ]


def _issue(of: series.Series, at: datetime, state: str) -> Item:
    return Item(at, of.name, f"/campaigns/series/{of.id}", state, is_issue=True)


PAGES = area("campaigns", look("/campaigns/calendar", Permission.SEE_CAMPAIGNS, "calendar", show))

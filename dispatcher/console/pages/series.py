"""Newsletters that come again: which there are, when the next issues come and what became of the last ones."""

import itertools
from datetime import time

from starlette.responses import Response

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.rhythm import in_words
from dispatcher.console.visit import Visit
from dispatcher.db.terms import SeriesState, Topic
from dispatcher.domain import zones
from dispatcher.domain.newsletters import campaigns, news_feeds
from dispatcher.domain.newsletters import series as life
from dispatcher.domain.newsletters.recurrence import Recurrence, recurrence
from dispatcher.domain.newsletters.series import Plan, Series
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.zone import ZONE

_TO_COME = 6  # issues that are shown
_LONGEST = 200
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LAST = {"letzter", "letzte", "letzten", "ultimo"}  # German for `last`


def show(visit: Visit) -> Values:
    """List them."""
    found = life.newest(visit.conn)
    return {
        "found": [(of, in_words(of.recurrence, visit.language), life.waiting(visit.conn, of.id)) for of in found],
    }


def one(visit: Visit) -> Values:
    """Give its next issues, each with the draft that would go, and what became of the last ones."""
    of = _series(visit)
    drafts = life.waiting(visit.conn, of.id)
    to_come = list(itertools.islice(life.upcoming(of, drafts), _TO_COME))
    past = life.past(visit.conn, of.id)
    numbers = {issue.campaign_id for issue in [*to_come, *past] if issue.campaign_id is not None} | set(drafts)
    return {
        "of": of,
        "rhythm": in_words(of.recurrence, visit.language),
        "to_come": to_come,
        "past": past,
        "drafts": drafts,
        "feed": news_feeds.of_series(visit.conn, of.id),
        "names": {number: campaigns.get(visit.conn, number).name for number in numbers},
    }


def ask_for_new(_visit: Visit) -> Values:
    """Show the form."""
    return {"topics": list(Topic), "week": _WEEK, "zone": ZONE.key}


def create(visit: Visit) -> Response:
    """Enter a series."""
    topic = visit.said("topic")
    if topic not in list(Topic):
        raise Mend({"topic": "series.topic_missing"})
    plan = Plan(_line(visit, "name"), Topic(topic), _line(visit, "subject"), _rhythm(visit))
    made = life.create(visit.conn, plan, visit.now)
    visit.note("series", made, every=plan.recurrence.every, at=f"{plan.recurrence.at:%H:%M}")
    return visit.go(f"/campaigns/series/{made}", "series.is_created", name=plan.name)


def skip(visit: Visit) -> Response:
    """Pass over the next issue."""
    of = _series(visit)
    try:
        skipped, _ = life.skip(visit.conn, of.id)
    except MoveRefused:
        raise Mend({"": "series.has_moved"}) from None
    visit.note("series", of.id, issue=f"{skipped:%Y-%m-%dT%H:%MZ}")
    return visit.go(f"/campaigns/series/{of.id}", "series.is_skipped", name=of.name)


def pause(visit: Visit) -> Response:
    """Let no issue come until it is resumed."""
    return _move(visit, SeriesState.PAUSED, "series.is_paused")


def resume(visit: Visit) -> Response:
    """Go on with the first issue after now."""
    return _move(visit, SeriesState.ACTIVE, "series.goes_on")


def ask_to_end(visit: Visit) -> Values:
    """Ask whether it is to end for good, and say which drafts that frees."""
    of = _series(visit)
    return {"of": of, "drafts": life.waiting(visit.conn, of.id)}


def end(visit: Visit) -> Response:
    """End it for good."""
    return _move(visit, SeriesState.ENDED, "series.has_ended")


def _series(visit: Visit) -> Series:
    return life.get(visit.conn, visit.number("series"))


def _move(visit: Visit, to: SeriesState, notice: str) -> Response:
    of = _series(visit)
    try:
        life.move(visit.conn, of.id, to, visit.now)
    except MoveRefused:
        raise Mend({"": "series.has_moved"}) from None
    visit.note("series", of.id, before=of.state)
    return visit.go(f"/campaigns/series/{of.id}", notice, name=of.name)


def _line(visit: Visit, field: str) -> str:
    text = visit.said(field)
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise Mend({field: "series.line_missing"})
    return text


def _rhythm(visit: Visit) -> Recurrence:
    """Read days, time and zone. Raises Mend."""
    zone = visit.said("zone") or ZONE.key
    if not zones.is_known(zone):
        raise Mend({"zone": "moments.zone_unknown"})
    try:
        at = time.fromisoformat(visit.said("time"))
    except ValueError:
        raise Mend({"time": "moments.time_wrong"}) from None
    week = [day for day in visit.form.all("week") if day in _WEEK]
    month = [
        "last" if word in _LAST else word.rstrip(".") for word in visit.said("days").lower().replace(",", " ").split()
    ]
    if week and month:
        raise Mend({"days": "series.days_mixed"})
    try:
        return recurrence(" ".join(week or month), f"{at:%H:%M}", zone)
    except InputRefused:
        raise Mend({"days": "series.days_wrong"}) from None


_P = Permission
_ALL, _ONE = "/campaigns/series", "/campaigns/series/{series}"
PAGES = area(
    "campaigns",
    look(_ALL, _P.SEE_CAMPAIGNS, "series", show),
    look(f"{_ALL}/new", _P.EDIT_CAMPAIGNS, "series_new", ask_for_new),
    act(f"{_ALL}/new", _P.EDIT_CAMPAIGNS, "series.created", create),
    look(_ONE, _P.SEE_CAMPAIGNS, "series_one", one),
    act(f"{_ONE}/skip", _P.SEND_CAMPAIGNS, "series.skipped", skip, mends=_ONE),
    act(f"{_ONE}/pause", _P.SEND_CAMPAIGNS, "series.paused", pause, mends=_ONE),
    act(f"{_ONE}/resume", _P.SEND_CAMPAIGNS, "series.resumed", resume, mends=_ONE),
    look(f"{_ONE}/end", _P.SEND_CAMPAIGNS, "series_end", ask_to_end),
    act(f"{_ONE}/end", _P.SEND_CAMPAIGNS, "series.ended", end, mends=_ONE),
)

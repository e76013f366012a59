"""/feeds: news from elsewhere fill series; what is new becomes their next issue."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import FeedId, Line, Moment, Said, Told
from dispatcher.compose.digest import MOST_ARTICLES
from dispatcher.compose.news import Unread
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Scope, Topic
from dispatcher.domain.newsletters import news_feeds, series
from dispatcher.domain.newsletters.news_feeds import NewsFeed, Wanted
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.series import Plan
from dispatcher.errors import InputRefused
from dispatcher.sending import house as houses
from dispatcher.sending import newsroom

router = APIRouter(prefix="/feeds", tags=["feeds"])
_LARGEST_ID = 2**63 - 1


Address = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x20\x7f]*$")]
Most = Annotated[int, Field(ge=1, le=MOST_ARTICLES, description="Articles in an issue.")]
Ahead = Annotated[
    Annotated[int, Field(ge=1, le=1440)] | None,
    Field(description="Minutes before the issue's time at which it is asked. null: 15 if it releases, else 240."),
]


class PlanSaid(Said):
    """A series that is to be made for the feed."""

    name: Line
    topic: Topic
    subject: Line = Field(description="Of its letters; their title as well.")
    every: Line = Field(description="tuesday, tuesday friday, workdays, daily, 1 15 (of the month), last.")
    at: Line = Field(description="The wall-clock time, 09:00.")
    zone: Line = Field(default="Europe/Berlin", description="IANA time zone of that time.")


class FeedSaid(Said):
    """A feed that is to fill a series: one that is there, or a new one."""

    url: Address
    series_id: Annotated[int, Field(ge=1, le=_LARGEST_ID)] | None = Field(default=None, description="Or `series`.")
    series: PlanSaid | None = Field(default=None, description="Or `series_id`.")
    language: Language = Field(default=Language.DE, description="Of its entries.")
    releases: bool = Field(
        default=False, description="It goes by itself, if nothing stops it. The key needs campaigns:send as well."
    )
    most: Most = 10
    ahead_minutes: Ahead = None


class FeedChange(Said):
    """How a feed is to be asked from now on; all of it, as it is to stand."""

    url: Address
    language: Language = Field(description="Of its entries.")
    releases: bool = Field(description="The key needs campaigns:send as well for one that goes by itself, or did.")
    most: Most
    ahead_minutes: Ahead


class FeedTold(Told):
    """A feed as it stands."""

    id: int
    url: str
    series_id: int
    language: Language
    releases: bool
    most: int
    ahead_s: int
    created_at: Moment
    created_by: str
    said: str | None = Field(description="What came of it last, in words; null: it was not asked yet.")
    said_at: Moment | None
    failing_since: Moment | None = Field(description="Nothing could be had from it since then; null: it can be read.")
    off_at: Moment | None = Field(description="It was switched off then, and is not asked; null: it is on.")
    next_issue: Moment | None = Field(description="Of its series; null: that is not active.")


class FeedsTold(Told):
    """All feeds, the oldest first."""

    items: list[FeedTold]


class NewsTold(Told):
    """An entry as it would be an article."""

    title: str
    summary: str
    link: str
    at: Moment | None
    is_new: bool = Field(description="It would be in the next issue.")


class GlanceTold(Told):
    """What a feed would bring now."""

    title: str
    entries: list[NewsTold]
    new: int
    passed_over: int = Field(description="New as well, but beyond what an issue has room for.")
    unusable: int = Field(description="Entries with neither a title nor a text.")
    beyond: int = Field(description="Entries after the first thousand, which are not looked at.")


class Removed(Told):
    """A feed that is asked no more."""

    series_id: int = Field(description="The series that it filled, which goes on.")


@router.get("", operation_id="list_feeds")
def list_(desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)]) -> FeedsTold:
    """List the feeds, and what came of each last."""
    with reading(desk.engine).connect() as conn:
        return FeedsTold(items=[_told(conn, feed) for feed in news_feeds.listed(conn)])


@router.post("", operation_id="add_feed", status_code=201, response_model=FeedTold)
def add(caller: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], once: OnceOnly, said: FeedSaid) -> Response:
    """Let a feed fill a series. It is asked for the first time before the next issue."""
    if said.releases:
        caller.require(Scope.CAMPAIGNS_SEND)

    def act(conn: Connection, now: datetime) -> Done:
        ahead = timedelta(minutes=said.ahead_minutes) if said.ahead_minutes is not None else None
        series_id = _series_of(conn, said, now)
        wanted = Wanted(said.url, series_id, said.language, releases=said.releases, most=said.most, ahead=ahead)
        return Done(_told(conn, newsroom.add(conn, wanted, caller.by, now)))

    return once.do(said, act, 201)


@router.get("/{feed_id}", operation_id="get_feed")
def get(desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_READ)], feed_id: FeedId) -> FeedTold:
    """Give one feed."""
    with reading(desk.engine).connect() as conn:
        return _told(conn, news_feeds.get(conn, feed_id))


@router.post("/{feed_id}/fetch", operation_id="fetch_feed")
def fetch(desk: AtDesk, _: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], feed_id: FeedId) -> GlanceTold:
    """Ask it now, and tell what it would bring. Nothing is written down; what cannot be read is refused, in words."""
    glance = newsroom.look(desk.engine, feed_id, newsroom.wire_of(houses.desk(desk.settings, needs_keys=False)))
    if isinstance(glance.came, Unread):
        raise InputRefused(f"feed {feed_id} cannot be read: {glance.came.why}", "try its address in a browser")
    return GlanceTold.model_validate(newsroom.to_json(glance))


@router.post("/{feed_id}/change", operation_id="change_feed", response_model=FeedTold)
def change(
    caller: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], once: OnceOnly, feed_id: FeedId, said: FeedChange
) -> Response:
    """Let it be asked otherwise. The series that it fills stays; which of its entries were used is not forgotten.

    One that releases by itself, before or after, needs campaigns:send as well.
    """
    if said.releases:
        caller.require(Scope.CAMPAIGNS_SEND)

    def act(conn: Connection, _now: datetime) -> Done:
        ahead = timedelta(minutes=said.ahead_minutes) if said.ahead_minutes is not None else None
        before = news_feeds.get(conn, feed_id)
        if before.releases:
            caller.require(Scope.CAMPAIGNS_SEND)
        wanted = Wanted(said.url, before.series_id, said.language, releases=said.releases, most=said.most, ahead=ahead)
        return Done(_told(conn, newsroom.change(conn, feed_id, wanted)))

    return once.do(said, act)


@router.post("/{feed_id}/off", operation_id="switch_feed_off", response_model=FeedTold)
def off(_: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], once: OnceOnly, feed_id: FeedId) -> Response:
    """Ask it no more until it is switched on; which of its entries were used is not forgotten."""
    return once.do(None, lambda conn, now: Done(_told(conn, news_feeds.switch_off(conn, feed_id, now))))


@router.post("/{feed_id}/on", operation_id="switch_feed_on", response_model=FeedTold)
def on(caller: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], once: OnceOnly, feed_id: FeedId) -> Response:
    """Ask it again, before the next issue. One that releases by itself needs campaigns:send as well."""

    def act(conn: Connection, _now: datetime) -> Done:
        if news_feeds.get(conn, feed_id).releases:
            caller.require(Scope.CAMPAIGNS_SEND)
        return Done(_told(conn, news_feeds.switch_on(conn, feed_id)))

    return once.do(None, act)


@router.post("/{feed_id}/remove", operation_id="remove_feed", response_model=Removed)
def remove(_: Annotated[Caller, needs(Scope.CAMPAIGNS_WRITE)], once: OnceOnly, feed_id: FeedId) -> Response:
    """Ask it no more, and forget which of its entries were used. Its series and its drafts stay."""
    return once.do(None, lambda conn, _now: Done(Removed(series_id=news_feeds.remove(conn, feed_id).series_id)))


def _series_of(conn: Connection, said: FeedSaid, now: datetime) -> int:
    match said.series_id, said.series:
        case int(series_id), None:
            return series_id
        case None, PlanSaid() as plan:
            rule = recurrence(plan.every, plan.at, plan.zone)
            return series.create(conn, Plan(plan.name, plan.topic, plan.subject, rule), now)
        case _:
            raise InputRefused("a feed fills one series", "send either `series_id` or `series`")


def _told(conn: Connection, feed: NewsFeed) -> FeedTold:
    shown = {name: getattr(feed, name) for name in FeedTold.model_fields if name != "next_issue"}
    return FeedTold(**shown, next_issue=series.get(conn, feed.series_id).next_at)

"""Feeds fill series: what is new goes out once, through the gate; whatever they do, an issue comes or says why not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from dispatcher.db import clock
from dispatcher.db.tables import campaign, news_entry, news_feed
from dispatcher.db.tables import series as series_table
from dispatcher.db.terms import CampaignState, IssueOutcome, Topic
from dispatcher.domain import tokens
from dispatcher.domain.newsletters import campaigns, news_feeds, series
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.news_feeds import NewsFeed, Wanted
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.series import Issue, Plan
from dispatcher.domain.tokens import Link
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.outgoing import Passport
from dispatcher.sending import newsroom, release, sweep
from dispatcher.sending.news import Wire, ask
from dispatcher.sending.preflight.examination import DRY_RUN, Desk
from tests.compose.test_news import rss
from tests.sending.preflight.gated import desk_for
from tests.stage import Stage
from tests.web_server import Says, WebServer, running_web

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
GOLD = Topic.FINANCE_NEWS
EMPTY, MISSED, RELEASED = IssueOutcome.EMPTY, IssueOutcome.MISSED, IssueOutcome.RELEASED
FEED = "/feed.xml"


class Room:
    """A house with a series and its feed, and the server from which that comes."""

    def __init__(self, stage: Stage, web: WebServer) -> None:
        self.stage, self.web = stage, web
        self.desk: Desk = replace(desk_for(stage, web), passport=Passport(frozenset({f"127.0.0.1:{web.port}"})))
        self.asked_before = 0

    def open(self, *titles: str, releases: bool = False, most: int = 10) -> int:
        """Let a feed with these entries fill a series; give its number."""
        self.publish(*titles)
        with self.stage.engine.begin() as conn:
            now = clock.now(conn)
            plan = Plan("Marktbericht", GOLD, "Der Markt", recurrence("daily", "09:00", "Europe/Berlin"))
            of = series.create(conn, plan, now)
            wanted = Wanted(self.web.url(FEED), of, releases=releases, most=most)
            feed = newsroom.add(conn, wanted, "anna", now)
        for number in range(1, 5):  # whatever is drafted: its one-click button works
            made = tokens.for_letter(self.stage.keyring, Link(DRY_RUN, GOLD, number))
            self.web.pages[f"/u/{made.unsubscribe}"] = Says()
        self.near()
        return feed.id

    def publish(self, *titles: str, **headers: str) -> None:
        """Let the feed hold these entries, the newest first."""
        items = [f"<title>{title}</title><guid>{title}</guid>" for title in titles]
        self.web.pages[FEED] = Says(200, rss(*items), headers)

    def near(self, by: timedelta = timedelta(minutes=5)) -> datetime:
        """Let the next issue's time be so near."""
        with self.stage.engine.begin() as conn:
            at = clock.now(conn) + by
            conn.execute(update(series_table).values(next_at=at))
        return at

    def bring(self, feed_id: int = 1) -> NewsFeed:
        newsroom.bring(self.stage.engine, feed_id, self.desk)
        return self.feed(feed_id)

    def come(self) -> None:
        """Let the issue's time come, in which its feed was brought already."""
        with self.stage.engine.begin() as conn:
            at = clock.now(conn) - timedelta(seconds=1)
            conn.execute(update(news_feed).values(brought_for=at))
            conn.execute(update(series_table).values(next_at=at))
        sweep.tick(self.stage.engine, self.stage.house)

    def let_lease_end(self, **values: Any) -> None:
        with self.stage.engine.begin() as conn:
            conn.execute(update(news_feed).values(not_before=None, **values))

    def feed(self, feed_id: int = 1) -> NewsFeed:
        with self.stage.engine.begin() as conn:
            return news_feeds.get(conn, feed_id)

    def campaign(self, campaign_id: int = 1) -> Campaign:
        with self.stage.engine.begin() as conn:
            return campaigns.get(conn, campaign_id)

    def written(self, campaign_id: int) -> str:
        with self.stage.engine.begin() as conn:
            ((_, source),) = campaigns.contents(conn, campaign_id).values()
        return source

    def past(self) -> list[Issue]:
        with self.stage.engine.begin() as conn:
            return series.past(conn, 1)

    def asked(self) -> int:
        """Give how often the feed was asked since the last look."""
        count = sum(path == FEED for _, path, _ in self.web.asked)
        self.asked_before, before = count, self.asked_before
        return count - before


@pytest.fixture
def room(stage: Stage) -> Iterator[Room]:
    with running_web({"/impressum": Says(), "/privacy": Says()}) as web:
        yield Room(stage, web)


def test_what_is_new_goes_out_by_itself_and_no_entry_comes_twice(room: Room) -> None:
    room.stage.add(2)
    room.open("Gold", "Silber", releases=True)
    at = room.near()
    assert room.bring().said == "campaign 1 is in series 1"
    assert room.feed().brought_for == at
    of = room.campaign()
    assert (of.series_id, of.problem, of.subject) == (1, None, "Der Markt")
    room.bring()
    assert room.asked() == 1  # for this issue everything is done
    room.come()
    assert room.campaign().state is CampaignState.SENDING
    room.publish("Platin", "Gold", "Silber")
    room.near(timedelta(minutes=3))
    room.bring()
    assert "title: Platin" in room.written(2)
    assert "Gold" not in room.written(2)
    assert [issue.outcome for issue in room.past()] == [RELEASED]


def test_an_issue_for_which_its_feed_brings_nothing_new_is_passed_over_and_says_so(room: Room) -> None:
    room.open("Gold")
    room.publish("Gold", ETag='"v1"', **{"Last-Modified": "Fri, 20 Nov 2026 08:00:00 GMT"})
    room.bring()
    room.near(timedelta(minutes=4))
    assert room.bring().said == "it brought nothing new"
    assert room.web.headers[-1]["if-none-match"] == '"v1"'
    assert room.web.headers[-1]["if-modified-since"] == "Fri, 20 Nov 2026 08:00:00 GMT"
    room.near(timedelta(minutes=3))
    room.web.pages[FEED] = Says(304, b"")
    assert room.bring().said == "it brought nothing new"
    assert room.feed().etag == '"v1"'
    room.come()
    assert [(issue.outcome, issue.note) for issue in room.past()] == [(EMPTY, "feed 1: it brought nothing new")]
    assert room.asked() == 3


@on_sqlite
def test_a_draft_waits_for_review_where_everybody_sees_it(room: Room) -> None:
    room.open("Gold", "Silber", "Platin", most=2)
    assert (room.bring().said or "").startswith("campaign 1 is a draft: brought by feed 1")
    with room.stage.engine.begin() as conn:
        (waits,) = campaigns.standing_still(conn)
        assert waits.problem is not None
        assert waits.problem.endswith("dispatcher series fill 1 --campaign 1")
        release.put_in(conn, 1, 1, room.stage.stationery, room.stage.house)
        assert campaigns.standing_still(conn) == []
        used = {row.campaign_id for row in conn.execute(select(news_entry))}
    assert used == {1, None}  # the third is passed over, and does not come with the next issue
    room.near(timedelta(minutes=3))
    assert room.bring().said == "not asked: campaign 1 waits in series 1 already"


@on_sqlite
def test_four_eyes_leave_what_a_feed_wrote_a_draft(room: Room) -> None:
    room.open("Gold", releases=True)
    room.desk = replace(room.desk, four_eyes=True)
    room.bring()
    of = room.campaign()
    assert (of.state, of.series_id) == (CampaignState.DRAFT, None)
    assert "campaign 1 is not released: feed 1 wrote version 1 of it" in (of.problem or "")


@on_sqlite
def test_what_preflight_stops_stays_a_draft_and_names_the_check(room: Room) -> None:
    room.open(releases=True)
    item = f"<title>Gold</title><guid>1</guid><link>{room.web.url('/nowhere')}</link>"
    room.web.pages[FEED] = Says(200, rss(item))
    room.bring()
    assert "preflight stops it (links)" in (room.campaign().problem or "")
    assert room.feed().brought_for is not None
    room.come()
    ((outcome, note),) = [(issue.outcome, issue.note) for issue in room.past()]
    assert outcome is EMPTY
    assert (note or "").startswith("feed 1: campaign 1 is a draft: feed 1 could not release it: preflight stops it")


@on_sqlite
def test_a_feed_that_cannot_be_read_is_tried_until_the_issue_and_then_passed_over(room: Room) -> None:
    room.open("Gold")
    room.web.pages[FEED] = Says(500, b"oh")
    feed = room.bring()
    assert feed.said == "it could not be read: its server answers 500"
    assert feed.brought_for is None
    since = feed.failing_since
    assert since is not None
    room.bring()
    assert room.asked() == 1  # not before some minutes are over
    with room.stage.engine.begin() as conn:
        assert [one.id for one in news_feeds.failing(conn)] == [1]
    room.near(timedelta(seconds=-1))
    sweep.tick(room.stage.engine, room.stage.house)
    assert room.past() == []  # the issue waits for its feed
    room.let_lease_end()
    feed = room.bring()
    assert feed.brought_for is not None
    assert feed.failing_since == since
    room.come()
    assert [issue.note for issue in room.past()] == ["feed 1: it could not be read: its server answers 500"]
    room.publish("Gold")
    room.near()
    assert room.bring().failing_since is None


@on_sqlite
def test_an_issue_whose_feed_nobody_asks_is_missed_in_the_end(room: Room) -> None:
    room.open("Gold")
    room.near(timedelta(hours=-7))
    sweep.tick(room.stage.engine, room.stage.house)
    assert {issue.outcome for issue in room.past()} <= {MISSED, EMPTY}
    assert room.past()[-1].outcome is MISSED


def test_whoever_is_killed_leaves_a_claim_that_ends_and_a_draft_with_which_the_next_goes_on(room: Room) -> None:
    room.open("Gold", releases=True)
    with room.stage.engine.begin() as conn:
        lost = news_feeds.claim(conn, 1, clock.now(conn))
        assert lost is not None
        assert news_feeds.claim(conn, 1, clock.now(conn)) is None
    room.bring()
    assert room.asked() == 0  # somebody else is at it, as far as anybody knows
    room.let_lease_end()
    room.bring()
    with room.stage.engine.begin() as conn:
        assert not news_feeds.hold(conn, lost)  # what the first one finds now is not written down
        conn.execute(update(campaign).values(series_id=None))
    room.let_lease_end(brought_for=None, draft_id=1)  # as if killed between the draft and its release
    room.bring()
    assert room.asked() == 1
    assert room.campaign().series_id == 1
    room.let_lease_end(brought_for=None, draft_id=1)  # as if killed between the release and its note
    assert room.bring().said == "campaign 1 is in series 1"
    assert room.asked() == 0


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (Says(404, b"no"), "its server answers 404"),
        (Says(200, b"x" * 2_000_001), "it is larger than 2 MB"),
        (Says(200, b"<rss/>", {"Content-Encoding": "gzip"}), "its server sends it packed, though asked not to"),
        (Says(200, b"", {}, after_s=9), "it does not answer (time: no answer within"),
        (Says(302, b"", {"Location": FEED}), "it is redirected from one address to the next, without end"),
        (Says(302, b"", {"Location": "http://localhost/"}), "it does not answer (not public: localhost is"),
        (Says(302, b"", {"Location": "ftp://127.0.0.1/"}), "it does not answer (address: it is no web address)"),
    ],
)
def test_whatever_a_server_does_is_told_in_words(says: Says, why: str) -> None:
    with running_web({FEED: says}) as web:
        patience = 0.2 if says.after_s else 20.0
        wire = Wire(Passport(frozenset({f"127.0.0.1:{web.port}"})), "https://news.example.de", patience)
        said = ask(web.url(FEED), wire)
        assert getattr(said, "why", said).startswith(why)


def test_a_feed_that_has_moved_is_read_where_it_is_now() -> None:
    moved = Says(301, b"", {"Location": "/new/feed.xml"})
    item = "<title>Gold</title><link>gold.html</link>"
    with running_web({FEED: moved, "/new/feed.xml": Says(200, rss(item), {"ETag": "x" * 600})}) as web:
        wire = Wire(Passport(frozenset({f"127.0.0.1:{web.port}"})), "https://news.example.de")
        came = ask(web.url(FEED), wire)
        assert came.news.entries[0].link == web.url("/new/gold.html")  # type: ignore[union-attr]
        assert came.etag is None  # type: ignore[union-attr]


@on_sqlite
@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"url": "ftp://example.de/feed"}, "is none of the web"),
        ({"url": "https://"}, "is none of the web"),
        ({"url": "https://a:b@example.de/feed"}, "bears a log-in"),
        ({"most": 0}, "cannot have 0 articles"),
        ({"most": 21}, "cannot have 21 articles"),
        ({"ahead": timedelta(days=2)}, "a minute to a day"),
    ],
)
def test_a_feed_that_cannot_be_meant_is_refused(room: Room, said: dict[str, Any], what: str) -> None:
    with room.stage.engine.begin() as conn:
        plan = Plan("N", GOLD, "S", recurrence("daily", "09:00", "Europe/Berlin"))
        of = series.create(conn, plan, clock.now(conn))
        wanted = Wanted("https://example.de/feed", of)
        with pytest.raises(InputRefused, match=what):
            newsroom.add(conn, replace(wanted, **said), "anna", clock.now(conn))


def test_a_series_has_one_feed(room: Room) -> None:
    room.open("Gold")
    with room.stage.engine.begin() as conn, pytest.raises(MoveRefused, match="series 1 has feed 1 already"):
        newsroom.add(conn, Wanted("https://example.de/feed", 1), "anna", clock.now(conn))
    with room.stage.engine.begin() as conn:
        news_feeds.remove(conn, 1)
        assert news_feeds.listed(conn) == []


def test_whoever_asks_a_feed_while_it_is_switched_off_brings_nothing_and_no_issue_waits_for_it(room: Room) -> None:
    room.stage.add(1)
    room.open("Gold", releases=True)
    engine = room.stage.engine
    with engine.begin() as conn:
        errand = news_feeds.claim(conn, 1, clock.now(conn))
        assert errand is not None
        assert news_feeds.switch_off(conn, 1, clock.now(conn)).off_at is not None
        assert not news_feeds.hold(conn, errand)
    room.bring()
    assert (room.asked(), room.feed().said) == (0, None)
    with engine.begin() as conn:
        conn.execute(update(series_table).values(next_at=clock.now(conn) - timedelta(seconds=1)))
    sweep.tick(engine, room.stage.house)
    assert [issue.outcome for issue in room.past()] == [EMPTY]
    with engine.begin() as conn:
        news_feeds.switch_on(conn, 1)
    room.near()
    room.bring()
    assert room.asked() == 1

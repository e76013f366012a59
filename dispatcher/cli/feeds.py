"""`dispatcher feeds`: news from elsewhere fill a series."""

from dataclasses import asdict
from datetime import timedelta
from getpass import getuser
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.markup import escape
from sqlalchemy import Connection

from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.compose.digest import MOST_ARTICLES
from dispatcher.compose.news import Unread
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.newsletters import news_feeds, series
from dispatcher.domain.newsletters.news_feeds import NewsFeed, Wanted
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.series import Plan, Series
from dispatcher.errors import InputRefused
from dispatcher.sending import house as houses
from dispatcher.sending import newsroom

_JSON = click.option("--json", "as_json", is_flag=True)
_ID = click.argument("feed_id", metavar="ID", type=int)
_PLAN = ("name", "topic", "subject", "every", "at")


@click.group()
def feeds() -> None:
    """News from elsewhere (RSS, Atom) fill a series: what is new becomes its next issue."""


@feeds.command()
@click.argument("url")
@click.option("--series", "series_id", type=int, help="Which one it fills. Without it, a new one:")
@click.option("--name", help="Your name for the new series.")
@click.option("--topic", help=f"One of: {', '.join(Topic)}.")
@click.option("--subject", help="Of its letters; their title as well.")
@click.option("--every", help="tuesday, tuesday friday, workdays, daily, 1 15 (of the month), last.")
@click.option("--at", help="The wall-clock time, 09:00.")
@click.option("--zone", default="Europe/Berlin", show_default=True, help="IANA time zone of that time.")
@click.option(
    "--send/--draft", "releases", default=False, help="Goes by itself, if nothing stops it; or waits for you."
)
@click.option(
    "--language",
    type=click.Choice([language.value for language in Language]),
    default="de",
    show_default=True,
    help="Of its entries.",
)
@click.option("--most", type=int, default=10, show_default=True, help=f"Articles in an issue, up to {MOST_ARTICLES}.")
@click.option(
    "--ahead", type=int, help="Minutes before the issue at which it is asked; 15 with --send, 240 with --draft."
)
@_JSON
@pass_context
def add(context: Context, /, url: str, as_json: bool, **said: Any) -> None:
    """Let a feed fill a series: its own, or one that is there.

    \b
    dispatcher feeds add https://www.example.de/feed.xml --name Marktbericht --topic finance-news \\
        --subject "Der Markt" --every "tuesday friday" --at 09:00 --draft
    """
    with context.engine.begin() as conn:
        series_id = _series_id(conn, said)
        ahead = timedelta(minutes=said["ahead"]) if said["ahead"] is not None else None
        language = Language(said["language"])
        wanted = Wanted(url, series_id, language, releases=said["releases"], most=said["most"], ahead=ahead)
        made = newsroom.add(conn, wanted, getuser(), clock.now(conn))
        of = series.get(conn, series_id)
    if as_json:
        print_json(_facts(made, of))
        return
    does = "goes by itself, if preflight lets it" if made.releases else "waits as a draft for you to look at"
    out.print(f"feed {made.id} fills series {of.id} ({of.every} at {of.at} {of.zone}); what it brings {does}")
    out.print(f"next: dispatcher feeds fetch {made.id}   shows what it would bring now")


@feeds.command("list")
@_JSON
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the feeds, and what came of each last."""
    with reading(context.engine).connect() as conn:
        found = [(feed, series.get(conn, feed.series_id)) for feed in news_feeds.listed(conn)]
    if as_json:
        print_json({"feeds": [_facts(feed, of) for feed, of in found]})
        return
    table = make_table("id", "series", "next", "", "url", "last", right=("id", "series"))
    for feed, of in found:
        next_at = _local(of, of.next_at) if of.next_at else of.state.value
        how = "off" if feed.off_at else "sends" if feed.releases else "drafts"
        table.add_row(str(feed.id), str(of.id), next_at, how, escape(feed.url), escape(feed.said or "not asked yet"))
    out.print(table if found else "no feeds yet; `dispatcher feeds add --help` shows how to begin")


@feeds.command()
@_ID
@_JSON
@pass_context
def show(context: Context, feed_id: int, as_json: bool) -> None:
    """Show one feed: what it fills, when it is asked next, and what came of it last."""
    with reading(context.engine).connect() as conn:
        feed = news_feeds.get(conn, feed_id)
        of = series.get(conn, feed.series_id)
    if as_json:
        print_json(_facts(feed, of))
        return
    out.print(f"[bold]feed {feed.id}[/]  ·  {escape(feed.url)}")
    out.print(f"fills series {of.id}, {escape(of.name)}: {of.topic}, {of.every} at {of.at} {of.zone}, {of.state}")
    does = "released by itself, if preflight lets it" if feed.releases else "left as a draft"
    out.print(f"up to {feed.most} articles in {feed.language}, {does}")
    if feed.off_at:
        out.print(f"[yellow]off[/] since {_local(of, feed.off_at)}: it is not asked; dispatcher feeds on {feed.id}")
    elif of.next_at:
        asked_at = of.next_at - timedelta(seconds=feed.ahead_s)
        out.print(f"asked {_local(of, asked_at)} for the issue of {_local(of, of.next_at)}")
    if feed.said_at:
        colour = "yellow" if feed.failing_since else "green"
        out.print(f"[{colour}]last:[/] {_local(of, feed.said_at)}  ·  {escape(feed.said or '')}")


@feeds.command()
@_ID
@_JSON
@pass_context
def fetch(context: Context, feed_id: int, as_json: bool) -> None:
    """Ask a feed now, and show what it would bring. Nothing is written down, and nothing sent."""
    glance = newsroom.look(context.engine, feed_id, newsroom.wire_of(houses.desk(context.settings)))
    if isinstance(glance.came, Unread):
        raise InputRefused(f"feed {feed_id} cannot be read: {glance.came.why}", "try its address in a browser")
    if as_json:
        print_json(newsroom.to_json(glance))
        return
    news = glance.came
    table = make_table("", "date (UTC)", "title", "link")
    for entry in news.entries:
        mark = "new" if entry in glance.kept else "beyond" if entry in glance.fresh else "used"
        table.add_row(mark, f"{entry.at:%Y-%m-%d %H:%M}" if entry.at else "", escape(entry.title), escape(entry.link))
    out.print(table if news.entries else "it holds no entry that could be shown")
    out.print(
        f"{len(glance.kept)} new, {len(glance.fresh) - len(glance.kept)} beyond the {glance.feed.most} of an issue"
    )
    if news.unusable or news.beyond:
        out.print(f"{news.unusable} without title and text, {news.beyond} after the first thousand: left out")


@feeds.command()
@_ID
@click.option("--url", help="Where it is asked from now on.")
@click.option("--send/--draft", "releases", default=None, help="Goes by itself, if nothing stops it; or waits for you.")
@click.option("--language", type=click.Choice([language.value for language in Language]), help="Of its entries.")
@click.option("--most", type=int, help=f"Articles in an issue, up to {MOST_ARTICLES}.")
@click.option("--ahead", type=int, help="Minutes before the issue at which it is asked.")
@_JSON
@pass_context
def change(context: Context, /, feed_id: int, as_json: bool, **said: Any) -> None:
    """Let a feed be asked otherwise: what is not named stays. The series that it fills stays, too."""
    with context.engine.begin() as conn:
        before = news_feeds.get(conn, feed_id)
        changed = newsroom.change(conn, feed_id, _otherwise(before, said))
        of = series.get(conn, changed.series_id)
    if as_json:
        print_json(_facts(changed, of))
        return
    out.print(f"feed {feed_id} is asked at {escape(changed.url)}; next: dispatcher feeds show {feed_id}")


@feeds.command()
@_ID
@pass_context
def off(context: Context, feed_id: int) -> None:
    """Ask a feed no more until it is switched on again. Which of its entries were used is not forgotten."""
    with context.engine.begin() as conn:
        of = news_feeds.switch_off(conn, feed_id, clock.now(conn))
    out.print(f"feed {feed_id} is asked no more; series {of.series_id} goes on with what you put in")
    out.print(f"to ask it again: dispatcher feeds on {feed_id}")


@feeds.command()
@_ID
@pass_context
def on(context: Context, feed_id: int) -> None:
    """Ask a feed again that was switched off, before the next issue."""
    with context.engine.begin() as conn:
        news_feeds.switch_on(conn, feed_id)
    out.print(f"feed {feed_id} is asked before the next issue; see: dispatcher feeds show {feed_id}")


@feeds.command()
@_ID
@pass_context
def remove(context: Context, feed_id: int) -> None:
    """Ask a feed no more, and forget which of its entries were used. Its series and its drafts stay."""
    with context.engine.begin() as conn:
        gone = news_feeds.remove(conn, feed_id)
    out.print(f"feed {feed_id} is asked no more; series {gone.series_id} goes on with what you put in")
    out.print(f"to end that too: dispatcher series end {gone.series_id}")


def _series_id(conn: Connection, said: dict[str, Any]) -> int:
    """Give the series that was named, or one that is made as was said."""
    if said["series_id"] is not None:
        if any(said[word] for word in _PLAN):
            raise click.UsageError("--series names one that is there; the other options describe a new one")
        return int(said["series_id"])
    lacking = [f"--{word}" for word in _PLAN if not said[word]]
    if lacking:
        raise click.UsageError(f"name a series (--series), or say what the new one is: {' '.join(lacking)}")
    if said["topic"] not in list(Topic):
        raise InputRefused(f"there is no topic {said['topic']!r}", f"use one of: {', '.join(Topic)}")
    rule = recurrence(said["every"], said["at"], said["zone"])
    return series.create(conn, Plan(said["name"], Topic(said["topic"]), said["subject"], rule), clock.now(conn))


def _otherwise(before: NewsFeed, said: dict[str, Any]) -> Wanted:
    """Give what is wanted from now on. Who lets it go by itself, or no more, and names no lead gets the usual one."""
    releases = before.releases if said["releases"] is None else said["releases"]
    ahead = timedelta(minutes=said["ahead"]) if said["ahead"] is not None else None
    if ahead is None and releases == before.releases:
        ahead = timedelta(seconds=before.ahead_s)
    language = Language(said["language"] or before.language)
    most = before.most if said["most"] is None else said["most"]
    return Wanted(said["url"] or before.url, before.series_id, language, releases=releases, most=most, ahead=ahead)


def _facts(feed: NewsFeed, of: Series) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(feed).items() if name not in ("turn", "not_before")}
    return shown | {"next_issue": of.next_at}


def _local(of: Series, at: Any) -> str:
    return f"{at.astimezone(ZoneInfo(of.zone)):%a %Y-%m-%d %H:%M}"

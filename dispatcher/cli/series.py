"""`dispatcher series`: newsletters that come again."""

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.markup import escape
from sqlalchemy import Connection

from dispatcher.cli import preflight
from dispatcher.cli.content_files import read_contents
from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.cli.preflight import gate_options
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import SeriesState, Topic
from dispatcher.domain.newsletters import news_feeds
from dispatcher.domain.newsletters import series as life
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.series import Issue, Plan, Series
from dispatcher.errors import InputRefused
from dispatcher.sending import release

_SHOWN = 5  # issues to come


@click.group()
def series() -> None:
    """Newsletters that come again: create, fill, skip, pause, end."""


@series.command()
@click.option("--name", required=True, help="Your name for it.")
@click.option("--topic", required=True, help=f"One of: {', '.join(Topic)}.")
@click.option("--subject", required=True, help="Of issues whose content brings none.")
@click.option("--every", required=True, help="tuesday, tuesday friday, workdays, daily, 1 15 (of the month), last.")
@click.option("--at", required=True, help="The wall-clock time, 09:00.")
@click.option("--zone", default="Europe/Berlin", show_default=True, help="IANA time zone of that time.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def create(context: Context, /, as_json: bool, **said: Any) -> None:
    """Enter a series. Each issue is a campaign of its own; without content it is passed over.

    \b
    dispatcher series create --name Marktbericht --topic finance-news --subject "Der Markt" --every tuesday --at 09:00
    """
    if said["topic"] not in list(Topic):
        raise InputRefused(f"there is no topic {said['topic']!r}", f"use one of: {', '.join(Topic)}")
    rule = recurrence(said["every"], said["at"], said["zone"])
    with context.engine.begin() as conn:
        plan = Plan(said["name"], Topic(said["topic"]), said["subject"], rule)
        of = life.get(conn, life.create(conn, plan, clock.now(conn)))
    if as_json:
        print_json(asdict(of))
        return
    out.print(f"series {of.id}: {_words(of)}; the first {_moment(of)}")
    out.print(f"next: dispatcher series fill {of.id} --content FILE")


@series.command()
@click.argument("series_id", metavar="ID", type=int)
@click.option("--content", "file", type=click.Path(path_type=Path), help="A Markdown file: the next issue.")
@click.option("--subject", help="Its subject; default: the series'.")
@click.option("--campaign", type=int, help="Instead of a file: a draft that is there.")
@gate_options
@pass_context
def fill(context: Context, /, series_id: int, file: Path | None, **said: Any) -> None:
    """Look content over and put it into a series. It goes out at the next free time, the oldest first.

    \b
    dispatcher series fill 1 --content markt.de.md
    """
    if (file is None) == (said["campaign"] is None):
        raise click.UsageError("name what is to be sent: --content or --campaign")
    with context.engine.begin() as conn:
        of = life.get(conn, series_id)
        campaign = said["campaign"] if file is None else _enter(conn, context, of, file, said)
        at = life.turn_of(conn, series_id, campaign)
    how = {"at": at, "zone": of.zone, "series_id": series_id}
    preflight.release(context, preflight.order(context, campaign, said, **how), said)
    when = f"goes out at {_local(of, at)}" if at else "waits until the series is resumed"
    out.print(f"campaign {campaign}, a draft, {when}")


@series.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the newest 50 series."""
    with reading(context.engine).connect() as conn:
        found = [(of, life.waiting(conn, of.id)) for of in life.newest(conn)]
    if as_json:
        print_json({"series": [asdict(of) | {"waiting": drafts} for of, drafts in found]})
        return
    table = make_table("id", "state", "topic", "every", "next", "waiting", "name", right=("id", "waiting"))
    for of, drafts in found:
        words = f"{of.every} {of.at} {of.zone}"
        table.add_row(str(of.id), of.state, of.topic, words, _moment(of), str(len(drafts)), escape(of.name))
    out.print(table if found else "no series yet; `dispatcher series create --help` shows how to begin")


@series.command()
@click.argument("series_id", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True)
@pass_context
def show(context: Context, series_id: int, as_json: bool) -> None:
    """Show the next issues of a series with what waits for them, and what became of the last ten."""
    with reading(context.engine).connect() as conn:
        of = life.get(conn, series_id)
        drafts, past = life.waiting(conn, series_id), life.past(conn, series_id)
        feed = news_feeds.of_series(conn, series_id)
    nothing_yet = f"what feed {feed.id} brings" if feed else "no content yet: will be passed over"
    to_come = _to_come(of, drafts, _SHOWN)
    if as_json:
        print_json(asdict(of) | {"to_come": [asdict(i) for i in to_come], "past": [asdict(i) for i in past]})
        return
    out.print(f"[bold]{escape(of.name)}[/]  ·  {of.state}  ·  {_words(of)}")
    if of.problem:
        out.print(f"[yellow]problem:[/] {escape(of.problem)}")
    table = make_table(f"issue ({of.zone})", "", "campaign", "", right=("campaign",))
    for issue in [*reversed(past), *to_come]:
        what = issue.outcome or ("to come" if issue.campaign_id else nothing_yet)
        table.add_row(_local(of, issue.at), what, str(issue.campaign_id or ""), escape(issue.note or ""))
    out.print(table)


@series.command()
@click.argument("series_id", metavar="ID", type=int)
@pass_context
def skip(context: Context, series_id: int) -> None:
    """Pass over the next issue; its content waits for the one after."""
    with context.engine.begin() as conn:
        skipped, next_at = life.skip(conn, series_id)
        of = life.get(conn, series_id)
    out.print(f"series {series_id} passes over {_local(of, skipped)}; the next issue is due {_local(of, next_at)}")


@series.command()
@click.argument("series_id", metavar="ID", type=int)
@pass_context
def pause(context: Context, series_id: int) -> None:
    """Let no issue come until it is resumed; campaigns that were released go on."""
    _move(context, series_id, SeriesState.PAUSED)
    out.print(f"series {series_id} is paused; `series resume {series_id}` goes on with the first issue after that")


@series.command()
@click.argument("series_id", metavar="ID", type=int)
@pass_context
def resume(context: Context, series_id: int) -> None:
    """Go on with a paused series; what was due meanwhile is not made up."""
    out.print(
        f"series {series_id} goes on; the next issue is due {_moment(_move(context, series_id, SeriesState.ACTIVE))}"
    )


@series.command()
@click.argument("series_id", metavar="ID", type=int)
@pass_context
def end(context: Context, series_id: int) -> None:
    """End a series for good; drafts that waited in it stay drafts."""
    _move(context, series_id, SeriesState.ENDED)
    out.print(f"series {series_id} has ended")


def _enter(conn: Connection, context: Context, of: Series, file: Path, said: dict[str, Any]) -> int:
    default, contents = read_contents(file)
    by = preflight.actor(context, said["by"])
    draft = Draft(of.topic, of.name, said["subject"] or of.subject, default, contents, by=by)
    return release.draft(conn, draft, context.house, clock.now(conn))


def _move(context: Context, series_id: int, to: SeriesState) -> Series:
    with context.engine.begin() as conn:
        return life.move(conn, series_id, to, clock.now(conn))


def _to_come(of: Series, drafts: list[int], count: int) -> list[Issue]:
    return list(itertools.islice(life.upcoming(of, drafts), count))


def _words(of: Series) -> str:
    return f"{of.topic}, {of.every} at {of.at} {of.zone}"


def _moment(of: Series) -> str:
    return _local(of, of.next_at) if of.next_at else ""


def _local(of: Series, at: Any) -> str:
    return f"{at.astimezone(ZoneInfo(of.zone)):%a %Y-%m-%d %H:%M}"

"""A campaign in figures, on a terminal: a bar of its parts, and a bar that moves while it sends."""

import threading
from collections.abc import Sequence
from datetime import datetime

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text
from sqlalchemy import Engine

from dispatcher.cli.context import make_table, out
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import CampaignState
from dispatcher.domain.audience.local_time import Wave
from dispatcher.domain.newsletters import accounts, campaigns
from dispatcher.domain.newsletters.accounts import Status
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.shares import Share
from dispatcher.zone import ZONE

_WIDTH = 50
_PARTS = (
    ("sent", "green", "█"), ("deferred", "yellow", "▓"), ("failed", "red", "▒"), ("unknown", "magenta", "?"),
    ("withheld", "blue", "▒"), ("remaining", "bright_black", "░"),
)  # fmt: skip
_ENDS = {CampaignState.SENT, CampaignState.CANCELLED, CampaignState.DRAFT}


def show_status(of: Campaign, counted: Status) -> None:
    """Print a campaign's state, a bar that adds up to the audience, and the figures."""
    out.print(f"[bold]{escape(of.name)}[/]  ·  {counted.state}")
    if counted.audience:
        out.print(_bar(counted))
    table = make_table("", "people", "share", right=("people", "share"))
    for name, colour, mark in _PARTS:
        count = getattr(counted, name)
        share = f"{100 * count / counted.audience:.1f} %" if counted.audience else ""
        table.add_row(f"[{colour}]{mark}[/] {name}", f"{count:,}", share)
    so_far = "so far" if counted.is_launching else ""
    table.add_row("[bold]audience[/]", f"[bold]{counted.audience:,}[/]", so_far)
    out.print(table)
    if counted.is_launching:
        out.print("it is still being launched: letters go out while people are added to the audience")
    if counted.rate_per_s:
        limit = f" (at most {of.rate_per_min:,} a minute)" if of.rate_per_min else ""
        out.print(f"{counted.rate_per_s:,.0f} letters a second{limit}" + _eta(counted.eta_s))
    if counted.prices_until is not None and counted.state not in _ENDS:
        out.print(f"its prices are good until {counted.prices_until.astimezone(ZONE):%Y-%m-%d %H:%M %Z}")
    if counted.next_at is not None:
        out.print(f"the next go out at {counted.next_at:%Y-%m-%d %H:%M} UTC")
    if counted.problem:
        out.print(f"[yellow]problem:[/] {escape(counted.problem)}")


def show_waves(waves: Sequence[Wave], zone: str, now: datetime) -> None:
    """Print when a campaign goes to whom, where each reader's own clock counts."""
    table = make_table("UTC", "people", "zones", right=("people",))
    for wave in waves:
        names = ", ".join(name or f"none, so {zone}" for name in wave.zones)
        past = " (past there: with the launch)" if wave.at < now else ""
        table.add_row(f"{wave.at:%Y-%m-%d %H:%M}{past}", f"{wave.people:,}", names)
    out.print(table)


def show_shares(by: str, parts: Sequence[Share]) -> None:
    """Print the figures of each part of a campaign."""
    figures = ("audience", *(name for name, _, _ in _PARTS))
    table = make_table(by, *figures, right=figures)
    for part in parts:
        table.add_row(escape(part.name), *(f"{getattr(part, figure):,}" for figure in figures))
    out.print(table)


def watch_status(engine: Engine, campaign_id: int) -> None:
    """Show a moving bar until the campaign ends (or Ctrl-C)."""
    pause = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, console=out, transient=True) as bar:
        work = bar.add_task(f"campaign {campaign_id}", total=None, rate="")
        while True:
            with reading(engine).connect() as conn:
                of = campaigns.get(conn, campaign_id)
                counted = accounts.status(conn, of, clock.now(conn))
            rate = f"{counted.rate_per_s:,.0f}/s{_eta(counted.eta_s)}"
            total = None if counted.is_launching else counted.audience or None
            bar.update(work, total=total, completed=counted.audience - counted.remaining, rate=rate)
            if counted.state in _ENDS:
                return
            pause.wait(0.5)


def _bar(counted: Status) -> Text:
    bar, filled = Text(), 0
    reached = 0
    for name, colour, mark in _PARTS:
        reached += getattr(counted, name)
        upto = round(_WIDTH * reached / counted.audience)
        bar.append(mark * (upto - filled), style=colour)
        filled = upto
    return bar


def _eta(seconds: int | None) -> str:
    if not seconds:
        return ""
    if seconds < 90:
        return f", {seconds} s to go"
    return f", {seconds / 60:.0f} min to go" if seconds < 5400 else f", {seconds / 3600:.1f} h to go"

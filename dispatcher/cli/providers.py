"""`dispatcher providers`: at what rate letters go to each mailbox provider, and which are paused."""

from datetime import datetime, timedelta
from typing import Any

import click
from rich.markup import escape

from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain.rates import providers as rules
from dispatcher.domain.rates import slowdowns
from dispatcher.domain.rates.providers import PRESETS, UNTIL_RESUMED, Provider, Setting
from dispatcher.domain.rates.slowdowns import Slowdown
from dispatcher.errors import InputRefused


@click.group()
def providers() -> None:
    """Mailbox providers: rates, pauses, and what their answers made of them."""


@providers.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show every provider: people, rate, and whether it is paused or slowed down, over which relay."""
    with reading(context.engine).connect() as conn:
        now = clock.now(conn)
        people = rules.people(conn)
        settings = rules.settings(conn)
        slowed = [s for s in slowdowns.everywhere(conn).values() if s.place.provider in settings]
    if as_json:
        print_json({"providers": [_facts(p, s, people, slowed, now) for p, s in settings.items()]})
        return
    table = make_table("provider", "people", "letters a minute", "title", right=("people", "letters a minute"))
    for provider, setting in settings.items():
        rate = f"{setting.rate_per_min:,}" if setting.rate_per_min else "no limit"
        table.add_row(provider, f"{people.get(provider, 0):,}", rate, PRESETS[provider].title)
    out.print(table)
    for provider, setting in settings.items():  # what is out of the ordinary, in words too long for a table
        theirs = [_words(s, setting, now) for s in slowed if s.place.provider == provider]
        for words in filter(None, [_pause(setting.paused_until, now), *theirs]):
            out.print(f"[yellow]{provider}[/] {escape(words)}")


@providers.command("set")
@click.argument("key")
@click.option("--rate", required=True, metavar="N|none", help="Letters a minute, over each relay.")
@pass_context
def set_(context: Context, key: str, rate: str) -> None:
    """Let at most N letters a minute go to a provider, over each relay.

    \b
    dispatcher providers set google --rate 6000
    dispatcher providers set google --rate none
    """
    provider, letters = rules.read(key), read_rate(rate)
    with context.engine.begin() as conn:
        rules.set_rate(conn, provider, letters)
    out.print(f"{provider} gets {show_rate(letters)}, over each relay")


@providers.command()
@click.argument("key")
@pass_context
def reset(context: Context, key: str) -> None:
    """Forget rate and pause that were set, and what the provider's answers made of the rate.

    \b
    dispatcher providers reset google
    """
    provider = rules.read(key)
    with context.engine.begin() as conn:
        rules.reset(conn, provider)
        slowdowns.forget(conn, provider)
    out.print(f"{provider} gets {show_rate(PRESETS[provider].rate_per_min)} again")


@providers.command()
@click.argument("key")
@click.option("--minutes", type=click.IntRange(1, 10_080), help="For so long; default: until `providers resume`.")
@pass_context
def pause(context: Context, key: str, minutes: int | None) -> None:
    """Let nothing more go to a provider; the others go on.

    \b
    dispatcher providers pause t-online
    dispatcher providers pause yahoo --minutes 120
    """
    provider = rules.read(key)
    with context.engine.begin() as conn:
        until = clock.now(conn) + timedelta(minutes=minutes) if minutes else UNTIL_RESUMED
        rules.pause(conn, provider, until)
    out.print(f"{provider} is paused" + (f" until {until:%Y-%m-%d %H:%M} UTC" if minutes else ""))
    out.print(f"next: dispatcher providers resume {provider}")


@providers.command()
@click.argument("key")
@pass_context
def resume(context: Context, key: str) -> None:
    """End a pause, an operator's or one that the provider asked for.

    \b
    dispatcher providers resume t-online
    """
    provider = rules.read(key)
    with context.engine.begin() as conn:
        rules.resume(conn, provider)
        slowdowns.resume(conn, provider, clock.now(conn))
    out.print(f"{provider} gets letters again")


def read_rate(word: str) -> int | None:
    """Read letters a minute, or none. Raises InputRefused."""
    if word == "none":
        return None
    if not (word.isascii() and word.isdigit() and len(word) <= 9):
        raise InputRefused(f"{word!r} is no rate", "write the letters a minute, 600, or none")
    return rules.checked_rate(int(word))


def show_rate(letters: int | None) -> str:
    """Say a rate in words."""
    return "as many letters as can be" if letters is None else f"at most {letters:,} letters a minute"


def _facts(
    provider: Provider, setting: Setting, people: dict[str, int], slowed: list[Slowdown], now: datetime
) -> dict[str, Any]:
    return {
        "key": provider,
        "title": PRESETS[provider].title,
        "people": people.get(provider, 0),
        "rate_per_min": setting.rate_per_min,
        "is_preset": setting.is_preset,
        "paused_until": setting.paused_until if _pause(setting.paused_until, now) else None,
        "relays": [
            {
                "relay": s.place.relay,
                "rate_per_min": s.rate(setting.rate_per_min, now),
                "paused_until": s.paused_until if _pause(s.paused_until, now) else None,
                "reason": s.reason,
            }
            for s in slowed
            if s.place.provider == provider and _words(s, setting, now)
        ],
    }


def _words(slowed: Slowdown, setting: Setting, now: datetime) -> str:
    """Say how a relay's answers slow a provider down now; nothing once it has recovered."""
    pause = _pause(slowed.paused_until, now)
    rate = slowed.rate(setting.rate_per_min, now)
    stands = pause or (f"slowed to {rate:,} a minute" if rate != setting.rate_per_min else "")
    return f"over {slowed.place.relay}: {stands}: {slowed.reason}" if stands else ""


def _pause(until: datetime | None, now: datetime) -> str:
    if until is None or until <= now:
        return ""
    return "paused" if until == UNTIL_RESUMED else f"paused until {until:%Y-%m-%d %H:%M} UTC"

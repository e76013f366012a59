"""`dispatcher campaigns count`, and filters of audiences as options and on a terminal."""

from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.markup import escape
from sqlalchemy import Connection

from dispatcher.cli.context import Context, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.audience import audiences, filters, narrowing
from dispatcher.domain.audience.filters import EVERYBODY, Field, Filter
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.errors import InputRefused
from dispatcher.sending import filter_words

_FIELDS = ", ".join(Field)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that enters a draft what says whom it is for."""
    options = [
        click.option(
            "--only", multiple=True, metavar="FIELD=VALUE", help=f"Only whom this is true of; FIELD: {_FIELDS}."
        ),
        click.option("--without", multiple=True, metavar="FIELD=VALUE", help="None whom this is true of."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def said_filter(said: Mapping[str, Any]) -> Filter | None:
    """Read what was said of the filter; None: nothing was. Raises FilterRefused."""
    everybody = said.get("everybody", False)
    if everybody and (said["only"] or said["without"]):
        raise InputRefused("--everybody takes the filter away, and --only and --without say one", "say either")
    if everybody:
        return EVERYBODY
    return filters.parse(said["only"], said["without"]) if said["only"] or said["without"] else None


def filter_json(of: Filter) -> dict[str, list[str]] | None:
    """Give a filter for scripts; None: it is for everybody who agreed."""
    return of.to_json() if of else None


def read_topic(word: str) -> Topic:
    """Read a topic. Raises InputRefused."""
    if word not in list(Topic):
        raise InputRefused(f"there is no topic {word!r}", f"use one of: {', '.join(Topic)}")
    return Topic(word)


@click.command()
@click.option("--topic", required=True, help=f"One of: {', '.join(Topic)}.")
@filter_options
@click.option("--json", "as_json", is_flag=True)
@pass_context
def count(context: Context, /, topic: str, as_json: bool, **said: Any) -> None:
    """Count who would get a campaign on a topic now, and whom a filter leaves of them, before there is a draft.

    \b
    dispatcher campaigns count --topic finance-news
    dispatcher campaigns count --topic finance-news --only language=de --only agreed-since=2026-01-01
    dispatcher campaigns count --topic finance-news --without domain=example.com,example.org --without received=7
    """
    of, about = said_filter(said) or EVERYBODY, read_topic(topic)
    with reading(context.engine).connect() as conn:
        narrowing.require_sound(conn, of, clock.now(conn))
        everybody = int(conn.execute(audiences.reached(about)).scalar_one())
        people = int(conn.execute(audiences.reached(about, of)).scalar_one()) if of else everybody
        words = filter_words.say(conn, of, Language.EN)
    if as_json:
        print_json({"topic": about, "people": people, "everybody": everybody, "filter": filter_json(of)})
    else:
        of_whom = f"{people:,} of {everybody:,}" if of else f"{people:,}"
        out.print(f"{of_whom} people would get it now: {escape(words)}")


def show_filter(conn: Connection, of: Campaign) -> None:
    """Print for whom a campaign is, unless it is for everybody who agreed."""
    if of.filter:
        out.print(f"for: {escape(filter_words.say(conn, of.filter, Language.EN))}")

"""`dispatcher subscribers access`, `rectify`, `erase` and `rights`: what a person may ask of us, and its log."""

from datetime import date, datetime
from functools import partial
from getpass import getuser
from pathlib import Path

import click
from rich.markup import escape

from dispatcher import broker
from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.cli.private_files import write
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, RightKind
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import rights
from dispatcher.domain.people.rights import Asked
from dispatcher.errors import InputRefused
from dispatcher.rights import paper, serving
from dispatcher.rights.dossier import House
from dispatcher.rights.records import Facts, canonical
from dispatcher.rights.serving import Right
from dispatcher.zone import ZONE

RECEIVED = click.option(
    "--received", type=click.DateTime(["%Y-%m-%d"]), help="The day on which the request came in; default: now."
)
BY = click.option("--by", "operator", default=getuser, help="Who does it; by default whoever is logged in.")
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("address")
@click.option("-o", "--output", "file", type=_FILE, help="The JSON file; without it, standard output.")
@click.option("--html", type=_FILE, help="The same as a page to read and print.")
@click.option(
    "--language", type=click.Choice([each.value for each in Language]), help="Of explanations; default: the person's."
)
@RECEIVED
@BY
@pass_context
def access(  # noqa: PLR0913  (one parameter per option)
    context: Context, address: str, file: Path | None, html: Path | None, language: str | None,
    received: datetime | None, operator: str,
) -> None:  # fmt: skip
    """Give a person everything held about them, with what it means (Art. 15 and 20 GDPR). Entered in the log.

    \b
    dispatcher subscribers access maria@example.de -o maria.json --html maria.html
    """
    s = context.settings
    house = House(s.sender_name, s.sender_address, s.impressum, operator)
    asked = serving.order(context.engine, address, received, operator)
    spoken = Language(language) if language else None
    hand_out = partial(_hand_out, file=file, html=html)
    serving.export(context.engine, context.keyring, house, asked, spoken, hand_out)


@click.command()
@click.argument("address")
@click.option("--name", help="The right name; empty to take it away.")
@click.option(
    "--language", type=click.Choice([each.value for each in Language]), help="Write in this language from now on."
)
@click.option("--address", "new", help="The right address; it is asked by mail before anything else goes there.")
@click.option("--zone", help="The time zone, such as Europe/Berlin.")
@RECEIVED
@BY
@pass_context
def rectify(  # noqa: PLR0913  (one parameter per option)
    context: Context, address: str, name: str | None, language: str | None, new: str | None, zone: str | None,
    received: datetime | None, operator: str,
) -> None:  # fmt: skip
    """Put a person's data right (Art. 16 GDPR). Entered in the log.

    A misspelt address ends at once, and the right one gets a mail that asks to confirm: a consent was proven for one
    mailbox and does not move to another on somebody's word.

    \b
    dispatcher subscribers rectify maria@example.de --name "Maria Muster" --language en
    dispatcher subscribers rectify maria@exmaple.de --address maria@example.de
    """
    if name is None and language is None and new is None and zone is None:
        raise click.UsageError("name what is to be put right: --name, --language, --zone or --address")
    asked = serving.order(context.engine, address, received, operator)
    spoken = Language(language) if language else None
    right = Right(name, spoken, zone, parse_address(new) if new is not None else None)
    with context.engine.begin() as conn:
        done = serving.rectify(conn, context.keyring, context.settings, asked, right)
    if done.mail is not None:
        broker.nudge_launch(context.settings, done.mail)
    out.print(done.outcome)


@click.command()
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@RECEIVED
@BY
@pass_context
def erase(context: Context, address: str, yes: bool, received: datetime | None, operator: str) -> None:
    """Erase a person (Art. 17 GDPR): address and name, for good. Entered in the log.

    What stays is the proof of consent, found by a keyed hash alone, until claims have lapsed; and that hash on the
    never-mail list, so that no import brings the address back. Only the person's own new sign-up does.

    \b
    dispatcher subscribers erase maria@example.de
    """
    asked = serving.order(context.engine, address, received, operator)
    with reading(context.engine).connect() as conn:
        serving.known(conn, context.keyring, asked.address)
    if not yes:
        click.confirm(f"Erase 1 person, {address}, for good?", abort=True)
    erased = serving.erase(context.engine, context.keyring, asked)
    out.print(f"{erased.outcome}: address and name are gone; ended: {', '.join(erased.topics) or 'no topic stood'}")
    if not erased.is_clean:
        out.print("the database file is in use, and a copy is left in it: say the same again when nobody is at work")
    out.print("not reached: backups of the database, files of people that you keep, the relay's own log", markup=False)


@click.group("rights", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def rights_(ctx: click.Context, as_json: bool) -> None:
    """List what people asked for by right, and the days that are left. One month, by calendar (Art. 12(3) GDPR)."""
    if ctx.invoked_subcommand is not None:
        return
    context = ctx.find_object(Context)
    assert context is not None
    with reading(context.engine).connect() as conn:
        now, listed = clock.now(conn), rights.listed(conn)
    is_cut = len(listed) == rights.LISTED
    if as_json:
        print_json({"requests": [_as_json(asked, now) for asked in listed], "is_cut": is_cut})
        return
    table = make_table("no", "what", "received", "due", "days left", "done", "by", "outcome", right=("no", "days left"))
    for asked in listed:
        table.add_row(*_row(asked, now))
    out.print(table)
    if is_cut:
        out.print(f"only {rights.LISTED} are shown; every open one is among them unless all are open")


@rights_.command()
@click.argument("address")
@click.option("--kind", type=click.Choice([each.value for each in RightKind]), required=True)
@RECEIVED
@pass_context
def add(context: Context, address: str, kind: str, received: datetime | None) -> None:
    """Enter a request that is still to be done; the month runs from the day it came in.

    \b
    dispatcher subscribers rights add maria@example.de --kind erasure --received 2026-11-20
    """
    hashed = address_hash(context.keyring, parse_address(address))
    with context.engine.begin() as conn:
        now = clock.now(conn)
        at = _received(received, now) or now
        number = rights.enter(conn, RightKind(kind), hashed, at)
    out.print(f"request {number}, {kind}: due on {rights.due_on(at)}")


@rights_.command()
@click.argument("number", type=int)
@click.option("--outcome", required=True, help="What was done or why not, in words; without the address.")
@BY
@pass_context
def close(context: Context, number: int, outcome: str, operator: str) -> None:
    """End a request that no command of ours did: answered by letter, refused, withdrawn.

    \b
    dispatcher subscribers rights close 3 --outcome "identity not shown; asked for it twice"
    """
    _names_nobody("outcome", outcome)
    with context.engine.begin() as conn:
        ended = rights.close(conn, number, operator, outcome, clock.now(conn))
    out.print(f"request {number}, {ended.kind}: closed")


@rights_.command()
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why, as the person was told; without the address.")
@pass_context
def extend(context: Context, number: int, reason: str) -> None:
    """Put a request off by two months, once (Art. 12(3) GDPR). Tell the person before its first month is over.

    \b
    dispatcher subscribers rights extend 3 --reason "fourteen requests of the same house came in at once"
    """
    _names_nobody("reason", reason)
    with context.engine.begin() as conn:
        extended = rights.extend(conn, number, reason, clock.now(conn))
    out.print(f"request {number}, {extended.kind}: due on {extended.due_on}; tell the person, if you have not yet")


def _names_nobody(what: str, words: str) -> None:
    if "@" in words:
        raise InputRefused(f"the {what} holds an @", "the log outlives the address: say it without naming it")


def _as_json(asked: Asked, now: datetime) -> dict[str, object]:
    return {**rights.as_facts(asked, now), "address_hash": asked.address_hash.hex()}


def _received(day: datetime | None, now: datetime) -> datetime | None:
    return rights.received(date(day.year, day.month, day.day), now) if day else None


def _hand_out(facts: Facts, language: Language, *, file: Path | None, html: Path | None) -> None:
    if html is not None:
        write(html, paper.access(facts, language))
    if file is not None:
        write(file, canonical(facts) + b"\n")
        out.print(f"{file}: everything that is held about this person", markup=False)
        if html is not None:
            out.print(f"{html}: the same as a page", markup=False)
    else:
        print_json(facts)


def _row(asked: Asked, now: datetime) -> list[str]:
    days = asked.days_left(now)
    left = "" if asked.done_at else f"[bold red]{-days} overdue[/]" if days < 0 else str(days)
    done = f"{asked.done_at.astimezone(ZONE):%Y-%m-%d}" if asked.done_at else ""
    received = f"{asked.received_at.astimezone(ZONE):%Y-%m-%d}"
    return [
        str(asked.id), asked.kind, received, str(asked.due_on), left, done, escape(asked.operator or ""),
        escape(asked.outcome or ""),
    ]  # fmt: skip


COMMANDS: tuple[click.Command, ...] = (access, rectify, erase, rights_)

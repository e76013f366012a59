"""`dispatcher subscribers`: people in and out as files, and one person's story."""

import click
from rich.markup import escape
from sqlalchemy import Connection

from dispatcher.cli import rights
from dispatcher.cli.add import add
from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.cli.exports import export, list_
from dispatcher.cli.import_runs import imports
from dispatcher.cli.imports import import_
from dispatcher.cli.restriction import release, restrict
from dispatcher.db.engine import reading
from dispatcher.db.terms import SubscriptionState
from dispatcher.domain import consent as ledger
from dispatcher.domain import coverage, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import subscribers as people
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import NotFound


@click.group()
def subscribers() -> None:
    """People."""


for _command in (add, import_, imports, list_, export, *rights.COMMANDS, restrict, release):
    subscribers.add_command(_command)


@subscribers.command()
@click.argument("address")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def show(context: Context, address: str, as_json: bool) -> None:
    """Tell one person's story: consent, letters, suppression."""
    with reading(context.engine).connect() as conn:
        person = find(conn, context.keyring, address)
        stands = ledger.standing(conn, person.id)
        current = coverage.current_topics(conn, person.id)
        entries = suppression.entries(conn, person.address_hash)
        told = people.story(conn, person.id)
    if as_json:
        print_json({
            "address": person.address, "name": person.name, "language": person.language,
            "restricted_at": person.restricted_at,
            "topics": {
                t: {"state": state, "since": since, "is_current": t in current} for t, (state, since) in stands.items()
            },
            "suppressed": [{"scope": e.scope, "reason": e.reason, "at": e.at} for e in entries],
            "story": [{"at": h.at, "what": h.what, "topic": h.topic, "detail": h.detail} for h in told],
        })  # fmt: skip
        return
    out.print(f"[bold]{escape(person.address or '(erased)')}[/]  {escape(person.name)}  ({person.language})")
    table = make_table("topic", "state", "since", "")
    for topic, (state, since) in stands.items():
        is_older = state is SubscriptionState.CONFIRMED and topic not in current
        words = "under older words: to be renewed" if is_older else ""
        table.add_row(topic, state, f"{since:%Y-%m-%d %H:%M:%S} UTC", words)
    out.print(table)
    if person.restricted_at is not None:
        out.print(f"[bold]restricted:[/] since {person.restricted_at:%Y-%m-%d %H:%M} UTC (Art. 18 GDPR)")
    for entry in entries:
        out.print(f"[bold]never mail:[/] {entry.scope}, {entry.reason}, since {entry.at:%Y-%m-%d %H:%M} UTC")
    out.print()
    table = make_table("when (UTC)", "what", "topic", "proof")
    for happening in told:
        table.add_row(f"{happening.at:%Y-%m-%d %H:%M:%S}", happening.what, happening.topic, escape(happening.detail))
    out.print(table)


def find(conn: Connection, keyring: Keyring, address: str) -> Subscriber:
    """Find a person by address. Raises NotFound, AddressInvalid."""
    person = people.by_hash(conn, address_hash(keyring, parse_address(address)))
    if person is None:
        raise NotFound(f"nobody here has the address {address}", "check the spelling")
    return person

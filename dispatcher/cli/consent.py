"""`dispatcher consent`: what an operator does on a person's word."""

from datetime import datetime

import click

from dispatcher.cli import chain
from dispatcher.cli.context import Context, out, pass_context
from dispatcher.cli.dossier import check, dossier
from dispatcher.cli.history import history
from dispatcher.cli.rights import BY, RECEIVED
from dispatcher.cli.subscribers import find
from dispatcher.db import clock
from dispatcher.db.terms import Topic
from dispatcher.domain import consent as ledger
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import rights
from dispatcher.rights import serving
from dispatcher.rights.serving import Objection


@click.group()
def consent() -> None:
    """The ledger of who agreed to what."""


for command in (history, dossier, check, chain.verify, chain.checkpoint, chain.acknowledge, chain.public_key):
    consent.add_command(command)


@consent.command()
@click.argument("address")
@click.option(
    "--topic", type=click.Choice([topic.value for topic in Topic]), help="Only this one; without it, every topic."
)
@pass_context
def withdraw(context: Context, address: str, topic: str | None) -> None:
    """End a person's consent, at once.

    \b
    dispatcher consent withdraw maria@example.de
    dispatcher consent withdraw maria@example.de --topic finance-news
    """
    with context.engine.begin() as conn:
        person = find(conn, context.keyring, address)
        topics = [Topic(topic)] if topic else list(Topic)
        ended = ledger.withdraw(conn, person.id, topics, Evidence(source="operator, command line"), clock.now(conn))
    if ended:
        out.print(
            f"withdrawn: {', '.join(ended)}. Nothing more on this goes to this person, running campaigns included."
        )
    else:
        out.print("nothing to do: there was no consent to end")


@consent.command("object")
@click.argument("address")
@click.option(
    "--topic", type=click.Choice([topic.value for topic in Topic]), help="Only this one; without it, every topic."
)
@RECEIVED
@BY
@pass_context
def object_(context: Context, address: str, topic: str | None, received: datetime | None, operator: str) -> None:
    """Note that a person objects to being written to (Art. 21 GDPR): at once, and for good. Entered in the log.

    Unlike a withdrawal it is not lifted by a later sign-up, whoever pressed the button.

    \b
    dispatcher consent object maria@example.de
    """
    with context.engine.begin() as conn:
        person = find(conn, context.keyring, address)
        at = rights.received(received.date(), clock.now(conn)) if received else None
        topics = (Topic(topic),) if topic else tuple(Topic)
        source = "operator, on the person's objection (Art. 21 GDPR)"
        new = serving.object_to(conn, person, Objection(topics, source, operator, at))
    if new:
        out.print(f"objected: {', '.join(new)}. Nothing more on this goes to this person, now or after a new sign-up.")
    else:
        out.print("nothing to do: the objection was noted before")

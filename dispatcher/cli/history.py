"""`dispatcher consent history`: what a person agreed to and what ended it, with all the evidence, in words."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict

import click

from dispatcher.cli.context import Context, out, pass_context, print_json
from dispatcher.db.engine import reading
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.history import Told
from dispatcher.domain.people.history import history as read
from dispatcher.errors import NotFound

_WIDEST = 100
_WORDS = {
    "requested": "somebody asked for letters with this address",
    "listed": "a file named the address, without evidence of consent",
    "confirmation-sent": "our relay took the mail that asks for confirmation",
    "confirmed": "the button on the confirmation page was pressed",
    "imported": "consent was entered with its evidence",
    "withdrawn": "the consent was ended",
    "objected": "the person objected to all letters",
    "expired": "it was not confirmed, or not renewed, in time",
    "erased": "the person was erased",
    "paused": "the person wanted no letters for some weeks",
    "resumed": "the pause was over",
    "restricted": "processing was restricted (Art. 18 GDPR)",
    "released": "the restriction was lifted",
    "move-asked": "somebody with a link of theirs named another address",
    "move-allowed": "the button in the mail to the address of then was pressed",
    "address-changed": "and the one in the mail to the new address: it was theirs from then on",
}


@click.command()
@click.argument("address")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def history(context: Context, address: str, as_json: bool) -> None:
    """Tell the whole story of one person's consent, with every piece of evidence."""
    with reading(context.engine).connect() as conn:
        person = subscribers.by_hash(conn, address_hash(context.keyring, parse_address(address)))
        if person is None:
            raise NotFound(f"nobody here has the address {address}", "check the spelling")
        told = read(conn, person.id)
    if as_json:
        print_json({"address": person.address, "events": [_as_json(event) for event in told]})
        return
    for event in told:
        out.print(f"[bold]{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.kind}  {event.topic or 'every topic'}[/]")
        for line in _lines(event):
            out.print(textwrap.fill(
                line, min(out.width, _WIDEST), initial_indent="  ", subsequent_indent="    "
            ), markup=False)  # fmt: skip
        out.print()


def _as_json(event: Told) -> dict[str, object]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(event).items()}


def _lines(event: Told) -> Iterator[str]:
    yield f"event {event.id}: {_WORDS[event.kind]}"
    yield f"source: {event.source}"
    if event.given_at is not None:
        yield f"given at: {event.given_at:%Y-%m-%d %H:%M:%S} UTC"
    named = (
        ("from", event.ip),
        ("with", event.user_agent),
        ("language", event.language),
        ("under", f"{event.declaration} ({event.declaration_language})" if event.declaration else None),
        ("words SHA-256", event.declaration_sha256),
        ("words as the source named them", event.declaration_named),
        ("privacy notice SHA-256", event.privacy_sha256),
        ("double opt-in no.", event.request_id),
        ("mail template", event.mail_template),
        ("mail SHA-256", event.mail_sha256),
        ("Message-ID", event.message_id),
        ("relay said", event.relay_reply),
    )
    for name, value in named:
        if value is not None:
            yield f"{name}: {value.hex() if isinstance(value, bytes) else value}"

"""`dispatcher consent dossier` and `consent check`: the proof of one person's consent, as a file, and its check."""

import sys
from getpass import getuser
from pathlib import Path

import click

from dispatcher.cli.context import Context, out, pass_context
from dispatcher.cli.private_files import write
from dispatcher.counting import counted
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language
from dispatcher.domain.proof import seal
from dispatcher.errors import InputRefused
from dispatcher.rights import dossier as dossiers
from dispatcher.rights import paper, sealed
from dispatcher.rights.dossier import House
from dispatcher.rights.sealed import Checked
from dispatcher.sending import notary

_LARGEST = 64 * 1024 * 1024
_NOT_COMPARED = 3  # exit code: intact, but whose key it is was not checked


@click.command()
@click.argument("address")
@click.option(
    "-o", "--output", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The HTML file."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="The data alone, sealed too."
)
@click.option(
    "--language", type=click.Choice([each.value for each in Language]), default=Language.DE.value, show_default=True
)
@click.option("--by", "operator", default=getuser, help="Who makes it; by default whoever is logged in.")
@pass_context
def dossier(context: Context, address: str, file: Path, json_file: Path | None, language: str, operator: str) -> None:
    """Make the file that proves a person's consent: readable, printable, sealed.

    \b
    dispatcher consent dossier maria@example.de -o maria.html
    dispatcher consent dossier maria@example.de -o maria.html --json maria.json --language en
    """
    s = context.settings
    house = House(s.sender_name, s.sender_address, s.impressum, operator)
    with reading(context.engine).connect() as conn:
        facts = dossiers.gather(conn, context.keyring, address, house, clock.now(conn))
        by = notary.seal_key(conn, s)
    write(file, sealed.seal_html(paper.dossier(facts, Language(language), by.key_id), by))
    if json_file is not None:
        write(json_file, sealed.seal_json(facts, by))
    holds = f"{counted(len(facts['events']), 'event')}, {counted(len(facts['letters']), 'letter')}"
    out.print(f"{file}: {holds}; sealed by key {by.key_id}", markup=False)
    out.print(f"next: dispatcher consent check {file}", markup=False)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The key known beforehand, PEM."
)
def check(file: Path, key: Path | None) -> None:
    """Check a dossier: is it as it was sealed, and by whom? Needs the file alone, no settings and no database.

    Whose key it is can only be told by one that was known beforehand: anybody can seal a file anew with a key of their
    own. Exit code 0: unchanged, and sealed with that key. 3: unchanged, but no key was named. 1: neither.

    \b
    dispatcher consent public-key > known.pem       at the house that issues it, once
    dispatcher consent check maria.html --key known.pem
    """
    if file.stat().st_size > _LARGEST:
        raise InputRefused(f"{file} is larger than any dossier", "name a file that `dispatcher consent dossier` made")
    found = sealed.check(file.read_bytes())
    if found.problem is not None:
        raise InputRefused(f"{file} is not as it was sealed: {found.problem}", "ask its issuer for the original file")
    if key is None:
        out.print(f"{file}: unchanged since signed by key {found.key_id}", markup=False)
        out.print(
            "That key stands in the file itself, and whose it is was not checked: name the one you know, --key FILE"
        )
        sys.exit(_NOT_COMPARED)
    _compare(file, found, key)


def _compare(file: Path, found: Checked, key: Path) -> None:
    known = key.read_text(encoding="ascii", errors="replace")
    try:
        other = seal.key_id(known)
    except InputRefused as error:
        raise InputRefused(f"{key} {error.what}", error.cure) from None
    if not seal.is_same(known, found.pem):
        what = f"{file} is unchanged since signed by key {found.key_id}, but that is not the key of {key} ({other})"
        raise InputRefused(what, "either it was sealed by somebody else, or the key to compare with is another one")
    out.print(f"{file}: unchanged since signed by key {found.key_id}, which is the key of {key}", markup=False)

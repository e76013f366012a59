"""`dispatcher dkim`: keys that sign letters, and the records that publish them."""

from pathlib import Path
from typing import Any

import click

from dispatcher.cli.context import Context, out, pass_context, print_json
from dispatcher.compose.dkim_key import Algorithm, SigningKey, make_pem, read_pem, strings
from dispatcher.errors import InputRefused
from dispatcher.sending import house
from dispatcher.settings import dkim_key


@click.group()
def dkim() -> None:
    """Sign letters: keys, and their records in the DNS."""


@dkim.command()
@click.argument("selector")
@click.option("--domain", help="The domain that signs; default: the sender's.")
@click.option("--algorithm", type=click.Choice([a.value for a in Algorithm]), default="rsa", show_default=True)
@click.option("-o", "--output", "file", required=True, type=click.Path(path_type=Path), help="The key's file, in PEM.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def new(context: Context, selector: str, domain: str | None, algorithm: str, file: Path, as_json: bool) -> None:
    """Make a key; print its DNS record and the setting. A file that is there is never overwritten.

    \b
    dispatcher dkim new s2026 -o /etc/dispatcher/dkim.pem
    dispatcher dkim new s2026e --algorithm ed25519 --domain news.example.de -o dkim-ed25519.pem --json
    """
    named = f"{selector}:{domain or context.settings.sender_address.rpartition('@')[2]}:{file.absolute()}"
    if len(named.split()) > 1:
        raise InputRefused(f"{named!r} holds a blank", "name a file without; DISPATCHER_DKIM is divided by blanks")
    place, pem = dkim_key(named), make_pem(Algorithm(algorithm))
    _write(file, pem)
    key = SigningKey(place.selector, place.domain, read_pem(pem))
    if as_json:
        print_json({"file": str(place.file), "setting": named, "record": _row(key)})
        return
    out.print(f"made {file}: the private key, for this user alone\n", markup=False)
    out.print("publish this record, then wait until it can be seen everywhere:")
    out.print(_zone_line(key), markup=False)
    out.print("\nthen set this; several keys stand one after the other, with a blank between:")
    out.print(f'DISPATCHER_DKIM="{named}"', markup=False)


@dkim.command()
@click.option("--json", "as_json", is_flag=True)
@pass_context
def record(context: Context, as_json: bool) -> None:
    """Print the DNS records of the keys that are set.

    \b
    dispatcher dkim record >> zone.news.example.de
    """
    signer = house.signer(context.settings)
    keys = signer.keys if signer else ()
    if as_json:
        print_json({"records": [_row(key) for key in keys]})
        return
    for key in keys:
        out.print(_zone_line(key), markup=False)
    if not keys:
        out.print("; DISPATCHER_DKIM is not set: the relay has to sign", markup=False)


def _write(file: Path, pem: bytes) -> None:
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(pem)
    except FileExistsError:
        raise InputRefused(f"{file} is there already", "name another file; a key that signs is not replaced") from None
    except OSError as error:
        raise InputRefused(f"{file} cannot be written: {error.strerror}", "check the folder and its rights") from None


def _row(key: SigningKey) -> dict[str, Any]:
    return {
        "selector": key.selector, "domain": key.domain, "algorithm": key.algorithm.value, "name": key.name,
        "value": key.record, "strings": strings(key.record),
    }  # fmt: skip


def _zone_line(key: SigningKey) -> str:
    pieces = "\n".join(f'    "{piece}"' for piece in strings(key.record))
    return f"{key.name}. IN TXT (\n{pieces} )"

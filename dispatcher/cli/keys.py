"""`dispatcher keys`: with which programs call the API."""

import re
from dataclasses import asdict
from datetime import datetime, timedelta
from getpass import getuser

import click
from rich.markup import escape

from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Scope
from dispatcher.domain.programs import api_keys
from dispatcher.domain.programs.api_keys import ApiKey, Wanted
from dispatcher.errors import InputRefused

_AT = "%Y-%m-%d %H:%M"


@click.group()
def keys() -> None:
    """Keys of the API: who may do what with it."""


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help=f"Once for each. There are: {', '.join(Scope)}.")
@click.option("--expires", metavar="DAYS", help="After so many days (90d) it opens nothing more; default: never.")
@click.option("--by", "operator", default=getuser, help="Who makes it; by default whoever is logged in.")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def create(
    context: Context, name: str, scopes: tuple[str, ...], expires: str | None, operator: str, as_json: bool
) -> None:
    """Make a key for one program. It is shown now and never again; what is stored is its hash.

    \b
    dispatcher keys create "shop" --scope subscribers:write --expires 365d
    dispatcher keys create "editorial office" --scope campaigns:read --scope campaigns:write --scope campaigns:send
    """
    with context.engine.begin() as conn:
        now = clock.now(conn)
        wanted = Wanted(name, api_keys.scopes_of(scopes), _end(expires, now), operator)
        made, key = api_keys.create(conn, wanted, now)
    if as_json:
        print_json({**_facts(made, now), "key": key})
        return
    out.print(f"key {made.id} for {escape(made.name)}: {', '.join(sorted(made.scopes))}")
    out.print(f"until {made.expires_at:{_AT}} UTC" if made.expires_at else "until it is revoked")
    out.print(key, markup=False)
    out.print("note it now: it is not shown again. Whoever has it can do what its scopes say.")


@keys.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the keys: whose, what they may do, when they were last used."""
    with reading(context.engine).connect() as conn:
        now, listed = clock.now(conn), api_keys.listed(conn)
    if as_json:
        print_json({"keys": [_facts(key, now) for key in listed]})
        return
    table = make_table("id", "begins", "name", "scopes", "until (UTC)", "last used (UTC)", "made by", "", right=("id",))
    for key in listed:
        until = f"{key.expires_at:{_AT}}" if key.expires_at else ""
        used = f"{key.last_used_at:{_AT}}" if key.last_used_at else "never"
        scopes = " ".join(sorted(key.scopes))
        table.add_row(
            str(key.id), key.hint, escape(key.name), scopes, until, used, escape(key.created_by), _stands(key, now)
        )
    out.print(table if listed else "no keys yet; `dispatcher keys create --help` shows how to make one")


@keys.command()
@click.argument("key_id", metavar="ID", type=int)
@pass_context
def revoke(context: Context, key_id: int) -> None:
    """End a key for good, at once."""
    with context.engine.begin() as conn:
        revoked = api_keys.revoke(conn, key_id, clock.now(conn))
    out.print(f"key {revoked.id} ({escape(revoked.name)}) opens nothing any more, since {revoked.revoked_at:{_AT}} UTC")


def _end(expires: str | None, now: datetime) -> datetime | None:
    if expires is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,3})d", expires)
    if found is None:
        raise InputRefused(f"--expires {expires!r} is no number of days", "write it as 90d")
    return now + timedelta(days=int(found.group(1)))


def _stands(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:{_AT}}"
    return "good" if key.is_good(now) else "over"


def _facts(key: ApiKey, now: datetime) -> dict[str, object]:
    return {**asdict(key), "scopes": sorted(key.scopes), "is_good": key.is_good(now)}

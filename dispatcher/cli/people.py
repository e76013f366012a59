"""`dispatcher people`: who may log in to the console, and in which role."""

import getpass
from datetime import datetime
from typing import Any

import click
from rich.markup import escape
from sqlalchemy import Connection

from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Role
from dispatcher.domain.staff import audit, invitations, members
from dispatcher.domain.staff.audit import Deed
from dispatcher.domain.staff.members import Member
from dispatcher.errors import MoveRefused, NotFound

_ROLES = click.Choice([role.value for role in Role])


@click.group()
def people() -> None:
    """The staff: who may log in to the console. Subscribers are under `dispatcher subscribers`."""


@people.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show every account: role, second factor, last log-in."""
    with reading(context.engine).connect() as conn:
        found = members.everyone(conn)
    if as_json:
        print_json({"people": [_facts(member) for member in found]})
        return
    table = make_table("e-mail", "name", "role", "state", "second factor", "last log-in")
    for member in found:
        seen = f"{member.seen_at:%Y-%m-%d %H:%M} UTC" if member.seen_at else "never"
        factor = "yes" if member.has_second_factor else "no"
        table.add_row(escape(member.email), escape(member.name), member.role, _state(member), factor, seen)
    out.print(table)


@people.command()
@click.argument("email")
@click.option("--name", required=True)
@click.option("--role", required=True, type=_ROLES)
@click.option(
    "--language", default="de", show_default=True, type=click.Choice([language.value for language in Language])
)
@click.option("--json", "as_json", is_flag=True)
@pass_context
def create(context: Context, email: str, name: str, role: str, language: str, as_json: bool) -> None:
    """Make an account, and a link by which its owner sets the password: good once, for three days.

    \b
    dispatcher people create anna@example.de --name "Anna Beispiel" --role editor
    """
    who = members.candidate(email, name, role, language)
    with context.engine.begin() as conn:
        now = clock.now(conn)
        member_id = members.create(conn, who, now)
        token = invitations.invite(conn, member_id, now)
        _record(conn, "people.invited", member_id, now, role=role)
    _print_link(context, who.email, token, as_json=as_json)


@people.command()
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def reset(context: Context, email: str, as_json: bool) -> None:
    """Make a new link for somebody who forgot their password or lost their phone.

    By it they set a new password; their second factor goes, and they are logged out everywhere.

    \b
    dispatcher people reset anna@example.de
    """
    with context.engine.begin() as conn:
        now = clock.now(conn)
        member = _find(conn, email)
        if member.off_at is not None:
            raise MoveRefused(f"the account of {member.email} is switched off", "first: dispatcher people on")
        token = invitations.invite(conn, member.id, now)
        _record(conn, "people.link", member.id, now)
    _print_link(context, member.email, token, as_json=as_json)


@people.command("role")
@click.argument("email")
@click.argument("role", type=_ROLES)
@click.option("--json", "as_json", is_flag=True)
@pass_context
def role_(context: Context, email: str, role: str, as_json: bool) -> None:
    """Give somebody another role; they are logged out.

    \b
    dispatcher people role anna@example.de sender
    """
    with context.engine.begin() as conn:
        member = _find(conn, email)
        if members.set_role(conn, member.id, Role(role)):
            _record(conn, "people.role", member.id, clock.now(conn), role=role, before=member.role)
        changed = members.get(conn, member.id)
    _print(changed, f"{changed.email} is {changed.role} now", as_json=as_json)


@people.command()
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def off(context: Context, email: str, as_json: bool) -> None:
    """Let somebody in no more; they are logged out at once.

    \b
    dispatcher people off anna@example.de
    """
    with context.engine.begin() as conn:
        now = clock.now(conn)
        member = _find(conn, email)
        if members.switch_off(conn, member.id, now):
            _record(conn, "people.off", member.id, now)
        changed = members.get(conn, member.id)
    _print(changed, f"{changed.email} is switched off", as_json=as_json)


@people.command()
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@pass_context
def on(context: Context, email: str, as_json: bool) -> None:
    """Let somebody in again.

    \b
    dispatcher people on anna@example.de
    """
    with context.engine.begin() as conn:
        member = _find(conn, email)
        if members.switch_on(conn, member.id):
            _record(conn, "people.on", member.id, clock.now(conn))
        changed = members.get(conn, member.id)
    _print(changed, f"{changed.email} can log in again", as_json=as_json)


def first_link(context: Context, public_url: str) -> str | None:
    """Make the link by which the first administrator names themselves; None: somebody has an account."""
    with context.engine.begin() as conn:
        token = invitations.invite_first(conn, clock.now(conn))
    return None if token is None else _link(public_url, token)


def _find(conn: Connection, email: str) -> Member:
    found = members.by_email(conn, members.normal_email(email))
    if found is None:
        raise NotFound(f"nobody has an account as {email}", "`dispatcher people list` shows all of them")
    return found


def _record(conn: Connection, action: str, member_id: int, now: datetime, **facts: str) -> None:
    audit.record(conn, audit.operator(getpass.getuser()), Deed(action, "member", member_id, facts), now)


def _link(public_url: str, token: str) -> str:
    return f"{public_url}/console/invitation/{token}"


def _print_link(context: Context, email: str, token: str, *, as_json: bool) -> None:
    link = _link(context.settings.public_url, token)
    if as_json:
        print_json({"email": email, "link": link, "days": invitations.LASTS.days})
        return
    out.print(f"{escape(email)} sets the password here, once, within {invitations.LASTS.days} days:")
    out.print(link, markup=False)


def _print(member: Member, words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(member))
    else:
        out.print(words, markup=False)


def _facts(member: Member) -> dict[str, Any]:
    return {
        "email": member.email,
        "name": member.name,
        "role": member.role,
        "language": member.language,
        "state": _state(member),
        "second_factor": member.has_second_factor,
        "seen_at": member.seen_at,
    }


def _state(member: Member) -> str:
    if member.off_at is not None:
        return "off"
    return "active" if member.has_password else "invited"

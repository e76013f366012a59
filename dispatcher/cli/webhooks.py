"""`dispatcher webhooks`: programs elsewhere are told what happens here."""

from dataclasses import asdict
from datetime import UTC, datetime
from getpass import getuser

import click
from rich.markup import escape

from dispatcher.cli.context import Context, make_table, out, pass_context, print_json
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import MessageState
from dispatcher.domain.programs import webhook_messages
from dispatcher.domain.programs import webhooks as domain
from dispatcher.domain.programs.webhook_messages import Message
from dispatcher.domain.programs.webhooks import KINDS, Endpoint
from dispatcher.errors import PartUnavailable
from dispatcher.sending import courier, house

_AT = "%Y-%m-%d %H:%M"
_JSON = click.option("--json", "as_json", is_flag=True)
_ID = click.argument("endpoint_id", metavar="ID", type=int)
_SHOWN = 100


@click.group()
def webhooks() -> None:
    """Webhooks: programs elsewhere are told what happens here, by signed requests (docs/api.md)."""


@webhooks.command()
@click.argument("url")
@click.option("--type", "kinds", multiple=True, required=True, help=f"Once for each. There are: {', '.join(KINDS)}.")
@click.option("--by", "operator", default=getuser, help="Who enters it; by default whoever is logged in.")
@_JSON
@pass_context
def add(context: Context, url: str, kinds: tuple[str, ...], operator: str, as_json: bool) -> None:
    """Enter an endpoint. Its secret is shown now and never again; a receiver checks our signatures with it.

    \b
    dispatcher webhooks add https://shop.example.de/hooks --type consent.given --type consent.ended
    """
    with context.engine.begin() as conn:
        wanted = domain.kinds_of(kinds)
        made, secret = domain.add(conn, context.keyring, url, wanted, operator, clock.now(conn))
    if as_json:
        print_json({**_facts(made), "secret": secret})
        return
    out.print(f"endpoint {made.id} is told: {', '.join(made.kinds)}")
    out.print(secret, markup=False)
    out.print(f"note it now: it is not shown again. See whether it arrives: dispatcher webhooks test {made.id}")


@webhooks.command("list")
@_JSON
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the endpoints: what they are told, what waits, and which were switched off.

    \b
    dispatcher webhooks list
    """
    with reading(context.engine).connect() as conn:
        listed, counts = domain.listed(conn), webhook_messages.counts(conn)
    if as_json:
        print_json({"endpoints": [{**_facts(of), "messages": counts.get(of.id, {})} for of in listed]})
        return
    columns = ("id", "waiting", "delivered", "given up")
    table = make_table("id", "url", "told", "waiting", "delivered", "given up", "last (UTC)", "", right=columns)
    for of in listed:
        figures = [f"{counts.get(of.id, {}).get(state, 0):,}" for state in MessageState]
        last = f"{of.delivered_at:{_AT}}" if of.delivered_at else "never"
        table.add_row(str(of.id), escape(of.url), " ".join(of.kinds), *figures, last, escape(_stands(of)))
    out.print(table if listed else "no endpoints yet; `dispatcher webhooks add --help` shows how to enter one")


@webhooks.command("log")
@_ID
@_JSON
@pass_context
def log_(context: Context, endpoint_id: int, as_json: bool) -> None:
    """Show what an endpoint was told at last, and what it answered.

    \b
    dispatcher webhooks log 1
    """
    with reading(context.engine).connect() as conn:
        domain.get(conn, endpoint_id)
        messages = webhook_messages.log_of(conn, endpoint_id, _SHOWN)
    if as_json:
        print_json({"messages": [asdict(message) for message in messages]})
        return
    table = make_table("message", "type", "happened (UTC)", "", "attempts", "answer", right=("attempts",))
    for m in messages:
        attempts, answer = str(m.attempts), escape(m.answer or "")
        table.add_row(m.message_id, m.kind, f"{m.at:{_AT}}", m.state, attempts, answer)
    out.print(table if messages else f"endpoint {endpoint_id} was told nothing yet")


@webhooks.command()
@_ID
@_JSON
@pass_context
def test(context: Context, endpoint_id: int, as_json: bool) -> None:
    """Send an endpoint a message of no meaning, and say what it answered. Exit code 1 if it did not take it.

    \b
    dispatcher webhooks test 1
    """
    with context.engine.begin() as conn:
        message_id = domain.try_out(conn, endpoint_id, clock.now(conn))
    courier.deliver(house.satchel(context.settings, context.engine), budget=courier.PATIENCE)
    with reading(context.engine).connect() as conn:
        message = webhook_messages.named(conn, message_id)
    if as_json:
        print_json(asdict(message))
    if message.state is not MessageState.DELIVERED:
        raise PartUnavailable(
            _untaken(message), f"mend the receiver; `dispatcher webhooks log {endpoint_id}` shows more"
        )
    if not as_json:
        out.print(f"endpoint {endpoint_id} took {message_id}: it answered {message.answer}")


@webhooks.command()
@_ID
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="Everything since then (UTC).")
@_JSON
@pass_context
def replay(context: Context, endpoint_id: int, since: datetime | None, as_json: bool) -> None:
    """Send once more what an endpoint did not take in three days; with --since all it was told since then.

    The ids are the same, so a receiver that has seen one leaves it. What is older than `webhooks` in
    `dispatcher retention plan` is gone: read the ledger by the API then.

    \b
    dispatcher webhooks replay 1 --since 2026-11-28
    """
    at = since.replace(tzinfo=UTC) if since else None
    with context.engine.begin() as conn:
        count = webhook_messages.replay(conn, endpoint_id, at, clock.now(conn))
    if as_json:
        print_json({"endpoint": endpoint_id, "messages": count})
    else:
        out.print(f"{count:,} messages go to endpoint {endpoint_id} once more; a worker sends them")


@webhooks.command()
@_ID
@_JSON
@pass_context
def off(context: Context, endpoint_id: int, as_json: bool) -> None:
    """Tell an endpoint nothing any more. What waits for it waits; what happens meanwhile it is never told.

    \b
    dispatcher webhooks off 1
    """
    with context.engine.begin() as conn:
        of = domain.switch_off(conn, endpoint_id, clock.now(conn))
    _say(of, as_json=as_json)


@webhooks.command()
@_ID
@_JSON
@pass_context
def on(context: Context, endpoint_id: int, as_json: bool) -> None:
    """Tell an endpoint again what happens, and what waits for it.

    \b
    dispatcher webhooks on 1
    """
    with context.engine.begin() as conn:
        of = domain.switch_on(conn, endpoint_id)
    _say(of, as_json=as_json)


def _say(of: Endpoint, *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(of))
    else:
        out.print(f"endpoint {of.id} is {_stands(of)}", markup=False)


def _untaken(message: Message) -> str:
    if message.answer is None:
        return f"endpoint {message.endpoint_id} was not reached in time: another process may be sending to it"
    return f"endpoint {message.endpoint_id} did not take {message.message_id}: {message.answer}"


def _stands(of: Endpoint) -> str:
    if of.off_at is None:
        return "on"
    return f"off since {of.off_at:{_AT}} UTC" + (f": {of.off_why}" if of.off_why else "")


def _facts(of: Endpoint) -> dict[str, object]:
    return {**asdict(of), "is_on": of.off_at is None}

"""`dispatcher subscribers restrict` and `release`: a person's data is kept, and nothing else is done with it."""

from datetime import datetime

import click

from dispatcher.cli.context import Context, out, pass_context
from dispatcher.cli.rights import BY, RECEIVED
from dispatcher.rights import serving


@click.command()
@click.argument("address")
@RECEIVED
@BY
@pass_context
def restrict(context: Context, address: str, received: datetime | None, operator: str) -> None:
    """Restrict what is done with a person's data (Art. 18 GDPR), at once. Entered in the log.

    From then on nothing is mailed to them, of running campaigns included; no sign-up and no import changes what is
    stored, and no period of retention takes it away. They can leave all the same.

    \b
    dispatcher subscribers restrict maria@example.de --received 2026-11-20
    """
    asked = serving.order(context.engine, address, received, operator)
    with context.engine.begin() as conn:
        outcome = serving.restrict(conn, context.keyring, asked)
    out.print(f"{outcome}: nothing is mailed, changed or deleted")
    out.print(f"to end it, tell the person, then: dispatcher subscribers release {address} --told DAY", markup=False)


@click.command()
@click.argument("address")
@click.option(
    "--told", type=click.DateTime(["%Y-%m-%d"]), required=True,
    help="The day on which the person was told that the restriction ends (Art. 18(3) GDPR).",
)  # fmt: skip
@BY
@pass_context
def release(context: Context, address: str, told: datetime, operator: str) -> None:
    """End a restriction, once the person was told so. Consents are what they were, and periods run on.

    \b
    dispatcher subscribers release maria@example.de --told 2026-11-27
    """
    order = serving.order(context.engine, address, None, operator)
    with context.engine.begin() as conn:
        is_released = serving.release(conn, context.keyring, order, told.date())
    if is_released:
        out.print("released: consents stand as they did, and what is due by its period goes with the next daily run")
    else:
        out.print("nothing to do: there was no restriction")

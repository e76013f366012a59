"""`dispatcher intake`: what the mail server pipes in."""

import sys

import click
from sqlalchemy.exc import DBAPIError

from dispatcher.bounces import intake as bounces_intake
from dispatcher.cli.context import Context, pass_context
from dispatcher.db import clock
from dispatcher.errors import DispatcherError

_TRY_LATER = 75  # EX_TEMPFAIL of sysexits.h: the mail server keeps the message and comes back
_LARGEST = 10 * 1024 * 1024


@click.command()
@click.argument("recipients", nargs=-1)
@pass_context
def intake(context: Context, recipients: tuple[str, ...]) -> None:
    """Take one incoming message.

    From standard input: a mail to the unsubscribe address of a letter.

    \b
    In Postfix' master.cf, for the bounce domain:
    dispatcher unix - n n - 4 pipe user=dispatcher argv=dispatcher intake ${recipient}
    """
    message = sys.stdin.buffer.read(_LARGEST)
    try:
        with context.engine.begin() as conn:
            bounces_intake.take(conn, context.keyring, message, recipients, clock.now(conn))
    except (DBAPIError, DispatcherError) as error:
        # Any other exit code makes the mail server send the message back to the person who wants to leave.
        sys.stderr.write(f"{type(error).__name__}; the message stays with the mail server, see: dispatcher doctor\n")
        sys.exit(_TRY_LATER)

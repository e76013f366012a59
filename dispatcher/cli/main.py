"""The command `dispatcher`. What is not called is not imported: a worker needs no web server, and nobody waits for what
they did not ask for. So this file imports little, and knows by itself what the commands are for.
"""

import importlib
import sys
from typing import NoReturn

import click

from dispatcher.errors import DispatcherError, PartUnavailable

# Where each command lies, and its own first sentence: the list of commands reads none of them.
_COMMANDS = {
    "up": ("up", "Run everything on this machine."),
    "web": ("web", "Serve the pages, and the API under /api/v1."),
    "worker": ("worker", "Send what is due."),
    "demo": ("demo", "See it work, in a minute."),
    "doctor": ("doctor", "Say what is wrong and what to do."),
    "db": ("db", "The database's schema."),
    "people": ("people", "The staff: who may log in to the console."),
    "keys": ("keys", "Keys of the API: who may do what with it."),
    "webhooks": (
        "webhooks",
        "Webhooks: programs elsewhere are told what happens here, by signed requests (docs/api.md).",
    ),
    "subscribers": ("subscribers", "People."),
    "suppressions": ("suppressions", "The never-mail list: it wins over every consent and every file."),
    "consent": ("consent", "The ledger of who agreed to what."),
    "declarations": ("declarations", "The words people agree to, in versions that never change."),
    "backup": ("backup", "Copy a SQLite database to FILE while everything goes on."),
    "restore": ("backup", "Put a SQLite database back from FILE."),
    "retention": ("retention", "How long things are kept, and letting go of them."),
    "campaigns": ("campaigns", "Newsletters: create, schedule, start, watch, account for."),
    "series": ("series", "Newsletters that come again: create, fill, skip, pause, end."),
    "feeds": ("feeds", "News from elsewhere (RSS, Atom) fill a series: what is new becomes its next issue."),
    "providers": ("providers", "Mailbox providers: rates, pauses, and what their answers made of them."),
    "intake": ("intake", "Take one incoming message."),
    "dkim": ("dkim", "Sign letters: keys, and their records in the DNS."),
    "catcher": ("demo", "Take every mail, deliver none."),
    "bench": ("bench", "Measure whole campaigns, the recipients' pages and what comes in bulk on this machine."),
}


class _Commands(click.Group):
    """The commands, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"dispatcher.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in _COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings come from DISPATCHER_... variables or dispatcher.toml; without any, embedded parts under var/.",
)
@click.version_option(package_name="dispatcher", message="dispatcher %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Newsletters, sent only to those whose consent is current at that moment.

    \b
    See it work:              dispatcher demo
    A set-up on this machine: dispatcher up
    Is everything well?       dispatcher doctor
    """
    import structlog

    from dispatcher.cli.context import Context

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for results
    ctx.obj = Context()


def main() -> None:
    """Run the command line; our errors end in two lines, what happened and what to do."""
    try:
        cli(prog_name="dispatcher")
    except DispatcherError as error:
        _fail(error)
    except BrokenPipeError:
        sys.stderr.close()  # the reader, `head` perhaps, has seen enough
        sys.exit(0)
    except Exception as error:
        if type(error).__module__.startswith(("sqlalchemy", "psycopg")):
            first = str(error).strip().splitlines()[0]
            _fail(PartUnavailable(f"the database went away: {first}", "see `dispatcher doctor`; then try again"))
        raise


def _fail(error: DispatcherError) -> NoReturn:
    from dispatcher.cli.context import fail

    fail(error)


if __name__ == "__main__":
    main()

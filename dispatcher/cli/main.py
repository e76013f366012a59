"""The command `dispatcher`."""

import importlib
import sys

import click
import structlog

from dispatcher.cli.context import Context, fail
from dispatcher.errors import DispatcherError, PartUnavailable

# What is not called is not imported: a worker needs no web server, and nobody waits for what they did not ask for.
_COMMANDS = {
    "up": "up", "web": "web", "worker": "worker", "demo": "demo", "doctor": "doctor", "db": "db",
    "people": "people",
    "subscribers": "subscribers", "suppressions": "suppressions", "consent": "consent", "declarations": "declarations",
    "backup": "backup", "restore": "backup", "retention": "retention", "campaigns": "campaigns",
    "providers": "providers", "intake": "intake", "dkim": "dkim", "catcher": "demo", "bench": "bench",
    "keys": "keys",
}  # fmt: skip


class _Commands(click.Group):
    """The commands, each imported when it is called or described."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"dispatcher.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


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
    ctx.obj = Context()


def main() -> None:
    """Run the command line; our errors end in two lines, what happened and what to do."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for results
    try:
        cli(prog_name="dispatcher")
    except DispatcherError as error:
        fail(error)
    except BrokenPipeError:
        sys.stderr.close()  # the reader, `head` perhaps, has seen enough
        sys.exit(0)
    except Exception as error:
        if type(error).__module__.startswith(("sqlalchemy", "psycopg")):
            first = str(error).strip().splitlines()[0]
            fail(PartUnavailable(f"the database went away: {first}", "see `dispatcher doctor`; then try again"))
        raise


if __name__ == "__main__":
    main()

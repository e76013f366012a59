"""The command `dispatcher`."""

import sys

import click

from dispatcher.cli import campaigns, consent, db, intake, run, subscribers
from dispatcher.cli.context import Context, fail
from dispatcher.errors import DispatcherError, PartUnavailable


@click.group(
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


for command in (
    run.up, run.web, run.worker, run.demo, run.doctor, run.catcher,
    db.db, subscribers.subscribers, consent.consent, campaigns.campaigns, intake.intake,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line; our errors end in two lines, what happened and what to do."""
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

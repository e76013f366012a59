"""`dispatcher db`: the schema."""

import click

from dispatcher.cli.context import Context, out, pass_context
from dispatcher.db import engine, migrate


@click.group()
def db() -> None:
    """The database's schema."""


@db.command()
@pass_context
def upgrade(context: Context) -> None:
    """Bring the database up to date. Safe to repeat, and to run on two machines at once."""
    made = engine.make_engine(context.settings.database_url)
    engine.check(made)
    before, after = migrate.upgrade(made)
    where = made.url.render_as_string(hide_password=True)
    out.print(f"{where} is at revision {after}" + ("" if before == after else f" (was: {before or 'empty'})"))

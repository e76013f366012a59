"""What every command needs: settings, engine, a look for people or for scripts."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine

from dispatcher import settings as settings_module
from dispatcher.compose.house import House
from dispatcher.db import clock, engine, migrate
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import DispatcherError
from dispatcher.sending import endings
from dispatcher.sending import house as houses
from dispatcher.sending.endings import EndingsFile
from dispatcher.sending.press import Stationery
from dispatcher.settings import Ports, Settings

PORTS = Ports()
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Context:
    """Settings and what is made of them, each only when a command asks for it."""

    @cached_property
    def settings(self) -> Settings:
        """Give the settings, checked."""
        return settings_module.load()

    @cached_property
    def engine(self) -> Engine:
        """Give the engine of a database that answers, is up to date, and knows our keys."""
        made = endings.keep(engine.make_engine(self.settings.database_url), self.endings)
        engine.check(made)
        migrate.require_current(made)
        with made.begin() as conn:
            houses.remember_keys(conn, self.keyring, clock.now(conn))
        self._settle(made)
        return made

    @property
    def endings(self) -> EndingsFile:
        """Give the file of what must outlive a restore."""
        return endings.file_of(self.settings)

    def _settle(self, made: Engine) -> None:
        """Apply what the database lacks. A command that ends a consent works without the file, too; a worker does not
        (see `check`).
        """
        try:
            endings.settle(made, self.endings)
        except DispatcherError as error:
            err.print(f"[bold]warning:[/] {escape(error.what)}")

    def check(self) -> None:
        """Make sure that settings, relays, DKIM keys, periods, database and the file of endings are good, before
        anything starts.
        """
        houses.relays(self.settings)
        houses.signer(self.settings)
        houses.retention(self.settings)
        endings.settle(self.engine, self.endings)
        endings.require_complete(self.engine, self.endings)

    @property
    def keyring(self) -> Keyring:
        """Give the keys."""
        return houses.keyring(self.settings)

    @property
    def stationery(self) -> Stationery:
        """Give what letters share."""
        return houses.stationery(self.settings)

    @property
    def house(self) -> House:
        """Give how the house names itself."""
        return houses.house(self.settings)


pass_context = click.make_pass_decorator(Context)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def fail(error: DispatcherError) -> NoReturn:
    """Say what happened and what to do, and end with exit code 1."""
    err.print(f"[bold red]error:[/] {escape(error.what)}")
    if error.cure:
        err.print(f"[bold]  cure:[/] {escape(error.cure)}")
    sys.exit(1)


def make_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Make an empty table; the columns named in `right` hold numbers. Cells are markup: escape what others wrote."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table

"""Files that are handed in, in tests: a counter that takes them, and a worker that is held up in the middle of one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from dispatcher import settings as settings_module
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import SuppressionReason, Topic, UploadKind
from dispatcher.domain import uploads
from dispatcher.domain.imports import Instructions, writing
from dispatcher.domain.uploads import Order, Upload
from dispatcher.sending.handed_in import orders, work
from dispatcher.sending.handed_in.place import Place, shelf_of
from dispatcher.sending.house import keyring
from dispatcher.settings import Settings
from dispatcher.worker import intake

HEADER = "email,name,language,topics,consent_at,consent_ip,consent_source,declaration\n"
PROOF = "2026-01-31T14:05:00+01:00,192.0.2.7,form 3,newsletter-2026-01"


def settings_of(database_url: str, folder: Path, **more: str) -> Settings:
    """Give the settings of a house in this folder."""
    return settings_module.load(environ_of(database_url, folder, **more), folder)


def environ_of(database_url: str, folder: Path, **more: str) -> dict[str, str]:
    """Give the same as a process's environment."""
    given = {"database_url": database_url, "var": str(folder / "var"), "secret_keys": f"k1:{'1' * 64}", **more}
    return {f"DISPATCHER_{name.upper()}": value for name, value in given.items()}


@dataclass
class Counter:
    """Where files are handed in, and the worker behind it."""

    engine: Engine
    settings: Settings
    owner: str = "this worker"
    told_to_end: list[bool] = field(default_factory=list)

    def hand_in(
        self, text: str, file: str = "people.csv", how: Instructions | None = None, confirm: bool = False
    ) -> int:
        """Hand a file of people in; give its number."""
        told = orders.people(how or Instructions(file_name=file), confirm=confirm)
        return self._enter(text, file, Order(UploadKind.PEOPLE, "CRM export", told, "Anna Beispiel"))

    def hand_in_never(self, text: str, scope: Topic | None = None) -> int:
        """Hand a never-mail list in; give its number."""
        told = orders.never_mail(scope, SuppressionReason.OPERATOR, "utf-8")
        return self._enter(text, "never.txt", Order(UploadKind.NEVER_MAIL, "old system", told, "Anna Beispiel"))

    def _enter(self, text: str, file: str, order: Order) -> int:
        arriving = shelf_of(self.settings).begin(file)
        arriving.write(text.encode())
        arrived = arriving.finish()
        with self.engine.begin() as conn:
            return uploads.enter(conn, arrived, order, clock.now(conn))

    def start(self, upload_id: int) -> None:
        """Say that it is to be taken in."""
        with self.engine.begin() as conn:
            uploads.start(conn, upload_id, "Anna Beispiel", clock.now(conn))

    def work(self) -> None:
        """Work off what waits."""
        work.work_off(self.place)

    @property
    def place(self) -> Place:
        """Give where the worker works."""
        stopping = lambda: bool(self.told_to_end and self.told_to_end.pop(0))  # noqa: E731
        return Place(self.engine, self.settings, keyring(self.settings), shelf_of(self.settings), self.owner, stopping)

    def see(self, upload_id: int) -> Upload:
        """Give a file as it stands."""
        with reading(self.engine).connect() as conn:
            found = uploads.by_id(conn, upload_id)
        assert found is not None
        return found

    @property
    def lying(self) -> list[str]:
        """Give what lies in the folder."""
        return sorted(path.name for path in self.settings.uploads.iterdir())


def held_worker(environ: Mapping[str, str], owner: str, chunk: int, events: tuple[Event, Event]) -> None:
    """Be the worker's program with smaller chunks. In the transaction of the second one set the first event, and wait
    for the other.
    """
    there, go_on = events
    take, taken = writing.take, [0]

    def take_and_hold(*arguments: Any, **named: Any) -> Any:
        pending = take(*arguments, **named)
        taken[0] += 1
        if taken[0] == 2:
            there.set()
            go_on.wait(60)
        return pending

    writing.chunks = partial(writing.chunks, size=chunk)  # type: ignore[assignment]
    writing.take = take_and_hold  # type: ignore[assignment]
    os.environ.update(environ)
    intake.main(owner)

"""A Valkey of a test's own, on a socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispatcher import settings as settings_module
from dispatcher.worker import supervisor
from dispatcher.worker.programs import Program
from tests.journeys.house import KEYS, wait_for


class Valkey:
    """The embedded broker, to be ended and started again."""

    def __init__(self, var: Path) -> None:
        environ = {"DISPATCHER_VAR": str(var), "DISPATCHER_SECRET_KEYS": KEYS}
        self._settings = settings_module.load(environ, var)
        self._program: Program = supervisor.House(self._settings, 0, None).programs[0]
        self.url = self._settings.broker_url

    def start(self) -> None:
        self._program.start()
        wait_for(lambda: supervisor.broker.answers(self._settings) is None, "the broker")

    def end(self) -> None:
        self._program.end(5.0)


@contextmanager
def running_valkey(var: Path) -> Iterator[Valkey]:
    """Run one."""
    valkey = Valkey(var)
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.end()

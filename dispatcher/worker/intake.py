"""Files that were handed in are worked off by a program of its own: `python -m dispatcher.worker intake OWNER`.

    tick -> does a file wait? -> the program is started -> works at files until none waits -> ends

Not a task of the Celery workers: a file takes minutes, and neither a launch nor a mail that a person waits for may wait
for it; and nobody has to be called. What must stay true: one program a worker; of one that died the file is given
back at once, so the next goes on with it.
"""

import gc
import os
import secrets
import socket

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dispatcher import settings as settings_module
from dispatcher.db.clock import steady
from dispatcher.db.engine import make_engine
from dispatcher.observe import logs
from dispatcher.sending import endings, house
from dispatcher.sending.handed_in import work
from dispatcher.sending.handed_in.place import Place, shelf_of
from dispatcher.settings import Settings, environment
from dispatcher.worker.programs import Program, of_a_worker
from dispatcher.worker.stop import Stop

log = structlog.get_logger()
_LOOK = 1.0  # seconds between two looks whether a file waits
_PAUSE = 5.0  # seconds before a program is started again that died
_SWEEP = 5.0  # seconds between two looks at the folder
_GARBAGE = 20_000  # objects between two looks of the collector


class Intake:
    """Sees to it that files are worked off, in the watching process."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine, self._shelf = engine, shelf_of(settings)
        self.program: Program | None = None
        self.owner = ""
        self._next_look = self._next_sweep = 0.0

    def step(self) -> None:
        """Look after the program; start it where a file waits, and let go of files whose time is over."""
        try:
            self._step()
        except DBAPIError as error:  # the database is away: look again
            log.warning("intake.unseen", error=type(error).__name__)
            self._next_look = steady() + _PAUSE

    def _step(self) -> None:
        if self.program is not None and self.program.is_running:
            return
        if self.program is not None:
            self._bury(self.program)
        if steady() >= self._next_sweep:
            self._next_sweep = steady() + _SWEEP
            work.sweep(self._engine, self._shelf)
        if steady() >= self._next_look:
            self._next_look = steady() + _LOOK
            if work.is_due(self._engine):
                self._start()

    def end(self) -> None:
        """End the program; what it was at is given back by itself."""
        if self.program is not None:
            self.program.end(25.0)

    def _start(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.program = Program("intake", of_a_worker("intake", self.owner), environment())
        self.program.start()

    def _bury(self, program: Program) -> None:
        code = program.process.returncode if program.process is not None else 0
        if code:
            work.release(self._engine, self.owner, is_dead=True)
            log.warning("program.died", program=program.name, code=code, again_in_s=_PAUSE)
            self._next_look = steady() + _PAUSE
        self.program = None


def main(owner: str) -> int:
    """Work at files until none waits, or we are told to end; give the exit code."""
    settings = settings_module.load()
    logs.configure(settings.log)
    stop = Stop().listen()
    gc.freeze()  # what was imported stays; little of a row is cyclic
    gc.set_threshold(_GARBAGE, 20, 100)
    file = endings.file_of(settings)
    engine = endings.keep(make_engine(settings.database_url), file)
    endings.settle(engine, file)
    work.work_off(Place(engine, settings, house.keyring(settings), shelf_of(settings), owner, stop.is_set))
    return 0

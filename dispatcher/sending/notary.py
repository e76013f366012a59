"""The daily checkpoint: signed, kept in its table, and added to a file that can be shipped elsewhere.

What must stay true: of many workers one makes it. The file is written before the transaction ends, so every checkpoint
in the table is in a file; a line too many does no harm, for it is as true as the others.
"""

from pathlib import Path

import structlog
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.engine import reading
from dispatcher.domain import chain_head, checkpoints, seal
from dispatcher.domain.checkpoints import Checkpoint
from dispatcher.errors import DispatcherError, PartUnavailable
from dispatcher.settings import Settings

log = structlog.get_logger()
_LOOK, _AGAIN = 60.0, 3600.0  # seconds
FILE = "consent_checkpoints.jsonl"


class Notary:
    """The daily checkpoint of one process: looked after once a minute, and once an hour while it cannot be made."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._next = steady()

    def step(self) -> Checkpoint | None:
        """Make the day's checkpoint if it is due. Letters go on if it cannot be made; the log says why."""
        if steady() < self._next:
            return None
        self._next = steady() + _LOOK
        try:
            return step(self._engine, self._settings)
        except DispatcherError as error:
            self._next = steady() + _AGAIN
            log.error("checkpoint.failed", what=error.what, cure=error.cure)
            return None


def step(engine: Engine, settings: Settings) -> Checkpoint | None:
    """Make the day's checkpoint if it is due. Safe to call at every tick, in every worker. Raises DispatcherError."""
    with reading(engine).connect() as conn:
        if not checkpoints.is_due(conn, clock.now(conn)):
            return None
    key = seal.load_or_make(settings)
    with engine.begin() as conn:
        now = clock.now(conn)
        chain_head.take(conn, now)  # of two who come at once, the second finds that it is not due any more
        if not checkpoints.is_due(conn, now):
            return None
        made = checkpoints.make(conn, key, now)
        assert made is not None
        keep(settings.var / FILE, made)
    log.info("checkpoint.made", events=made.events)
    return made


def make(engine: Engine, settings: Settings, also: Path | None = None) -> Checkpoint | None:
    """Make a checkpoint now; `also` is a file that gets it too. None: there is no event yet. Raises DispatcherError."""
    key = seal.load_or_make(settings)
    with engine.begin() as conn:
        made = checkpoints.make(conn, key, clock.now(conn))
        if made is not None:
            for path in filter(None, (settings.var / FILE, also)):
                keep(path, made)
    return made


def keep(path: Path, made: Checkpoint) -> None:
    """Add a checkpoint to a file. Raises PartUnavailable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write(made.line + "\n")
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror}"
        raise PartUnavailable(what, "check the folder, its rights and its space") from None

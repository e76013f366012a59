"""The daily checkpoint: signed, kept in its table, and added to a file that can be shipped elsewhere.

What must stay true: of many workers one makes it. The file is written before the transaction ends, so every checkpoint
in the table is in a file; a line too many does no harm, for it is as true as the others.
"""

from pathlib import Path

import structlog
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.domain import chain_head, checkpoints, seal
from dispatcher.domain.checkpoints import Checkpoint
from dispatcher.domain.seal import Seal
from dispatcher.errors import PartUnavailable
from dispatcher.settings import Settings

log = structlog.get_logger()
FILE = "consent_checkpoints.jsonl"


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
    key: Seal = seal.load_or_make(settings)
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

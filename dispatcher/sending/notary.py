"""Checkpoints, made: signed, added to a file that can be shipped elsewhere, and kept in their table.

What must stay true: of many workers one makes it. The file is written first, so every checkpoint in the table is in a
file; a line too many does no harm, for it is as true as the others. Nobody who appends waits for a file.
"""

from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine

from dispatcher import private_files
from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.engine import reading
from dispatcher.domain.proof import chain_head, checkpoints, seal
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.domain.proof.seal import Seal
from dispatcher.errors import DispatcherError, PartUnavailable, SettingInvalid
from dispatcher.settings import Settings

log = structlog.get_logger()
_LOOK, _AGAIN = 60.0, 3600.0  # seconds
FILE = "consent_checkpoints.jsonl"


class Notary:
    """The checkpoints of one process: looked after once a minute, and once an hour while they cannot be made."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._next = steady()

    def step(self) -> Checkpoint | None:
        """Make a checkpoint if one is due. Letters go on if it cannot be made; the log says why."""
        if steady() < self._next:
            return None
        self._next = steady() + _LOOK
        try:
            return step(self._engine, self._settings)
        except DispatcherError as error:
            self._next = steady() + _AGAIN
            log.error("checkpoint.failed", what=error.what, cure=error.cure)
            return None


def seal_key(conn: Connection, settings: Settings) -> Seal:
    """Give the key that signs proofs. At first need it is made, but only where it could not have been lost: no setting
    names it, and no key has signed before. Raises SettingInvalid.
    """
    found = seal.load(settings.seal_key)
    if found is not None:
        return found
    require_never_made(conn, settings)
    return seal.make(settings.seal_key)


def require_never_made(conn: Connection, settings: Settings) -> None:
    """Make sure that a key which is not there was not lost. Raises SettingInvalid."""
    path = settings.seal_key
    if "seal" not in settings.embedded:
        raise SettingInvalid(seal.NAME, f"{path} is not there", f"put the key back, or {seal.CURE}")
    if checkpoints.are_there(conn):
        what = f"{path} is not there, but a key has signed checkpoints of this ledger"
        raise SettingInvalid(seal.NAME, what, f"name the file with that key; if it is lost, {seal.CURE} and name that")


def step(engine: Engine, settings: Settings) -> Checkpoint | None:
    """Make a checkpoint if one is due. Safe to call at every tick, in every worker. Raises DispatcherError."""
    with reading(engine).connect() as conn:
        end = chain_head.read(conn)
        if end is None or not end.events:
            return None
        key = seal_key(conn, settings)
        if not checkpoints.is_due(conn, key.public_pem, clock.now(conn)):
            return None
        made = checkpoints.sign(conn, key, clock.now(conn))
    assert made is not None
    _warn(settings.seal_key)
    keep(settings.var / FILE, made)
    with engine.begin() as conn:
        now = clock.now(conn)
        chain_head.take(conn, now)  # of two who come at once, the second finds that it is not due any more
        if not checkpoints.is_due(conn, key.public_pem, now):
            return None
        checkpoints.keep(conn, made)
    log.info("checkpoint.made", events=made.events)
    return made


def make(
    engine: Engine, settings: Settings, also: Path | None = None, restored_to: int | None = None
) -> Checkpoint | None:
    """Make a checkpoint now; `also` is a file that gets it too. None: there is no event yet. Raises DispatcherError."""
    with reading(engine).connect() as conn:
        key = seal_key(conn, settings)
        made = checkpoints.sign(conn, key, clock.now(conn), restored_to)
    if made is not None:
        _warn(settings.seal_key)
        for path in filter(None, (settings.var / FILE, also)):
            keep(path, made)
        with engine.begin() as conn:
            checkpoints.keep(conn, made)
    return made


def keep(path: Path, made: Checkpoint) -> None:
    """Add a checkpoint to a file. Raises PartUnavailable."""
    try:
        private_files.append_line(path, made.line)
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror}"
        raise PartUnavailable(what, "check the folder, its rights and its space") from None


def _warn(path: Path) -> None:
    if seal.is_exposed(path):
        log.warning("seal.exposed", what=f"others than its owner can read {path}", cure=f"chmod 600 {path}")

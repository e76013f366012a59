"""Verifying the ledger of consent beside the pages: one at a time, with how far it is; what it found goes into the
audit log, where nobody changes it.
"""

import threading
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.domain.proof.verification import Verdict
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Actor, Deed, Entry, Facts, Wanted
from dispatcher.errors import DispatcherError
from dispatcher.sending import verifying
from dispatcher.settings import Settings

ACTION = "consent.verified"
_PATIENCE = 0.25  # seconds a page waits for the end of what it has begun: a small ledger takes no longer
_LISTED = 3  # findings that are kept in words
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification is, in events, and for how many seconds it has run."""

    done: int
    total: int | None
    seconds: float

    @property
    def left(self) -> float | None:
        """Give the seconds that are left, as far as can be told."""
        if not self.done or not self.total or self.seconds < 1:
            return None
        return self.seconds * (self.total - self.done) / self.done


class Verifier:
    """The verification of this process."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._lock = threading.Lock()
        self._begun: float | None = None  # None: none is under way
        self._done = 0
        self._total: int | None = None

    def start(self, actor: Actor) -> bool:
        """Begin, by somebody's word; False: one is under way."""
        with self._lock:
            if self._begun is not None:
                return False
            self._begun, self._done, self._total = steady(), 0, None
        thread = threading.Thread(target=self._run, args=(actor,), name="verifier", daemon=True)
        thread.start()
        thread.join(_PATIENCE)
        return True

    @property
    def progress(self) -> Progress | None:
        """Say how far it is; None: none is under way."""
        begun = self._begun
        return None if begun is None else Progress(self._done, self._total, steady() - begun)

    def _run(self, actor: Actor) -> None:
        try:
            found = self._look()
            with self._engine.begin() as conn:
                audit.record(conn, actor, Deed(ACTION, facts=found), clock.now(conn))
        except SQLAlchemyError as error:
            log.warning("verifier.failed", error=type(error).__name__)
        finally:
            self._begun = None

    def _look(self) -> Facts:
        try:
            verdict = verifying.verify_here(self._engine, self._settings, self._tell)
        except DispatcherError as error:
            return {"well": False, "failed": error.what}
        return facts(verdict)

    def _tell(self, done: int, total: int | None) -> None:
        self._done, self._total = done, total


def facts(of: Verdict) -> dict[str, str | int | bool | None]:
    """Give what a verification found as the audit log keeps it: numbers, kinds, and what is wrong in words."""
    return {
        "well": not of.count,
        "events": of.events,
        "checkpoints": of.checkpoints,
        "signed": of.newest.at if of.newest else None,
        "unsigned": of.unsigned,
        "blanked": of.blanked,
        "restores": len(of.restores),
        "findings": of.count,
        **{f"wrong_{n}": each.wrong.name.lower() for n, each in enumerate(of.breaks[:_LISTED])},
        **{f"event_{n}": each.event for n, each in enumerate(of.breaks[:_LISTED])},
        **{f"says_{n}": each.says for n, each in enumerate(of.breaks[:_LISTED])},
    }


def last(conn: Connection) -> Entry | None:
    """Give what the last verification found, whoever began it."""
    return next(iter(audit.newest(conn, Wanted(action=ACTION), 1)), None)

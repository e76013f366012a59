"""Which file is next, and what happens when one cannot be read.

What must stay true: whoever is killed leaves the file to the next, who goes on where it stood; a dry run, which writes
nothing, begins anew. A file that cannot be read, or that nobody survives, stops no other.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress

import structlog
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import UploadKind
from dispatcher.domain import uploads
from dispatcher.domain.uploads import Overtaken, Upload
from dispatcher.errors import InputRefused
from dispatcher.sending.handed_in import never_mail, people
from dispatcher.sending.handed_in.place import Place, Stopping
from dispatcher.shelf import Kept, Shelf

log = structlog.get_logger()
NO_FILE = "the file is not in the folder of uploads of this worker"
DIED = f"the worker ended {uploads.MOST_ATTEMPTS} times over this file"


def is_due(engine: Engine) -> bool:
    """Claim that a file waits."""
    with reading(engine).connect() as conn:
        return uploads.is_due(conn, clock.now(conn))


def release(engine: Engine, owner: str, *, is_dead: bool) -> None:
    """Give back what somebody held who ended."""
    with engine.begin() as conn:
        uploads.release(conn, owner, is_dead=is_dead)


def sweep(engine: Engine, shelf: Shelf) -> int:
    """Let go of files that no row needs any more; give how many went."""

    def known(stored: Collection[str]) -> Mapping[str, Kept]:
        with reading(engine).connect() as conn:
            return uploads.kept(conn, stored)

    return shelf.sweep(known)


def work_off(place: Place) -> None:
    """Work at files until none waits, or we are to end."""
    with suppress(Stopping):
        while work_at_next(place):
            place.go_on()
    release(place.engine, place.owner, is_dead=False)


def work_at_next(place: Place) -> bool:
    """Work at the file that has waited longest, to the end of its stage. False: none waits. Raises Stopping."""
    with place.engine.begin() as conn:
        mine = uploads.claim(conn, place.owner, clock.now(conn))
    if mine is None:
        return False
    log.info("upload.begun", upload=mine.id, state=mine.state, attempts=mine.attempts)
    with suppress(Overtaken):
        try:
            _work_at(place, mine)
        except InputRefused as error:
            log.warning("upload.failed", upload=mine.id)
            with place.engine.begin() as conn:
                uploads.fail(conn, mine, error.what, error.cure, clock.now(conn))
    sweep(place.engine, place.shelf)
    return True


def _work_at(place: Place, mine: Upload) -> None:
    if mine.attempts > uploads.MOST_ATTEMPTS:
        raise InputRefused(DIED, "hand it in anew, in parts")
    try:
        stream = place.shelf.open(mine.stored)
    except FileNotFoundError:
        log.error("upload.lacks_file", upload=mine.id)
        with place.engine.begin() as conn:
            uploads.postpone(conn, mine, NO_FILE, clock.now(conn))
        return
    with stream:
        match mine.kind:
            case UploadKind.PEOPLE:
                people.work_at(place, mine, stream)
            case UploadKind.NEVER_MAIL:
                never_mail.work_at(place, mine, stream)

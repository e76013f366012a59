"""Verifying the ledger of consent with what this house knows: its own key, and the checkpoints of its own file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.engine import snapshot
from dispatcher.domain.periods import Period
from dispatcher.domain.proof import chain_head, checkpoints, seal, verification
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.domain.proof.verification import Known, Verdict
from dispatcher.errors import InputRefused
from dispatcher.sending import house, notary
from dispatcher.settings import Settings

Tell = Callable[[int, int | None], object]  # how many events are done, and of how many


def verify(
    engine: Engine, settings: Settings, points: Sequence[Checkpoint], public_pems: Sequence[str], tell: Tell
) -> Verdict:
    """Verify the whole ledger, against these checkpoints besides those of the database, signed by one of these keys."""
    with snapshot(engine).connect() as conn:
        now = clock.now(conn)
        kept_since = house.retention(settings)[Period.PROOF].cutoff(now)
        end = chain_head.as_it_stands(conn)
        total = end.events if end else None
        known = Known(tuple(points), tuple(public_pems), now, kept_since)
        return verification.verify(conn, known, lambda done: tell(done, total))


def verify_here(engine: Engine, settings: Settings, tell: Tell) -> Verdict:
    """Verify it by our own key and our own file, as far as they can be read here. Raises SettingInvalid."""
    key = seal.load(settings.seal_key)
    return verify(engine, settings, _own(settings.var / notary.FILE), [key.public_pem] if key else [], tell)


def _own(file: Path) -> list[Checkpoint]:
    """Read our own file; one that is not there, or holds none, brings nothing: those of the database stand for it."""
    try:
        return checkpoints.parse(file.read_text(encoding="ascii"))[0]
    except (OSError, UnicodeDecodeError, InputRefused):
        return []

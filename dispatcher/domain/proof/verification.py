"""Verifying the consent ledger: every event against the one before, the end against the head row and the checkpoints,
and what stands beside it against the events. Without any key, in one snapshot, and in constant memory.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from dispatcher.db import raw
from dispatcher.domain.proof import chain_head, checkpoints, crosschecks, links
from dispatcher.domain.proof.chain_head import Head
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.domain.proof.walk import Break, Findings, Walk, Wrong

FRESH = timedelta(days=2)  # a checkpoint comes every hour, and once a day when nothing happens


@dataclass(frozen=True, slots=True)
class Known:
    """What a verification goes by beside the database: checkpoints from elsewhere, the keys that are ours, what time it
    is, and since when proofs are kept (what retention blanks is older).
    """

    checkpoints: tuple[Checkpoint, ...]
    public_pems: tuple[str, ...]
    now: datetime
    kept_since: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found.

    `blanked`: events whose personal fields are gone, after erasure or retention; `blanked_early`: those of them for
    which neither accounts. `checkpoints`: that are signed by us and say what stands here; `newest`: of those, and
    `unsigned` the events since. `missed_from`: how many events the smallest one of this ledger speaks of that does not.
    `breaks`: what is wrong, the first MOST of `count`.
    """

    events: int
    blanked: int
    blanked_early: int
    checkpoints: int
    newest: Checkpoint | None
    unsigned: int
    restores: tuple[Checkpoint, ...]
    missed_from: int | None
    head: Head | None
    breaks: tuple[Break, ...]
    count: int

    @property
    def broken(self) -> Break | None:
        """Give the first thing that is wrong; None: nothing is."""
        return self.breaks[0] if self.breaks else None


def verify(conn: Connection, known: Known, tell: Callable[[int], object], page: int = links.PAGE) -> Verdict:
    """Verify the whole ledger. `tell` is called with how many events are done. `conn` must see one snapshot."""
    with raw.undecoded(conn):
        end = chain_head.as_it_stands(conn)
        ours, forged = _sorted({*checkpoints.kept(conn), *known.checkpoints}, known.public_pems)
        findings = Findings()
        walk = Walk(end, ours, findings)
        for link in links.read(conn, page):
            if walk.events % links.PAGE == 0:
                tell(walk.events)
            walk.step(link)
        walk.finish()
        findings.note(crosschecks.beyond(conn, walk.last_id))
        findings.note(crosschecks.standings(conn))
        crosschecks.words(conn, findings)
    for point in forged:
        what = f"the checkpoint of {point.at}, key {point.key}, has no signature of ours"
        findings.note(Break(Wrong.FORGED, what))
    newest = max((p for p in walk.met if p.moment <= known.now), key=lambda p: (p.at, p.events), default=None)
    findings.note(_unsigned(end, newest, known.now))
    tell(walk.events)
    return Verdict(
        walk.events, walk.blanked, crosschecks.blanked_early(conn, known.kept_since), len(walk.met), newest,
        (end.events if end else walk.events) - (newest.events if newest else 0),
        tuple(point for point in walk.met if point.restored_to is not None), walk.missed_from, end,
        tuple(findings.listed), findings.count,
    )  # fmt: skip


def _sorted(points: Iterable[Checkpoint], public_pems: tuple[str, ...]) -> tuple[list[Checkpoint], list[Checkpoint]]:
    """Give those that are signed by us, and the others; each in the order of their making."""
    ours: list[Checkpoint] = []
    forged: list[Checkpoint] = []
    for point in sorted(points, key=lambda each: (each.events, each.at, each.signature)):
        (ours if point.is_signed_by(public_pems) else forged).append(point)
    return ours, forged


def _unsigned(end: Head | None, newest: Checkpoint | None, now: datetime) -> Break | None:
    """Whoever can write cuts off what nobody has signed, and makes the head fit."""
    if end is None or not end.events or (end.begun_at.datetime or now) > now - FRESH:
        return None
    if newest is None:
        return Break(Wrong.UNSIGNED, "there is no checkpoint of ours that says what stands here")
    if newest.moment <= now - FRESH:
        return Break(Wrong.UNSIGNED, f"the newest checkpoint of ours is of {newest.at}")
    return None

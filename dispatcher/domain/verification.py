"""Verifying the consent ledger: every event against the one before, the end against the head row and the checkpoints.

The walk is pure and holds one event at a time: of one whose hash is wrong, the event after it tells what happened.

    the next one goes on from the event before it   -> it was inserted
    its number leaves a gap                          -> one before it is missing
    else                                             -> it was changed
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select

from dispatcher.db.tables import consent_event
from dispatcher.domain import chain, chain_head, checkpoints
from dispatcher.domain.chain_head import Head
from dispatcher.domain.checkpoints import Checkpoint

_PAGE = 2000


class Wrong(StrEnum):
    """What is wrong with the ledger."""

    CHANGED = "changed"  # an event is not what was written
    MISSING = "missing"  # an event, or the newest ones, were taken away
    INSERTED = "inserted"  # an event did not come through the ledger
    HEAD = "head does not match"  # the row that says where the chain ends says something else
    CHECKPOINT = "checkpoint does not match"  # what was signed is not what stands here
    FORGED = "checkpoint is not signed by us"


@dataclass(frozen=True, slots=True)
class Break:
    """The first thing that is wrong, in words; of an event, its number, the person's, and when it was recorded."""

    wrong: Wrong
    says: str
    event: int | None = None
    subscriber: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found. `blanked`: events whose personal fields are gone, after erasure or retention."""

    events: int
    blanked: int
    checkpoints: int
    head: Head | None
    broken: Break | None


def verify(
    conn: Connection, elsewhere: Iterable[Checkpoint], public_pems: list[str], tell: Callable[[int], object]
) -> Verdict:
    """Verify the whole ledger, in one snapshot and in constant memory. `tell` is called with how many events are done.

    `elsewhere` are checkpoints beside those in the table. `conn` must see one snapshot until the end.
    """
    end = chain_head.read(conn)
    signed = [*checkpoints.kept(conn), *elsewhere]
    walk = Walk(end, signed)
    for row in _rows(conn):
        if walk.events % _PAGE == 0:
            tell(walk.events)
        if walk.step(row):
            break
    broken = walk.finish() or _unsigned(signed, public_pems)
    tell(walk.events)
    return Verdict(walk.events, walk.blanked, len(signed), end, broken)


class Walk:
    """Goes along the chain, event by event, until something is wrong."""

    def __init__(self, end: Head | None, signed: Iterable[Checkpoint]) -> None:
        self.events = 0
        self.blanked = 0
        self._end = end
        self._good = end.beginning if end else b""
        self._last_id = 0
        self._suspect: Any = None
        self._broken: Break | None = None
        self._signed: dict[int, list[Checkpoint]] = {}
        for point in signed:
            self._signed.setdefault(point.events, []).append(point)
        self._compare(0)

    def step(self, row: Any) -> bool:
        """Look at the next event; True: it is clear what is wrong."""
        if self._broken:
            return True
        if self._suspect is not None:
            self._broken = self._judge(self._suspect, row)
            return True
        if self._end is None:
            self._broken = _at(row, Wrong.HEAD, "there are events, but the row that says where the chain ends is gone")
            return True
        if not _links(self._good, row):
            self._suspect = row
            return False
        self._take(row)
        return self._broken is not None

    def finish(self) -> Break | None:
        """Say what is wrong, after the last event; None: nothing is."""
        if self._broken is None and self._suspect is not None:
            self._broken = self._judge(self._suspect, None)
        return self._broken or self._at_end() or self._beyond()

    def _take(self, row: Any) -> None:
        self.events += 1
        self.blanked += row.salt is None
        self._good, self._last_id = bytes(row.chain_hash), row.id
        # What was blanked has no salt, and nothing personal; the hash over it stands in the chain.
        if row.salt is None:
            if any(getattr(row, name) is not None for name in chain.PERSONAL):
                self._broken = _at(row, Wrong.CHANGED, "personal fields were put back after they had been erased")
        elif chain.personal_sha256(row.salt, [getattr(row, c) for c in chain.PERSONAL]) != bytes(row.personal_sha256):
            self._broken = _at(row, Wrong.CHANGED, "its personal fields or its salt are not what was written")
        if self._broken is None:
            self._compare(self.events)

    def _judge(self, row: Any, after: Any) -> Break:
        """Say what is wrong with an event that does not go on from the one before it."""
        assert self._end is not None
        is_last_beyond = after is None and self._end.head == self._good
        if is_last_beyond or (after is not None and _links(self._good, after)):
            return _at(row, Wrong.INSERTED, "it was not appended by the ledger")
        if row.id > self._last_id + 1 and row.chain_hash is not None:
            if self.events >= self._end.chained_later:
                gone = _numbers(self._last_id + 1, row.id - 1)
                return _at(row, Wrong.MISSING, f"{gone} before it, taken away")
            return _at(row, Wrong.CHANGED, "it is not what was written, or one before it was taken away")
        return _at(row, Wrong.CHANGED, "it is not what was written")

    def _at_end(self) -> Break | None:
        if self._end is None:
            return None
        if self.events < self._end.events:
            what = f"the newest are missing: {self._end.events:,} were appended, {self.events:,} are there"
            return Break(Wrong.MISSING, what, self._last_id + 1)
        if self._end.head != self._good or self.events != self._end.events:
            what = f"it says {self._end.events:,} events, there are {self.events:,}, and its hash is not the last one's"
            return Break(Wrong.HEAD, what, self._last_id)
        return None

    def _compare(self, events: int) -> None:
        for point in self._signed.get(events, []):
            if self._end is None or point.instance != self._end.instance.hex():
                self._broken = Break(Wrong.CHECKPOINT, f"the checkpoint of {point.at} is of another ledger")
            elif point.head != self._good.hex():
                what = f"the first {events:,} events are not those that were signed at {point.at}"
                self._broken = Break(Wrong.CHECKPOINT, what, self._last_id)

    def _beyond(self) -> Break | None:
        for events in sorted(self._signed):
            if events > self.events:
                point = self._signed[events][0]
                what = f"{events:,} events were signed at {point.at}, {self.events:,} are there"
                return Break(Wrong.CHECKPOINT, what, self._last_id)
        return None


def _links(before: bytes, row: Any) -> bool:
    if row.chain_hash is None or row.personal_sha256 is None:
        return False
    sealed = [getattr(row, name) for name in chain.SEALED]
    return chain.chain_hash(before, bytes(row.personal_sha256), sealed) == bytes(row.chain_hash)


def _unsigned(signed: Iterable[Checkpoint], public_pems: list[str]) -> Break | None:
    for point in signed:
        if not point.is_signed_by(public_pems):
            return Break(Wrong.FORGED, f"the checkpoint of {point.at}, key {point.key}, has no signature of ours")
    return None


def _at(row: Any, wrong: Wrong, says: str) -> Break:
    return Break(wrong, says, row.id, row.subscriber_id, row.at)


def _numbers(first: int, last: int) -> str:
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"


def _rows(conn: Connection) -> Iterator[Any]:
    c, last_id = consent_event.c, None
    columns = (*chain.SEALED, *chain.PERSONAL, "salt", "personal_sha256", "chain_hash")
    page = select(*(c[name] for name in columns)).order_by(c.id).limit(_PAGE)
    while rows := conn.execute(page if last_id is None else page.where(c.id > last_id)).all():
        yield from rows
        last_id = rows[-1].id

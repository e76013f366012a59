"""The walk along the chain of consent events: what is wrong, event by event. Pure, and in constant memory.

An event that does not go on from the one before it is suspect until a later one tells what happened:

    a later one goes on from the event before it     -> it, and the suspects beside it, were put in
    its number leaves a gap                          -> one before it is missing
    else                                             -> it was changed

One finding hides no other: behind it the walk goes on from the hash that stands in the event, or that it should have.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dispatcher.domain.proof import chain
from dispatcher.domain.proof.chain import Link
from dispatcher.domain.proof.chain_head import Head
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.domain.proof.moments import Moment

MOST = 20  # findings that are listed
_SUSPECTS = 1000  # held at once


class Wrong(StrEnum):
    """What is wrong with the ledger."""

    CHANGED = "changed"  # an event is not what was written
    MISSING = "missing"  # an event, or the newest ones, were taken away
    INSERTED = "inserted"  # an event did not come through the ledger
    HEAD = "head does not match"  # the row that says where the chain ends says something else
    STANDING = "subscription does not match"  # it is not what the events make of it
    WORDS = "words do not match"  # a declaration or a privacy notice is not the text of its hash
    CHECKPOINT = "checkpoint does not match"  # what was signed is not what stands here
    FORGED = "checkpoint is not signed by us"
    UNSIGNED = "not signed lately"  # so nobody can tell whether the newest events are all there


@dataclass(frozen=True, slots=True)
class Break:
    """A thing that is wrong, in words; of an event, its number, the person's, and when it was recorded."""

    wrong: Wrong
    says: str
    event: int | None = None
    subscriber: int | None = None
    at: datetime | None = None


class Findings:
    """What was found: the first MOST of them, and how many there are."""

    def __init__(self) -> None:
        self.listed: list[Break] = []
        self.count = 0

    def note(self, found: Break | None) -> None:
        """Take a finding in."""
        if found is not None:
            self.count += 1
            self.listed += [found] if self.count <= MOST else []


class Walk:
    """Goes along the chain, event by event, to its end. `signed` are checkpoints whose signature is ours."""

    def __init__(self, end: Head | None, signed: Iterable[Checkpoint], findings: Findings) -> None:
        self.events = 0
        self.blanked = 0
        self.last_id = 0  # of the last event that was not put in
        self.met: list[Checkpoint] = []
        self.missed_from: int | None = None  # events that the smallest checkpoint of this ledger speaks of in vain
        self._end = end
        self._passed = 0  # events that were not put in
        self._good = end.beginning if end else b""
        self._found = findings
        self._suspects: list[Link] = []
        self._unmet: dict[str, list[Checkpoint]] = {}
        for point in signed:
            self._unmet.setdefault(point.head, []).append(point)
        self._meet()

    def step(self, link: Link) -> None:
        """Look at the next event."""
        self.events += 1
        self.blanked += link.salt is None
        if self._end is None:
            self._start_anywhere(link)
        elif self._good == self._end.head:
            self._found.note(_at(link, Wrong.INSERTED, "it was not appended by the ledger"))
        elif link.goes_on_from(self._good):
            self._let_go()
            self._take(link)
        elif self._goes_on_from_suspect(link):
            self._take(link)
        else:
            self._suspects.append(link)
            if len(self._suspects) > _SUSPECTS:
                self._blame(_stored(self._suspects[-1]))

    def finish(self) -> None:
        """Note what can be told after the last event only."""
        if self._suspects and self._end is not None:
            self._blame(_stored_or_due(self._suspects[-1], self._before_last(), self._end.head))
        if self._end is not None:
            self._found.note(self._at_end(self._end))
        self._found.note(self._missed())

    def _start_anywhere(self, link: Link) -> None:
        """Without the row that says how the chain began and ends, the first event has to be believed."""
        if not self.last_id:
            what = "there are events, but the row that says where the chain ends is gone, or says nothing"
            self._found.note(_at(link, Wrong.HEAD, what))
            self._end = Head(b"", Moment(0), 0, -1, -1, b"-")
            self._take(link)

    def _take(self, link: Link) -> None:
        self._passed += 1
        self._good, self.last_id = _stored(link), link.id
        self._found.note(_personal(link))
        self._meet()

    def _goes_on_from_suspect(self, link: Link) -> bool:
        """Claim that it goes on from the newest suspect, by the hash it has or by the one it should have."""
        if not self._suspects:
            return False
        newest = self._suspects[-1]
        for hashed in (_stored(newest), newest.hash_after(self._before_last())):
            if hashed and link.goes_on_from(hashed):
                self._blame(hashed)
                return True
        return False

    def _before_last(self) -> bytes:
        """Give the hash in front of the newest suspect."""
        return _stored(self._suspects[-2]) if len(self._suspects) > 1 else self._good

    def _blame(self, good: bytes) -> None:
        """Say of each suspect what happened to it, and go on behind the last of them."""
        for place, link in enumerate(self._suspects):
            self._found.note(self._judge(link, self._passed + place))
            self.last_id = link.id
            self._good = _stored(link)
            self._meet()
        self._passed += len(self._suspects)
        self._suspects.clear()
        self._good = good
        self._meet()

    def _let_go(self) -> None:
        """The chain goes on without the suspects: they were put in."""
        for link in self._suspects:
            self._found.note(_at(link, Wrong.INSERTED, "it was not appended by the ledger"))
        self._suspects.clear()

    def _judge(self, link: Link, events_before: int) -> Break:
        assert self._end is not None
        has_gap = link.id > self.last_id + 1
        if has_gap and events_before >= self._end.chained_later and link.chain_hash is not None:
            gone = _numbers(self.last_id + 1, link.id - 1)
            return _at(link, Wrong.MISSING, f"{gone} before it, taken away")
        if has_gap:
            return _at(link, Wrong.CHANGED, "it is not what was written, or one before it was taken away")
        return _at(link, Wrong.CHANGED, "it is not what was written, or not where it stood")

    def _at_end(self, end: Head) -> Break | None:
        if end.events < 0:  # there is no such row, which was noted
            return None
        if self._good != end.head and self.last_id < end.last_id:
            what = f"the newest are missing: {end.last_id} was appended, the last that is there is {self.last_id}"
            return Break(Wrong.MISSING, what, self.last_id + 1)
        is_sound = self._found.count or self.events == end.events
        if self._good == end.head and self.last_id == end.last_id and is_sound:
            return None
        what = (
            f"it says {end.events:,} events up to number {end.last_id}, there are {self.events:,} up to {self.last_id}"
        )
        return Break(Wrong.HEAD, f"{what}, or its hash is not the last one's", self.last_id)

    def _meet(self) -> None:
        met = self._unmet.pop(self._good.hex(), None) if self._unmet else None
        if met:
            self.met += met

    def _missed(self) -> Break | None:
        """Say which signed past is not this one, but for what a restore took, as somebody of ours acknowledged."""
        restores = [point for point in self.met if point.restored_to is not None]
        unmet = [point for points in self._unmet.values() for point in points]
        missed = [point for point in unmet if not any(_accounts_for(restore, point) for restore in restores)]
        if not missed:
            return None
        ours = [point.events for point in missed if self._end and point.instance == self._end.instance.hex()]
        self.missed_from = min(ours, default=None)
        point = min(missed, key=lambda each: (each.events, each.at))
        more = f"; so do {len(missed) - 1:,} more" if len(missed) > 1 else ""
        if self._end is None or (self._end.instance and point.instance != self._end.instance.hex()):
            return Break(Wrong.CHECKPOINT, f"the checkpoint of {point.at} speaks of another ledger{more}")
        if point.events > self.events:
            what = f"the checkpoint of {point.at} speaks of {point.events:,} events, {self.events:,} are there{more}"
        else:
            what = f"the checkpoint of {point.at} speaks of other first {point.events:,} events than these{more}"
        return Break(Wrong.CHECKPOINT, what, self.last_id)


def _accounts_for(restore: Checkpoint, point: Checkpoint) -> bool:
    assert restore.restored_to is not None
    return point.instance == restore.instance and point.at <= restore.at and point.events > restore.restored_to


def _personal(link: Link) -> Break | None:
    """Say what is wrong with what may go. What was blanked has no salt; the hash over it stands in the chain."""
    if link.salt is None:
        if link.personal != chain.GONE:
            return _at(link, Wrong.CHANGED, "personal fields were put back after they had been erased")
    elif chain.personal_sha256(link.salt, link.personal) != link.personal_sha256:
        return _at(link, Wrong.CHANGED, "its personal fields or its salt are not what was written")
    return None


def _stored(link: Link) -> bytes:
    return link.chain_hash if isinstance(link.chain_hash, bytes) else b""


def _stored_or_due(link: Link, before: bytes, head: bytes) -> bytes:
    """Give the hash that an event has, or the one it should have if the chain ends there by that."""
    due = link.hash_after(before)
    return head if due == head else _stored(link)


def _at(link: Link, wrong: Wrong, says: str) -> Break:
    whose = link.subscriber_id if isinstance(link.subscriber_id, int) else None
    return Break(wrong, says, link.id, whose, link.at)


def _numbers(first: int, last: int) -> str:
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"

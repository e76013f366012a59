"""What is in a file of people, and what became of it: rows, the claims they make, the rows that cannot be read, and the
count of all.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from dispatcher.db.terms import Language, SuppressionReason, Topic
from dispatcher.domain.addresses import Address

_NAMED = 1000  # rejected rows that a tally names


class Fate(StrEnum):
    """What became of a row."""

    CONFIRMED = "confirmed"  # consent with evidence, now current
    OLDER = "older"  # consent with evidence, but under words that are not good any more: to be renewed
    PENDING = "pending"  # no evidence: must confirm first
    LEFT = "left"  # the file says that they left: withdrawn from now on
    BARRED = "barred"  # the file says never to mail them: on the never-mail list from now on
    UNCHANGED = "unchanged"  # known already, nothing new
    DUPLICATE = "duplicate"  # the same address stood in an earlier row
    WITHDRAWN = "withdrawn"  # the person left before: the row changes nothing
    SUPPRESSED = "suppressed"  # on the never-mail list before: the row changes nothing
    RESTRICTED = "restricted"  # what is known of them is only kept (Art. 18 GDPR): the row changes nothing
    REJECTED = "rejected"  # cannot be read


class Says(StrEnum):
    """What a row says of a person and some topics."""

    AGREED = "agreed"  # and here is the evidence
    WISHES = "wishes"  # without evidence that would hold
    LEFT = "left"
    BARRED = "barred"


class Lack(StrEnum):
    """Why a row's consent is not believed as it stands."""

    NO_EVIDENCE = "no evidence of a consent (its moment and its source)"
    # AG Duesseldorf, 23 C 3876/13: the bare day of a consent did not prove it.
    NO_CLOCK_TIME = "the consent has a date without a clock time, which proves nothing in court"
    NO_DOUBLE_OPT_IN = "no double opt-in: two moments, one after the other, and two IP addresses"
    NEVER_CONFIRMED = "it was never confirmed where it comes from"


class Claim(NamedTuple):
    """What a row says of a person and these topics. `barred` without topics is every topic."""

    says: Says
    topics: tuple[Topic, ...]
    at: datetime | None = None
    ip: str | None = None
    source: str | None = None
    declaration: str | None = None
    lack: Lack | None = None
    reason: SuppressionReason | None = None  # of `barred`


class Row(NamedTuple):
    """A row that could be read. `claims` never speak of a topic twice."""

    line: int
    address: Address
    address_hash: bytes
    name: str
    language: Language
    claims: tuple[Claim, ...]
    zone: str | None = None


class Rejected(NamedTuple):
    """A row that could not be read: where it stands, why, and the row itself."""

    line: int
    reason: str
    cells: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """What became of the rows, counted; rejects by name, up to the first 1,000."""

    counts: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))
    lacks: Counter[Lack] = field(default_factory=Counter)  # of those who became pending: why
    rejects: list[Rejected] = field(default_factory=list)
    asked: int = 0  # of those who became pending: who gets a mail that asks to confirm

    @property
    def rows(self) -> int:
        """Give how many rows there were."""
        return sum(self.counts.values())

    def reject(self, rejected: Rejected) -> None:
        """Count a row that could not be read."""
        self.counts[Fate.REJECTED] += 1
        if len(self.rejects) < _NAMED:
            self.rejects.append(rejected)

    def repeat(self, rows: int) -> None:
        """Count rows whose addresses stood in earlier ones."""
        self.counts[Fate.DUPLICATE] += rows

    def enter(self, fate: Fate, claims: Sequence[Claim]) -> None:
        """Count a row, and why its consent is not believed."""
        self.counts[fate] += 1
        if fate is Fate.PENDING:
            for claim in claims:
                if claim.lack is not None:
                    self.lacks[claim.lack] += 1
                    return

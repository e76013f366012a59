"""What a lane carries: an errand, one letter to one person, and the claimed batch that it belongs to.

What must stay true: of each claim it is known how many of its errands have not come to an end. Who counts is the feed.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from dispatcher.db.terms import Outcome
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters.campaigns import Campaign, edition_for
from dispatcher.domain.rates.relay_days import Counted
from dispatcher.domain.rates.slowdowns import Place
from dispatcher.smtp.envelope import Parcel

_SENT: Final = Outcome.SENT  # looked up once: counted for each letter


@dataclass(slots=True)
class Tally:
    """What a relay answered for the letters of a claim."""

    sent: int = 0
    deferred: int = 0
    failed: int = 0


@dataclass(slots=True, eq=False)
class Held:
    """A claim under way: how many of its errands have not come to an end, and why it shall not go on."""

    claim: Claim
    left: int
    halted: str | None = None
    is_whole: bool = True  # False: something of it was put back, so the batch is not done
    tallies: dict[str, Tally] = field(default_factory=dict)  # by relay
    # Letters of the first in its queue, composed already.
    ahead: deque[Parcel] = field(default_factory=deque, repr=False)

    def count(self, relay: str, outcome: Outcome | None) -> None:
        """Count what became of a letter; None: deferred. What is unknown was an answer of nobody's."""
        tally = self.tallies.get(relay)
        if tally is None:
            tally = self.tallies[relay] = Tally()
        if outcome is None:
            tally.deferred += 1
        elif outcome is _SENT:
            tally.sent += 1
        elif outcome is Outcome.FAILED:
            tally.failed += 1

    def counted(self) -> list[Counted]:
        """Give what became of its letters, for the counts of the day."""
        return [
            Counted(Place(relay, self.claim.provider), each.sent, each.deferred, each.failed)
            for relay, each in self.tallies.items()
        ]


class Errand:
    """One letter to one person, on its way through a lane."""

    __slots__ = ("held", "losses", "of", "parcel", "to")

    def __init__(self, held: Held, of: Campaign, to: Recipient, parcel: Parcel, losses: int) -> None:
        """`losses`: connections lost under it before its dot."""
        self.held = held
        self.of = of
        self.to = to
        self.parcel = parcel
        self.losses = losses

    @property
    def edition_no(self) -> int:
        """Give the edition that its letter comes from."""
        variant = self.held.claim.variant
        return self.of.edition_no if variant is None else edition_for(self.of.edition_no, variant)

"""What a drain knows of the campaigns it serves, and the presses that compose their letters.

What must stay true: what cannot be composed stands in nobody's way. A letter that cannot be has failed for its person
alone; a campaign of which that is true of more than a few letters, or of its edition, is paused with the reason. What
the gate goes by, `gate.campaigns`, changes in `refresh` alone, and so a letter of another edition than the campaign's
is of another epoch, too, and does not pass.
"""

from collections import Counter
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy import Connection

from dispatcher.db.terms import CampaignState, Outcome
from dispatcher.domain.delivery import batches
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.ledger import Final
from dispatcher.domain.newsletters import campaigns, freshness
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.errors import DispatcherError
from dispatcher.sending import press as presses
from dispatcher.sending.gate import Gate
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.smtp.envelope import Parcel

log = structlog.get_logger()
FEW_FAILURES, MOST_FAILURES = 5, 0.05  # letters that cannot be composed: so many pause nothing; a larger share does
SPOILT = "more than 5 % of the letters could not be composed: see who, and why, with `campaigns missing`"


class Pressroom:
    """For one drain."""

    def __init__(self, gate: Gate, stationery: Stationery) -> None:
        self.stationery = stationery
        self._gate = gate
        self._presses: dict[tuple[int, int | None], CampaignPress] = {}  # by campaign and subject
        self._claimed: Counter[int] = Counter()  # people, by campaign,
        self._failed: Counter[int] = Counter()  # and of these, whose letter could not be composed
        self._spoilt: set[int] = set()  # campaigns to be paused because that was too many
        self._has_stale = False  # some are to be held because of their prices

    def make_ready(self, conn: Connection, claim: Claim) -> Campaign | None:
        """Give a claimed batch's campaign, its press ready. None: it cannot be composed; it is paused, and the claim
        given back, not to stand in the way of the others.
        """
        of = self._gate.campaigns.get(claim.campaign_id)
        if of is not None and claim.edition in self._presses:
            return of
        of = campaigns.get(conn, claim.campaign_id)
        press = self._load(conn, of, claim.variant)
        if isinstance(press, str):
            batches.give_back(conn, claim, None, press)
            return None
        self._presses[claim.edition] = press
        # Known already, and loaded for one subject more: what its letters go by stays until `refresh`.
        return self._gate.campaigns.setdefault(of.id, of)

    async def refresh(self, campaign_id: int) -> None:
        """Go by the campaign as it is now: its rate, its content, how long its prices are good. Raises DBAPIError."""
        now = await self._gate.transact(partial(self._look_again, campaign_id))
        self._gate.campaigns[campaign_id] = now

    def press_of(self, claim: Claim) -> CampaignPress:
        """Give the press that composes the letters of a claim."""
        return self._presses[claim.edition]

    def parcel(self, claim: Claim, to: Recipient) -> Parcel:
        """Compose one letter of a claim. Raises DispatcherError or TemplateError when that cannot be done."""
        return self._presses[claim.edition].parcel(to, self._gate.about_now())

    def note_claimed(self, claim: Claim, people: int) -> None:
        """Note for how many people letters of a claim are to be composed."""
        self._claimed[claim.campaign_id] += people

    def note_failure(self, claim: Claim, to: Recipient, error: Exception) -> bool:
        """Tell the gate that a letter has failed because it could not be composed. True: one of too many; that is not
        those people's bad luck but the campaign's fault, and it is to be paused.
        """
        of = claim.campaign_id
        log.error("compose.failed", campaign=of, subscriber=to.subscriber_id)
        why = f"could not be composed: {error}"
        self._gate.tell(Final(of, to.subscriber_id, Outcome.FAILED, None, None, why, None), claim)
        self._failed[of] += 1
        if self._failed[of] <= max(FEW_FAILURES, MOST_FAILURES * self._claimed[of]):
            return False
        self._spoilt.add(of)
        return True

    def hold_stale(self) -> None:
        """Have every campaign paused whose prices are too old, by `pause_those_due`."""
        self._has_stale = True

    async def pause_those_due(self) -> None:
        """Pause the campaigns that are to be. Raises DBAPIError; then it stays to be done."""
        while self._spoilt:
            of = next(iter(self._spoilt))
            await self._gate.transact(partial(_pause_spoilt, of))
            self._spoilt.discard(of)
        if self._has_stale:
            await self._gate.transact(freshness.hold_stale)
            self._has_stale = False

    def _look_again(self, campaign_id: int, conn: Connection, _now: datetime) -> Campaign:
        of, known = campaigns.get(conn, campaign_id), self._gate.campaigns[campaign_id]
        if of.edition_no == known.edition_no:
            return of
        for of_id, variant in [key for key in self._presses if key[0] == campaign_id]:
            press = self._load(conn, of, variant)
            if isinstance(press, str):
                return known  # and nothing of what is known passes the gate any more: it is of an epoch that is over
            self._presses[of_id, variant] = press
        return of

    def _load(self, conn: Connection, of: Campaign, variant: int | None) -> CampaignPress | str:
        """Give a press for a campaign as it is now, or say in words why there is none: then the campaign is paused."""
        try:
            return presses.load(conn, of, self.stationery, of.edition_of(variant))
        except (DispatcherError, LookupError, ValueError) as error:
            log.error("edition.unusable", campaign=of.id, error=type(error).__name__)
            problem = error.what if isinstance(error, DispatcherError) else "the stored letter cannot be read"
            campaigns.move(conn, of.id, CampaignState.PAUSED, problem=problem)
            return problem


def _pause_spoilt(campaign_id: int, conn: Connection, _now: datetime) -> None:
    campaigns.move(conn, campaign_id, CampaignState.PAUSED, problem=SPOILT)

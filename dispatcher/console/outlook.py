"""What a release would mean, in figures: who gets it, who does not and why, by which relay, and how long it takes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from dispatcher.console.reasons import of_words
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignState, Outcome
from dispatcher.domain.audience import audiences
from dispatcher.domain.newsletters import campaigns, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.sending import filter_words
from dispatcher.sending import house as houses

_LOOKED_AT = 20  # the newest that were sent, for how fast they went
_FEW = 100  # an audience that says nothing about how fast a large one goes


@dataclass(frozen=True, slots=True)
class Outlook:
    """`withheld` by the key of a sentence in words/reasons, the most people first; `per_minute` None: nobody knows."""

    people: int
    withheld: Sequence[tuple[str, int]]
    relays: Sequence[str]
    per_minute: int | None
    is_limit: bool
    filter: str = ""  # in words, of one that is to be launched
    unfiltered: int = 0  # how many would get it without

    @property
    def everybody(self) -> int:
        """Give how many ever asked for it."""
        return self.people + sum(count for _, count in self.withheld)

    @property
    def seconds(self) -> float | None:
        """Give how long it may take."""
        return None if self.per_minute is None else 60 * self.people / self.per_minute


def outlook(visit: Visit, of: Campaign) -> Outlook:
    """Count what a release of this newsletter would mean now."""
    assert of.topic is not None
    people, why = audiences.counted(visit.conn, of.topic, of.filter)
    withheld: Counter[str] = Counter()
    for said, count in why.items():
        withheld[of_words(said, Outcome.WITHHELD).key] += count
    if of.launched_at is not None:  # its audience is frozen: whoever is left gets it
        left = tallies.tally(visit.conn, of)
        people, withheld = left.remaining + left.deferred, Counter()
    speed = of.rate_per_min or _fastest(visit.conn, visit)
    words, unfiltered = "", people
    if of.filter and of.launched_at is None:
        words = filter_words.say(visit.conn, of.filter, visit.language)
        unfiltered = int(visit.conn.execute(audiences.reached(of.topic)).scalar_one())
    relays = [relay.name for relay in houses.relays(visit.desk.settings)]
    is_limit = of.rate_per_min is not None
    return Outlook(people, withheld.most_common(), relays, speed, is_limit, words, unfiltered)


def _fastest(conn: Connection, visit: Visit) -> int | None:
    """Give how many letters a minute the last large newsletter came to that had no rate of its own."""
    lately = campaigns.newest(conn, _LOOKED_AT, state=CampaignState.SENT)
    large = [of for of in lately if of.rate_per_min is None and (of.audience or 0) >= _FEW]
    for of in large:
        assert of.launched_at is not None
        assert of.finished_at is not None
        took = (of.finished_at - of.launched_at).total_seconds()
        sent = tallies.tallies(conn, [of], visit.desk.memory)[of.id].sent
        if took > 0 and sent and of.wall_time is None:
            return max(1, round(60 * sent / took))
    return None

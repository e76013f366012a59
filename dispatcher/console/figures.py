"""A campaign in figures, as pages show them: the parts of its audience, how fast it goes, and what is wrong."""

from dataclasses import dataclass
from datetime import datetime

from dispatcher.console.declare import Moment
from dispatcher.console.troubles import Trouble, trouble
from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import accounts, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.tallies import Tally


@dataclass(frozen=True, slots=True)
class Figures:
    """`per_minute` is that of the last half minute, or of the whole when it is over; `eta_s` is None when nobody knows.

    `line`: letters a minute in each stretch of the last ten minutes, while it sends. `next_at`: when the time of the
    next readers comes, by their own clocks.
    """

    campaign: Campaign
    tally: Tally
    per_minute: int = 0
    eta_s: int | None = None
    line: tuple[int, ...] = ()
    trouble: Trouble | None = None
    next_at: datetime | None = None


def figures(moment: Moment, of: Campaign) -> Figures:
    """Count a campaign."""
    return of_counted(moment, of, tallies.tally(moment.conn, of))


def of_counted(moment: Moment, of: Campaign, counted: Tally) -> Figures:
    """Give what is to be shown of a campaign whose parts are counted."""
    wrong = trouble(accounts.problem(moment.conn, of))
    if of.launched_at is None:
        return Figures(of, counted, trouble=wrong)
    if of.finished_at is not None:
        took = (of.finished_at - of.launched_at).total_seconds()
        return Figures(of, counted, round(60 * counted.sent / took) if took > 0 else 0, trouble=wrong)
    if of.state not in {CampaignState.SENDING, CampaignState.PAUSED}:
        return Figures(of, counted, trouble=wrong)
    beat = moment.desk.pulse.feel(moment.conn, of, counted, moment.now)
    is_going = of.state is CampaignState.SENDING and beat.per_second > 0
    coming = accounts.next_at(moment.conn, of, moment.now)
    has_end = is_going and coming is None and not of.is_launching
    eta = round(counted.remaining / beat.per_second) if has_end else None
    return Figures(of, counted, round(60 * beat.per_second) if is_going else 0, eta, beat.line, wrong, coming)

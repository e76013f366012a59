"""A trial of subjects: how each one fares, and which one the rest gets.

What must stay true: a choice cannot be taken back, so whoever chooses has been shown whom it reaches; of two who choose
at once one wins, and the other is told.
"""

from starlette.responses import Response

from dispatcher import broker
from dispatcher.console import entitled
from dispatcher.console.declare import Mend, Moment, Values, act, area, live, look
from dispatcher.console.pages.campaign import CALLS, newsletter
from dispatcher.console.visit import Visit
from dispatcher.domain.newsletters import campaigns, trials
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused, MoveRefused


def poll(moment: Moment) -> Values:
    """Give the figures of each subject, which renew themselves."""
    of = campaigns.find(moment.conn, moment.numbers["campaign"])
    return {"trial": entitled.trial(moment, of) if of is not None else None}


def ask(visit: Visit) -> Values:
    """Ask which subject the rest is to get, and say how many people that are."""
    of = newsletter(visit.conn, visit.number("campaign"))
    return {"of": of, "trial": entitled.trial(Moment(visit.desk, visit.conn, visit.now, {}), of)}


def choose(visit: Visit) -> Response:
    """Give the rest this subject, at once."""
    of = newsletter(visit.conn, visit.number("campaign"))
    try:
        variant = trials.read_letter(visit.said("subject"))
        trials.choose(visit.conn, of.id, variant, visit.actor, visit.now)
    except InputRefused:
        raise Mend({"subject": "trials.subject_missing"}) from None
    except MoveRefused:
        raise Mend({"": "trials.not_chosen"}) from None
    visit.is_on_record()
    visit.afterwards(lambda: broker.nudge_drains(visit.desk.settings, 0, CALLS, CALLS))
    return visit.go(f"/campaigns/{of.id}", "trials.is_chosen", letter=trials.letter_of(variant))


_P = Permission
_ONE = "/campaigns/{campaign}"
PAGES = area(
    "campaigns",
    live(f"{_ONE}/trial", _P.SEE_CAMPAIGNS, "campaign_trial", poll, every=10),
    look(f"{_ONE}/choose", _P.SEND_CAMPAIGNS, "campaign_choose", ask),
    act(f"{_ONE}/choose", _P.SEND_CAMPAIGNS, "campaigns.choose", choose),
)

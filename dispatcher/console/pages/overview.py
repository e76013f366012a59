"""What is being sent, what is next, what is wrong: at one glance, and renewed while one looks."""

from datetime import datetime, timedelta

from dispatcher.console import figures
from dispatcher.console.ailments import ailment
from dispatcher.console.declare import Moment, Values, area, live, look
from dispatcher.console.inbox import inbox
from dispatcher.console.pages import consent
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignState, Topic
from dispatcher.domain.newsletters import campaigns, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.staff.roles import Permission

_S = CampaignState
_UNDER_WAY = (_S.PREPARING, _S.SENDING, _S.PAUSED)
_LATELY = 5
_LOOKED_AT = 200  # the newest campaigns
_PATIENCE = timedelta(minutes=1)  # a worker ticks every five seconds


def show(visit: Visit) -> Values:
    """Give the whole page."""
    moment = Moment(visit.desk, visit.conn, visit.now, {})
    asked = poll_asked(moment) if visit.may(Permission.SEND_CAMPAIGNS) else {}
    return {"people": _people(visit), **asked, **poll(moment)}


def poll(moment: Moment) -> Values:
    """Give what renews itself."""
    found = moment.desk.health.known()
    newest = campaigns.newest(moment.conn, _LOOKED_AT)
    planned = sorted((one for one in newest if one.state is _S.SCHEDULED), key=_when)
    lately = [one for one in newest if one.state is _S.SENT][:_LATELY]
    live = [one for one in newest if one.state in _UNDER_WAY]
    counted = tallies.tallies(moment.conn, [*live, *lately], moment.desk.memory)
    under_way = [figures.of_counted(moment, one, counted[one.id]) for one in live]
    return {
        "now": moment.now,
        "under_way": under_way,
        "next": planned[:_LATELY],
        "late": [one for one in planned if moment.now - _when(one) > _PATIENCE],
        "lately": [figures.of_counted(moment, one, counted[one.id]) for one in lately],
        "ailment": ailment,
        "wrong": [finding for finding in found.value if not finding.is_well] if found else None,
        "stuck": [one for one in under_way if one.trouble],
    }


def poll_asked(moment: Moment) -> Values:
    """Give what waits for a release, for whoever may give it; it renews itself."""
    return {"now": moment.now, "asked": inbox(moment.conn)}


def _when(campaign: Campaign) -> datetime:
    return campaign.send_at or campaign.created_at


def _people(visit: Visit) -> list[tuple[Topic, int | None]]:
    """Give how many may be written to, by topic; None: they are still being counted."""
    known = visit.desk.resting.known()
    return [(topic, consent.people(known.value, topic)["good"] if known else None) for topic in Topic]


PAGES = area(
    "overview",
    look("/", Permission.SEE_OVERVIEW, "overview", show),
    live("/live/asked", Permission.SEND_CAMPAIGNS, "overview_asked", poll_asked, every=3.0),
    live("/live/overview", Permission.SEE_OVERVIEW, "overview_live", poll),
)

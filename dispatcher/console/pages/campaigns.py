"""All newsletters, the newest first: filtered by state, searched by name, page by page."""

from dispatcher.console import paging
from dispatcher.console.declare import Values, area, look
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignState
from dispatcher.domain.newsletters import campaigns, tallies
from dispatcher.domain.staff.roles import Permission


def show(visit: Visit) -> Values:
    """Give a page of campaigns with their figures."""
    asked, state = paging.asked(visit), visit.asked("state")
    wanted = CampaignState(state) if state in list(CampaignState) else None
    name = visit.asked("name")
    found = campaigns.newest(visit.conn, paging.PER_PAGE + 1, asked.before, wanted, asked.after, name)
    sheet = paging.sheet(found, asked, lambda of: of.id)
    return {
        "sheet": sheet,
        "counted": tallies.tallies(visit.conn, sheet.things, visit.desk.memory),
        "states": list(CampaignState),
        "state": wanted or "",
        "sought": name,
    }


PAGES = area("campaigns", look("/campaigns", Permission.SEE_CAMPAIGNS, "campaigns", show))

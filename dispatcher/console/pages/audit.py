"""Who did what: the audit log, newest first, page by page."""

from dispatcher.console import paging
from dispatcher.console.declare import Values, area, look
from dispatcher.console.visit import Visit
from dispatcher.domain.staff import audit, members
from dispatcher.domain.staff.audit import Wanted
from dispatcher.domain.staff.roles import Permission


def show(visit: Visit) -> Values:
    """Give a page of entries, filtered by action and member."""
    asked = paging.asked(visit)
    wanted = Wanted(
        action=visit.asked("action") or None,
        member_id=paging.number(visit.asked("member")),
        before=asked.before,
        after=asked.after,
    )
    sheet = paging.sheet(audit.newest(visit.conn, wanted, paging.PER_PAGE + 1), asked, lambda entry: entry.id)
    return {
        "wanted": wanted,
        "sheet": sheet,
        "actions": audit.actions(visit.conn),
        "members": members.everyone(visit.conn),
    }


PAGES = area("audit", look("/audit", Permission.SEE_AUDIT, "audit", show))

"""Who did what: the audit log, newest first, page by page."""

from dispatcher.console.declare import Values, area, look
from dispatcher.console.visit import Visit
from dispatcher.domain.staff import audit, members
from dispatcher.domain.staff.audit import Wanted
from dispatcher.domain.staff.roles import Permission

_PER_PAGE = 50


def show(visit: Visit) -> Values:
    """Give a page of entries, filtered by action and member."""
    wanted = Wanted(
        action=visit.asked("action") or None,
        member_id=_number(visit.asked("member")),
        before=_number(visit.asked("before")),
        after=_number(visit.asked("after")),
    )
    found = audit.newest(visit.conn, wanted, _PER_PAGE + 1)
    backwards = wanted.after is not None
    is_more = len(found) > _PER_PAGE
    entries = found[-_PER_PAGE:] if backwards else found[:_PER_PAGE]
    return {
        "wanted": wanted,
        "entries": entries,
        "older": entries[-1].id if entries and (is_more or backwards) else None,
        "newer": entries[0].id if entries and (is_more if backwards else wanted.before is not None) else None,
        "actions": audit.actions(visit.conn),
        "members": members.everyone(visit.conn),
    }


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


PAGES = area("audit", look("/audit", Permission.SEE_AUDIT, "audit", show))

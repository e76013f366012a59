"""Everybody as a file: the same that the command line writes, and an import reads back.

What must stay true: the file is on record in the audit log; no cell of it is a formula to a spreadsheet program; it is
given page by page, and never held.
"""

import csv
import io
from collections.abc import Iterator

from starlette.responses import Response, StreamingResponse

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.visit import Visit
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain import exports
from dispatcher.domain.exports import Wanted
from dispatcher.domain.staff.roles import Permission
from dispatcher.zone import ZONE


def ask(visit: Visit) -> Values:
    """Ask for whom."""
    return {
        "topics": list(Topic),
        "chosen": visit.form.all("topic") if visit.form.fields else list(Topic),
        "states": list(SubscriptionState),
        "restricted": exports.count_restricted(visit.conn),
    }


def export(visit: Visit) -> Response:
    """Hand everybody out who is asked for."""
    topics = tuple(topic for topic in Topic if topic in visit.form.all("topic"))
    if not topics:
        raise Mend({"topic": "subscribers.topic_missing"})
    state = SubscriptionState(visit.said("state")) if visit.said("state") in list(SubscriptionState) else None
    visit.note(None, None, topics=" ".join(topics), state=state)
    return StreamingResponse(
        _file(visit, Wanted(topics, state)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="subscribers-{visit.now.astimezone(ZONE):%Y-%m-%d}.csv"'
        },
    )


def _file(visit: Visit, wanted: Wanted) -> Iterator[str]:
    """Give the file page by page, each by a connection of its own: none is open while the other side is slow."""
    yield "\ufeff" + _rows([exports.header(wanted)])  # spreadsheet programs take it for UTF-8 then
    for people in exports.pages(visit.desk.engine, wanted):
        yield _rows([exports.cells(person, wanted) for person in people])


def _rows(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


PAGES = area(
    "subscribers",
    look("/subscribers/export", Permission.EXPORT_SUBSCRIBERS, "exporting", ask),
    act("/subscribers/export", Permission.EXPORT_SUBSCRIBERS, "exporting.exported", export),
)

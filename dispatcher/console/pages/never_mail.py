"""The never-mail list: what stands on it, and the list as a file.

What must stay true: no address stands on it, only keyed hashes; the file holds those, and is good in this house alone.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from starlette.responses import Response, StreamingResponse

from dispatcher.console import paging
from dispatcher.console.declare import Values, act, area, look
from dispatcher.console.paging import PER_PAGE, Sheet
from dispatcher.console.visit import Visit
from dispatcher.db.engine import reading
from dispatcher.db.terms import EVERY_TOPIC, SuppressionReason, Topic
from dispatcher.domain import suppression, suppression_files
from dispatcher.domain.people import never_list
from dispatcher.domain.people.never_list import Line, Place, Wanted
from dispatcher.domain.staff.roles import Permission
from dispatcher.zone import ZONE


def show(visit: Visit) -> Values:
    """Give how many stand there for which reason, and a page of entries."""
    reason = visit.asked("reason")
    wanted = Wanted(
        SuppressionReason(reason) if reason in list(SuppressionReason) else None,
        _place(visit.asked("before")),
        _place(visit.asked("after")),
    )
    lines = never_list.page(visit.conn, wanted, PER_PAGE + 1)
    counts = never_list.counts(visit.conn)
    return {
        "wanted": wanted,
        "sheet": _sheet(lines, wanted),
        "counts": {each: counts[each] for each in SuppressionReason if each in counts},
        "lifted": suppression.LIFTED_BY_STAFF,
    }


def export(visit: Visit) -> Response:
    """Hand the list out, as keyed hashes."""
    visit.note(None, None)
    return StreamingResponse(
        _file(visit),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="never-mail-{visit.now.astimezone(ZONE):%Y-%m-%d}.csv"'},
    )


def _file(visit: Visit) -> Iterator[str]:
    """Give the file page by page, each by a connection of its own: none is open while the other side is slow."""
    yield _rows([list(suppression_files.HEADER)])
    after: suppression_files.Place | None = suppression_files.START
    while after is not None:
        with reading(visit.desk.engine).connect() as conn:
            rows, after = suppression_files.page(conn, visit.desk.keyring, after)
        yield _rows(rows)


def _rows(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _sheet(lines: list[Line], wanted: Wanted) -> Sheet[Line]:
    goes_back, is_first = wanted.after is not None, wanted.before is None
    return paging.cut(lines, lambda line: _name(line.place), goes_back=goes_back, is_first=is_first)


def _name(place: Place) -> str:
    return f"{(place.at - _EPOCH) // _MICROSECOND}.{place.address_hash.hex()}.{place.scope}"


def _place(text: str) -> Place | None:
    """Read where a page begins; None for anything else."""
    words = text.split(".")
    if len(words) != 3 or words[2] not in [EVERY_TOPIC, *Topic]:
        return None
    try:
        return Place(_EPOCH + int(words[0]) * _MICROSECOND, bytes.fromhex(words[1]), words[2])
    except (ValueError, OverflowError):
        return None


_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_ALL = "/subscribers/suppressions"
PAGES = area(
    "subscribers",
    look(_ALL, Permission.SEE_SUBSCRIBERS, "never_mail", show),
    act(f"{_ALL}/export", Permission.EXPORT_SUBSCRIBERS, "never_mail.exported", export, mends=_ALL),
)

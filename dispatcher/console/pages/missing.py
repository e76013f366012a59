"""Who did not get a newsletter, and why: page by page, and as a file.

What must stay true: an address is shown and handed out only to who may see people; the file is on record in the audit
log, and no cell of it is a formula to a spreadsheet program.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse

from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.pages.campaign import newsletter
from dispatcher.console.paper import Telling
from dispatcher.console.reasons import Reason, reason
from dispatcher.console.visit import Visit
from dispatcher.db.engine import reading
from dispatcher.domain.newsletters import missing, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.missing import Missing, Part, Place
from dispatcher.domain.spreadsheets import guarded
from dispatcher.domain.staff.roles import Permission

OUTCOMES = ("failed", "unknown", "deferred", "withheld", "remaining")
_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody, and why they did not get it."""

    one: Missing
    why: Reason


def show(visit: Visit) -> Values:
    """Give how many are missing by outcome, and a page of those of one outcome."""
    of = newsletter(visit.conn, visit.number("campaign"))
    counted = tallies.tally(visit.conn, of)
    counts = {outcome: getattr(counted, outcome) for outcome in OUTCOMES}
    outcome = visit.asked("outcome")
    if outcome not in OUTCOMES:
        outcome = next((each for each, people in counts.items() if people), OUTCOMES[0])
    people: list[Missing] = []
    more = None
    if visit.may(Permission.SEE_SUBSCRIBERS):
        after = _place(visit.asked("after")) or Place(missing.part_of(outcome))
        people, more = missing.page(visit.conn, of, after, _PER_PAGE, outcome)
    lines = [Line(one, reason(one)) for one in people]
    return {"of": of, "counts": counts, "outcome": outcome, "lines": lines, "more": more, "counted": counted}


def export(visit: Visit) -> Response:
    """Hand out everybody who did not get it, as CSV."""
    of = newsletter(visit.conn, visit.number("campaign"))
    if of.audience is None:
        raise Mend({"": "missing.not_launched"})
    visit.note("campaign", of.id)
    return StreamingResponse(
        _file(visit, of),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="campaign-{of.id}-missing.csv"'},
    )


def in_words(visit: Visit, why: Reason) -> str:
    """Give a reason as a sentence in the visitor's language."""
    return visit.say(f"reasons.{why.key}", day=Telling(visit.language).day(why.day))


def _file(visit: Visit, of: Campaign) -> Iterator[str]:
    """Give the file page by page, each by a connection of its own: none is open while the other side is slow."""
    yield _rows([[visit.say(f"missing.{column}") for column in ("address", "outcome", "why", "said")]])
    after: Place | None = missing.START
    while after is not None:
        with reading(visit.desk.engine).connect() as conn:
            people, after = missing.page(conn, of, after, missing.PAGE)
        yield _rows([_row(visit, one) for one in people])


def _row(visit: Visit, one: Missing) -> list[str]:
    why = reason(one)
    outcome = visit.say(f"campaign.part_{one.outcome}")
    return [guarded(one.address), outcome, guarded(in_words(visit, why)), guarded(why.said)]


def _rows(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _place(text: str) -> Place | None:
    """Read where a page begins."""
    words = text.split(".")
    if len(words) != len(Place._fields) or not all(w.isascii() and w.isdigit() and len(w) < 19 for w in words):
        return None
    part, batch_no, subscriber_id = (int(word) for word in words)
    return Place(Part(part), batch_no, subscriber_id) if part in set(Part) else None


_PATH = "/campaigns/{campaign}/missing"
PAGES = area(
    "campaigns",
    look(_PATH, Permission.SEE_CAMPAIGNS, "campaign_missing", show),
    act(_PATH, Permission.SEE_SUBSCRIBERS, "campaign.missing_exported", export),
)

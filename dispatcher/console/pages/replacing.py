"""Other content, or fresh prices, for a newsletter that is scheduled or paused: what changes is seen, then saved.

    the form -> what changes, line by line; nothing is kept -> saved -> the check begins -> the release (releasing.py)

What must stay true: until the new content is released, one that waits for its time does not go, and one that is paused
does not go on.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from dispatcher.console.declare import Mend, Values, act, area, look, sized
from dispatcher.console.pages.checking import begin_look, written
from dispatcher.console.pages.drafts import LETTERS
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignState, Language
from dispatcher.domain.newsletters import campaigns, revisions, tallies
from dispatcher.domain.newsletters.campaigns import Campaign, Contents
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import MoveRefused, SavedMeanwhile
from dispatcher.sending import house as houses
from dispatcher.sending import release

_AROUND = 2  # unchanged lines shown beside a change
_S = CampaignState


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the comparison: `sign` is +, - or a blank; "@" where lines in between are left out."""

    sign: str
    text: str


def show(visit: Visit) -> Values:
    """Give what stands, what was typed, and what that changes."""
    of = written(visit.conn, visit.number("campaign"))
    stands = campaigns.contents(visit.conn, of.id)
    typed = {language: (file, _typed(visit, language, text)) for language, (file, text) in sorted(stands.items())}
    is_typed = bool(visit.form.fields)
    return {
        "of": of,
        "can_be_replaced": _can_be_replaced(of),
        "is_stale": of.is_stale(visit.now),
        "left": tallies.tally(visit.conn, of) if of.launched_at else None,
        "files": typed,
        "changes": _changes(stands, typed) if is_typed else [],
        "is_seen": is_typed and not visit.errors and visit.problem is None,
    }


def replace(visit: Visit) -> Response:
    """Show what would change; or, once that was seen, save it and have it looked over."""
    of = written(visit.conn, visit.number("campaign"))
    if not _can_be_replaced(of):
        raise Mend({"": "replacing.cannot"})
    stands = campaigns.contents(visit.conn, of.id)
    typed: Contents = {language: (file, _typed(visit, language, text)) for language, (file, text) in stands.items()}
    if typed == stands:
        raise Mend({"": "replacing.nothing_changed"})
    house = houses.house(visit.desk.settings)
    read = visit.said("version")
    try:
        revisions.require_read(visit.conn, of.id, int(read) if read.isdigit() and len(read) < 9 else 0)
        saved = release.replace(visit.conn, of.id, typed, visit.actor, house, visit.now)
    except SavedMeanwhile:
        raise Mend({"": "replacing.saved_meanwhile"}) from None
    except MoveRefused:
        raise Mend({"": "releasing.still_held"}) from None
    if visit.said("step") != "save":
        raise Mend({})  # it could be saved: what changes is shown, and nothing is kept
    begin_look(visit, of.id)
    visit.note("campaign", of.id, version=saved.version)
    return visit.go(f"/campaigns/{of.id}/check", "replacing.is_saved", name=of.name)


def _can_be_replaced(of: Campaign) -> bool:
    return of.state in (_S.SCHEDULED, _S.PAUSED) or (of.state is _S.DRAFT and of.series_id is not None)


def _typed(visit: Visit, language: Language, stands: str) -> str:
    """Give what was typed, with the line ends that files have; browsers send CR LF (HTML, 4.10.22.7)."""
    name = f"source-{language}"
    if name not in visit.form.fields:
        return stands
    return visit.form.first(name).replace("\r\n", "\n").rstrip("\n") + "\n" * (len(stands) - len(stands.rstrip("\n")))


def _changes(stands: Contents, typed: Contents) -> Sequence[tuple[str, Sequence[Line]]]:
    pairs = [(file, stands[language][1], text) for language, (file, text) in typed.items()]
    return [(file, list(_lines(before, after))) for file, before, after in pairs if before != after]


def _lines(before: str, after: str) -> Iterator[Line]:
    compared = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=_AROUND)
    for line in list(compared)[2:]:
        yield Line("@", "") if line.startswith("@@") else Line(line[0], line[1:])


_P = Permission
_PATH = "/campaigns/{campaign}/replace"
PAGES = area(
    "campaigns",
    look(_PATH, _P.EDIT_CAMPAIGNS, "replace", show),
    sized(act(_PATH, _P.EDIT_CAMPAIGNS, "replacing.saved", replace), LETTERS),
)

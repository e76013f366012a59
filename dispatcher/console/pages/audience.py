"""For whom of those who agreed a newsletter is: a filter is put together row by row, with how many people it leaves.

    look    the rows, what is wrong with them, and the count           act    add, remove, count: the look again
    count   the count alone, for a script that asks while one types           save: another version of the draft

What must stay true: nothing is overwritten unread; nobody is named, only counted.
"""

from dataclasses import dataclass

from starlette.responses import Response

from dispatcher.console import rows as forms
from dispatcher.console.declare import Mend, Values, act, area, file, look
from dispatcher.console.pages.campaign import newsletter
from dispatcher.console.pages.checking import written
from dispatcher.console.pages.editing import lock
from dispatcher.console.paging import number
from dispatcher.console.rows import Row
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignState
from dispatcher.domain.audience import audiences, narrowing
from dispatcher.domain.audience.filters import Field, Filter
from dispatcher.domain.newsletters import campaigns, revisions
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.revisions import Revision
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import FilterRefused, SavedMeanwhile
from dispatcher.sending import filter_words, release
from dispatcher.sending import house as houses
from dispatcher.web.forms import Form

_EARLIER = 50  # newsletters that are offered
_WENT = (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.SENT, CampaignState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Counted:
    """Whom a filter leaves of everybody, and the filter in words."""

    people: int
    everybody: int
    words: str


def show(visit: Visit) -> Values:
    """Show the rows as they are stored, or as they were typed."""
    of = written(visit.conn, visit.number("campaign"))
    stands = filter_words.say(visit.conn, of.filter, visit.language)
    if locked := lock(of):
        return {"of": of, "lock": locked, "kept": (), "stands": stands}
    is_typed = "version" in visit.form.fields
    rows = forms.of_stored(of.filter)
    if is_typed:
        rows = forms.changed(forms.typed(visit.form), visit.said("do"), visit.said("more"))
    wanted, faults = _read(visit, of, rows)
    # What somebody has just added is not filled in yet: that is no fault of theirs.
    is_new = visit.said("do") == "add" and len(rows) - 1 in faults
    return {
        "of": of,
        "lock": "",
        "mode": "audience",
        "stands": stands,
        "rows": rows,
        "fields": list(Field),
        "earlier": _earlier(visit, of),
        "faults": {place: key for place, key in faults.items() if not (is_new and place == len(rows) - 1)},
        "counted": None if faults else _counted(visit, of, wanted),
    }


def count(visit: Visit) -> Response:
    """Give the count of the rows in the query."""
    of = written(visit.conn, visit.number("campaign"))
    query = visit.request.query_params
    fields = {name: tuple(query.getlist(name)) for name in query}
    rows = forms.typed(Form(fields))
    wanted, faults = _read(visit, of, rows)
    return visit.page("_audience_count", counted=None if faults else _counted(visit, of, wanted))


def save(visit: Visit) -> Response:
    """Save the filter as another version of the draft; or, for a button of a row, show the form again."""
    of = written(visit.conn, visit.number("campaign"))
    if visit.said("do") != "save":
        raise Mend({}, status=200)
    _require_read(visit, of)
    rows = forms.typed(visit.form)
    wanted, faults = _read(visit, of, rows)
    if faults:
        raise Mend({"": "audience.mend"})
    revision = Revision(_version(visit), visit.actor, filter=wanted)
    saved = release.edit(visit.conn, of.id, revision, houses.house(visit.desk.settings), visit.now)
    visit.note("campaign", of.id, version=saved)
    return visit.go(f"/campaigns/{of.id}/audience", "audience.is_saved")


def _read(visit: Visit, of: Campaign, rows: list[Row]) -> tuple[Filter, dict[int, str]]:
    wanted, faults = forms.read(rows)
    if faults:
        return wanted, dict(faults)
    try:
        narrowing.require_sound(visit.conn, wanted, visit.now, of.id)
    except FilterRefused as refused:
        return wanted, dict(forms.at_row(rows, refused))
    return wanted, {}


def _counted(visit: Visit, of: Campaign, wanted: Filter) -> Counted:
    assert of.topic is not None
    everybody = int(visit.conn.execute(audiences.reached(of.topic)).scalar_one())
    people = int(visit.conn.execute(audiences.reached(of.topic, wanted)).scalar_one()) if wanted else everybody
    return Counted(people, everybody, filter_words.say(visit.conn, wanted, visit.language))


def _earlier(visit: Visit, of: Campaign) -> list[Campaign]:
    """Give the newsletters that somebody can have received, the newest first."""
    found = campaigns.newest(visit.conn, _EARLIER)
    known = {one.id for one in found}
    named = [campaigns.find(visit.conn, number) for number in of.filter.earlier if number not in known]
    went = [one for one in found if one.launched_at is not None and one.state in _WENT and one.id != of.id]
    return [*went, *(one for one in named if one is not None)]


def _require_read(visit: Visit, of: Campaign) -> None:
    """Hold the newsletter, and make sure that it is a draft in the version that was read."""
    try:
        revisions.require_read(visit.conn, of.id, _version(visit))
    except SavedMeanwhile:
        raise Mend({"": "audience.meanwhile"}) from None
    if lock(newsletter(visit.conn, of.id)):
        raise Mend({"": "editing.not_saved"})


def _version(visit: Visit) -> int:
    return number(visit.said("version")) or 0


_P = Permission.EDIT_CAMPAIGNS
_ONE = "/campaigns/{campaign}/audience"
PAGES = area(
    "campaigns",
    look(_ONE, _P, "campaign_audience", show),
    act(_ONE, _P, "audience.saved", save),
    file(f"{_ONE}/count", _P, count),
)

"""One newsletter: its figures, true to the row and renewed while one looks; hold it, go on, end it, set its rate."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher import broker
from dispatcher.console import entitled, figures, signed
from dispatcher.console.declare import Mend, Moment, Values, act, area, live, look
from dispatcher.console.visit import Visit
from dispatcher.db.terms import CampaignKind, CampaignState
from dispatcher.domain.newsletters import campaigns, tallies
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.shares import By, Share, shares
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused, MoveRefused
from dispatcher.sending import filter_words, release
from dispatcher.sending.preflight.findings import Check, title

_S = CampaignState
UNDER_WAY = (_S.PREPARING, _S.SENDING, _S.PAUSED)
CALLS = 16  # drains that are called when a campaign goes on, as `campaigns resume` does
_FEW = 20_000  # in an audience of this size parts are counted while the page is made


def newsletter(conn: Connection, number: int) -> Campaign:
    """Find a newsletter. 404 for anything else."""
    found = campaigns.find(conn, number)
    if found is None or found.kind is not CampaignKind.NEWSLETTER:
        raise HTTPException(404)
    return found


def show(visit: Visit) -> Values:
    """Give the whole page."""
    of = newsletter(visit.conn, visit.number("campaign"))
    moment = Moment(visit.desk, visit.conn, visit.now, {"campaign": of.id})
    is_small = (of.audience or 0) <= _FEW
    return {
        "of": of,
        "is_under_way": of.state in UNDER_WAY,
        "is_stale": of.is_stale(visit.now),
        "subjects": [(language, texts[0]) for language, texts in entitled.subjects(moment, of).items()],
        "trial": entitled.trial(moment, of),
        "languages": sorted(campaigns.contents(visit.conn, of.id)),
        "names": signed.names(visit.conn, of),
        "filter": filter_words.say(visit.conn, of.filter, visit.language) if of.renews is None else "",
        "check_titles": {check.value: title(check, visit.language) for check in Check},
        "can_be_released": of.state in signed.CAN_BE_RELEASED and of.renews is None,
        "parts": _parts(visit.conn, of) if is_small or visit.asked("parts") else None,
        **poll(moment),
    }


def poll(moment: Moment) -> Values:
    """Give the figures, which renew themselves."""
    of = campaigns.find(moment.conn, moment.numbers["campaign"])
    return {"now": moment.now, "shown": figures.figures(moment, of) if of is not None else None}


def poll_parts(moment: Moment) -> Values:
    """Give the figures of each mailbox provider and relay, which renew themselves at leisure: they cost a walk."""
    of = campaigns.find(moment.conn, moment.numbers["campaign"])
    return {"parts": _parts(moment.conn, of) if of is not None else None}


def pause(visit: Visit) -> Response:
    """Hold it: no further letter passes the gate."""
    return _move(visit, campaigns.pause, "campaign.is_paused")


def resume(visit: Visit) -> Response:
    """Go on where it stopped."""
    of = newsletter(visit.conn, visit.number("campaign"))
    with_old_prices = visit.said("old_prices") == "yes"
    if of.state is _S.PAUSED and of.is_stale(visit.now) and not with_old_prices:
        raise Mend({"old_prices": "campaign.prices_are_old"})
    visit.afterwards(lambda: broker.nudge_drains(visit.desk.settings, 0, CALLS, CALLS))

    def go_on(conn: Connection, number: int) -> None:
        try:
            release.resume(conn, number, visit.now, with_old_prices=with_old_prices)
        except MoveRefused:
            if campaigns.get(conn, number).state is not _S.PAUSED:
                raise
            raise Mend({"": "campaign.not_released"}) from None

    return _move(visit, go_on, "campaign.goes_on")


def ask_to_cancel(visit: Visit) -> Values:
    """Ask whether it is to be ended, and say whom that touches."""
    of = newsletter(visit.conn, visit.number("campaign"))
    return {"of": of, "counted": tallies.tally(visit.conn, of)}


def cancel(visit: Visit) -> Response:
    """End it for good."""
    return _move(visit, lambda conn, number: campaigns.cancel(conn, number, visit.now), "campaign.is_cancelled")


def set_rate(visit: Visit) -> Response:
    """Let at most so many of its letters go a minute from now on; an empty field: as many as can."""
    of = newsletter(visit.conn, visit.number("campaign"))
    said = visit.said("rate").replace(".", "").replace(",", "")
    if said and not (said.isascii() and said.isdigit() and len(said) < 10):
        raise Mend({"rate": "campaign.rate_wrong"})
    rate = int(said) if said else None
    try:
        campaigns.set_rate(visit.conn, of.id, rate)
    except InputRefused:
        raise Mend({"rate": "campaign.rate_wrong"}) from None
    except MoveRefused:
        raise Mend({"": "campaign.is_over"}) from None
    visit.note("campaign", of.id, rate=rate, before=of.rate_per_min)
    return visit.go(f"/campaigns/{of.id}", "campaign.rate_is_set", name=of.name)


def _move(visit: Visit, move: Callable[[Connection, int], None], notice: str) -> Response:
    of = newsletter(visit.conn, visit.number("campaign"))
    try:
        move(visit.conn, of.id)
    except MoveRefused:
        raise Mend({"": "campaign.has_moved"}) from None
    visit.note("campaign", of.id, before=of.state)
    return visit.go(f"/campaigns/{of.id}", notice, name=of.name)


def _parts(conn: Connection, of: Campaign) -> dict[str, Sequence[Share]]:
    return {by.value: shares(conn, of, by) for by in By}


_P = Permission
_ONE = "/campaigns/{campaign}"
PAGES = area(
    "campaigns",
    look(_ONE, _P.SEE_CAMPAIGNS, "campaign", show),
    live(f"{_ONE}/live", _P.SEE_CAMPAIGNS, "campaign_live", poll),
    live(f"{_ONE}/parts", _P.SEE_CAMPAIGNS, "campaign_parts", poll_parts, every=30),
    act(f"{_ONE}/pause", _P.SEND_CAMPAIGNS, "campaign.paused", pause, mends=_ONE),
    act(f"{_ONE}/resume", _P.SEND_CAMPAIGNS, "campaign.resumed", resume, mends=_ONE),
    act(f"{_ONE}/rate", _P.SEND_CAMPAIGNS, "campaign.rate", set_rate, mends=_ONE),
    look(f"{_ONE}/cancel", _P.SEND_CAMPAIGNS, "campaign_cancel", ask_to_cancel),
    act(f"{_ONE}/cancel", _P.SEND_CAMPAIGNS, "campaign.cancelled", cancel, mends=_ONE),
)

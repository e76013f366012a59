"""A letter through the eyes of a reader, before it goes; and a test copy to oneself.

What must stay true: nothing is sent and nothing is stored by looking. Whose role does not let them see people sees a
made-up person. The letter stands in a frame of its own that runs nothing, sends nothing and leads nowhere. A test copy
goes to the address of whoever asks, no other, says that it is a test, and is counted nowhere.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from dispatcher.console import inspection
from dispatcher.console.declare import Mend, Values, act, area, look
from dispatcher.console.objections import objection
from dispatcher.console.pages.campaign import newsletter
from dispatcher.console.paging import number
from dispatcher.console.said import said_address
from dispatcher.console.visit import Visit
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, SubscriptionState
from dispatcher.domain import consent
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.audience import audiences
from dispatcher.domain.audience.filters import EVERYBODY
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.people import subscribers
from dispatcher.domain.staff import audit, members
from dispatcher.domain.staff.audit import Wanted
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import ContentInvalid, InputRefused, NotFound, RelayDown, SettingInvalid
from dispatcher.sending import house as houses
from dispatcher.sending import proof, release
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.smtp.verdict import Deferred, Refused, Sent

VIEWS = ("desktop", "phone", "dark", "text", "source", "headers", "size")
_FRAMED = ("desktop", "phone", "dark")
# A letter brings its styles inline, and pictures from where its author keeps them. It is framed by the console alone.
LETTER_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_TESTS = 10  # to one address
_WITHIN = timedelta(hours=1)


def show(visit: Visit) -> Values:
    """Show the letter for one reader, in one view."""
    of = newsletter(visit.conn, visit.number("campaign"))
    to, view = _reader(visit, of), visit.asked("view") if visit.asked("view") in VIEWS else VIEWS[0]
    values: dict[str, object] = {
        "of": of,
        "view": view,
        "views": VIEWS,
        "framed": _FRAMED,
        "languages": sorted(campaigns.contents(visit.conn, of.id)),
        "query": _query(visit, to),
        "to": to,
        "is_real": to.subscriber_id != 0,
        "doubt": _doubt(visit.conn, of, to),
        "letter": None,
        "fault": None,
        **_beside(visit, of, to),
    }
    try:
        press = _press(visit, of)
        values["letter"] = inspection.look_at(press, to, visit.now)
    except ContentInvalid as fault:
        values["fault"] = objection(fault)
    return values


def letter(visit: Visit) -> Response:
    """Give the letter itself, for the frame: links without a target, in the scheme that is asked for."""
    of = newsletter(visit.conn, visit.number("campaign"))
    try:
        page = _press(visit, of).page(_reader(visit, of), visit.now)
    except ContentInvalid as fault:
        raise HTTPException(404) from fault
    shown = inspection.inert(page, is_dark=visit.asked("view") == "dark")
    return HTMLResponse(shown, headers={"Content-Security-Policy": LETTER_POLICY})


def find(visit: Visit) -> Response:
    """Look through the eyes of the person who has an address."""
    of = newsletter(visit.conn, visit.number("campaign"))
    hashed = address_hash(visit.desk.keyring, said_address(visit))
    person = subscribers.by_hash(visit.conn, hashed)
    if person is None:
        raise Mend({"address": "preview.nobody"})
    visit.note("subscriber", person.id)
    return visit.go(f"/campaigns/{of.id}/preview?reader={person.id}")


def send_test(visit: Visit) -> Response:
    """Send a test copy to whoever asks."""
    with reading(visit.desk.engine).connect() as conn:
        of = newsletter(conn, visit.number("campaign"))
        to = parse_address(members.get(conn, visit.who.member_id).email)
        _require_few(visit, conn)
        language = visit.said("language")
        if language in campaigns.contents(conn, of.id):
            of = replace(of, default_language=Language(language))
        house = houses.house(visit.desk.settings)
        parcel = proof.test_parcel(conn, of, to, _signing(visit), house, visit.now)
    path = f"/campaigns/{of.id}/preview"
    try:
        _, verdict = asyncio.run(proof.send_test(houses.relays(visit.desk.settings), parcel))
    except RelayDown as down:
        raise InputRefused(down.what, down.cure) from None
    with visit.change():
        visit.note("campaign", of.id, taken=isinstance(verdict, Sent))
    if not isinstance(verdict, Sent):
        said = verdict.reply if isinstance(verdict, Deferred | Refused) else verdict.why
        return visit.go(path, "preview.not_taken", said=said)
    return visit.go(path, "preview.is_sent")


def _press(visit: Visit, of: Campaign) -> CampaignPress:
    settings = visit.desk.settings
    return proof.press_for(visit.conn, of, houses.stationery(settings, signs=False), houses.house(settings))


def _signing(visit: Visit) -> Stationery:
    """Sign the test copy as the workers would; where the keys are theirs alone, the relay has to."""
    try:
        return houses.stationery(visit.desk.settings)
    except SettingInvalid:
        return houses.stationery(visit.desk.settings, signs=False)


def _reader(visit: Visit, of: Campaign) -> Recipient:
    """Give through whose eyes to look, in their language or the one that is asked for."""
    asked, language = number(visit.asked("reader")), visit.asked("language")
    if asked is None:
        to = release.trial_recipient(of.default_language)
    elif not visit.may(Permission.SEE_SUBSCRIBERS):
        raise HTTPException(403, "permission")
    else:
        person = subscribers.by_id(visit.conn, asked)
        if person is None:
            raise NotFound(f"there is no subscriber {asked}")
        to = proof.as_recipient(visit.conn, of, person)
    if language in list(Language):
        to.language = Language(language)
    return to


def _beside(visit: Visit, of: Campaign, to: Recipient) -> Values:
    """Give the next and the previous person of the audience."""
    if of.topic is None or not visit.may(Permission.SEE_SUBSCRIBERS):
        return {"next": None, "previous": None}
    after = visit.conn.execute(audiences.beside(of.topic, to.subscriber_id, of.filter)).scalar_one_or_none()
    before = visit.conn.execute(audiences.beside(of.topic, to.subscriber_id, of.filter, back=True)).scalar_one_or_none()
    return {"next": after, "previous": before}


def _doubt(conn: Connection, of: Campaign, to: Recipient) -> str:
    """Say why this person would not get the letter, as far as one look can tell; "": they would."""
    if not to.subscriber_id or of.topic is None:
        return ""
    state, _ = consent.standing(conn, to.subscriber_id).get(of.topic, (None, None))
    if state is not SubscriptionState.CONFIRMED:
        return "no_consent"
    for filter, doubt in ((EVERYBODY, "withheld"), (of.filter, "filtered")):
        beside = audiences.beside(of.topic, to.subscriber_id - 1, filter)
        if conn.execute(beside).scalar_one_or_none() != to.subscriber_id:
            return doubt
    return ""


def _query(visit: Visit, to: Recipient) -> dict[str, str]:
    """Give what the links of the page carry on."""
    query = {"reader": str(to.subscriber_id)} if to.subscriber_id else {}
    language = visit.asked("language")
    return query | ({"language": language} if language in list(Language) else {})


def _require_few(visit: Visit, conn: Connection) -> None:
    mine = audit.newest(conn, Wanted("preview.tested", visit.who.member_id), _TESTS)
    if len(mine) == _TESTS and mine[-1].at > visit.now - _WITHIN:
        raise Mend({"": "preview.too_many"})


_P = Permission
_ONE = "/campaigns/{campaign}/preview"
PAGES = area(
    "campaigns",
    look(_ONE, _P.SEE_CAMPAIGNS, "campaign_preview", show),
    look(f"{_ONE}/letter", _P.SEE_CAMPAIGNS, "campaign_preview", letter),
    act(f"{_ONE}/reader", _P.SEE_SUBSCRIBERS, "preview.chosen", find, mends=_ONE),
    act(f"{_ONE}/test", _P.EDIT_CAMPAIGNS, "preview.tested", send_test, mends=_ONE, alone=True),
)

"""View in browser: a letter as a page, from the frozen edition that was sent.

What must stay true: nothing but a released campaign is shown; the page names neither the person nor the whole address,
for this link is the one that people pass on.
"""

from datetime import date, datetime

from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.tables import consent_event, delivery
from dispatcher.db.terms import CampaignKind, SubscriptionState, Topic
from dispatcher.domain import consent
from dispatcher.domain.addresses import masked
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Purpose
from dispatcher.errors import NotFound, TokenInvalid
from dispatcher.sending import press
from dispatcher.sending.house import stationery
from dispatcher.web.people import of_link
from dispatcher.web.security import LETTER_POLICY
from dispatcher.web.site import Site


class View:
    """`/v/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stationery = stationery(site.settings, signs=False)

    def letter(self, request: Request) -> Response:
        """Show the letter. Raises TokenInvalid, also for a campaign that has not begun."""
        with reading(self._site.engine).begin() as conn:
            link, person = of_link(conn, self._site.keyring, Purpose.VIEW, request)
            of = _campaign(conn, link.campaign_id)
            to = _recipient(conn, person, of)
            no = _edition_no(conn, person, of)
            page = press.load(conn, of, self._stationery, no).page(to, clock.now(conn))
        return HTMLResponse(page, headers={"Content-Security-Policy": LETTER_POLICY, "X-Robots-Tag": "noindex"})


def _campaign(conn: Connection, campaign_id: int) -> Campaign:
    try:
        of = campaigns.get(conn, campaign_id)
    except NotFound:
        raise TokenInvalid("this link is not valid") from None
    if of.kind is not CampaignKind.NEWSLETTER or of.launched_at is None:
        raise TokenInvalid("this link is not valid")
    return of


def _edition_no(conn: Connection, person: Subscriber, of: Campaign) -> int | None:
    """Say which edition went to this person; None: none did yet."""
    d = delivery.c
    theirs = select(d.edition_no).where(d.campaign_id == of.id, d.subscriber_id == person.id)
    no: int | None = conn.execute(theirs).scalar_one_or_none()
    return no


def _recipient(conn: Connection, person: Subscriber, of: Campaign) -> Recipient:
    if person.address is None or of.topic is None:
        raise TokenInvalid("this link is not valid any more")
    return Recipient(
        subscriber_id=person.id,
        public_id=person.public_id,
        address=masked(person.address),
        name="",
        language=person.language,
        consented_on=_consented_on(conn, person, of.topic, of.id),
        attempt=1,
    )


def _consented_on(conn: Connection, person: Subscriber, topic: Topic, campaign_id: int) -> date | None:
    """Give the day of the consent under which the letter went; if none went, of the current one, if there is one."""
    under = (
        select(consent_event.c.given_at, consent_event.c.at)
        .join(delivery, delivery.c.consent_event_id == consent_event.c.id)
        .where(delivery.c.campaign_id == campaign_id, delivery.c.subscriber_id == person.id)
    )
    event = conn.execute(under).one_or_none()
    if event is not None:
        given: datetime = event.given_at or event.at
        return given.date()
    state, since = consent.standing(conn, person.id).get(topic, (None, None))
    return since.date() if since and state is SubscriptionState.CONFIRMED else None

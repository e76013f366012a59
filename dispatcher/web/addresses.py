"""A change of address, seen from the pages: the form of the preferences page, and the pages behind its two mails.

What must stay true: what the form answers does not depend on what we know of the address that was typed; GET and HEAD
change nothing; each page shows masked addresses only.
"""

from dataclasses import dataclass

import structlog
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Errand
from dispatcher.domain import tokens
from dispatcher.domain.addresses import Address, masked
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Link, Purpose
from dispatcher.sending import address_change
from dispatcher.sending.address_change import Step
from dispatcher.web.forms import Form
from dispatcher.web.language import choose
from dispatcher.web.limits import Admitted, Attempt, Refused, admit_each
from dispatcher.web.signup import FORM_VERSION
from dispatcher.web.site import Site

PAGE = "address page"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """The wish was taken. `campaign_id` is the mail that asks; None: none is due, which the asker is not told."""

    campaign_id: int | None


def ask(conn: Connection, site: Site, request: Request, person: Subscriber, wanted: Address) -> Asked | Refused:
    """Begin a change of address, within the limits of the sign-up form."""
    now = clock.now(conn)
    (admission,) = admit_each(conn, site.keyring, [Attempt(site.client(request), wanted)], now)
    if isinstance(admission, Refused):
        return admission
    if not isinstance(admission, Admitted):
        log.info("address_change.silenced")
        return Asked(None)
    source = f"{site.settings.public_url}/p/ preferences page {FORM_VERSION}"
    evidence = site.evidence(request, source, choose(request, person.language))
    return Asked(address_change.ask(conn, site.keyring, person, wanted, evidence, now))


class AddressChange:
    """`/a/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def question(self, request: Request) -> Response:
        """Show what will be changed; nothing is, for scanners open links too. Raises TokenInvalid."""
        with reading(self._site.engine).begin() as conn:
            step = address_change.find(conn, request.path_params["token"], clock.now(conn))
        return self._done(request, step) if step.is_used else self._page(request, "address", step)

    def answer(self, request: Request, _form: Form) -> Response:
        """Take the step: the button was pressed. Raises TokenInvalid."""
        token, site = request.path_params["token"], self._site
        with site.engine.begin() as conn:
            now = clock.now(conn)
            found = address_change.find(conn, token, now)
            source = f"{site.settings.public_url}/a/ {PAGE} {FORM_VERSION}"
            evidence = site.evidence(request, source, choose(request, found.person.language))
            step, campaign_id = address_change.press(conn, site.keyring, token, evidence, now)
        page = self._done(request, step)
        if campaign_id is not None:
            page.background = BackgroundTask(site.nudge, campaign_id)
        return page

    def _done(self, request: Request, step: Step) -> Response:
        return self._page(request, "address_done", step)

    def _page(self, request: Request, name: str, step: Step) -> Response:
        is_first = step.errand is Errand.LEAVE_ADDRESS
        link = Link(step.person.public_id, None)
        return self._site.pages.answer(
            name,
            choose(request, step.person.language),
            is_first=is_first,
            present=masked(step.person.address or "") if is_first else "",
            wanted=masked(step.wanted) if step.wanted else "",
            # Whoever holds the new mailbox is the person; whoever holds the former one has the link in every letter.
            preferences="" if is_first else tokens.sign(self._site.keyring, Purpose.PREFERENCES, link),
        )

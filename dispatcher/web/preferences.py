"""Preferences: leave and join each topic, choose the language.

What must stay true: to leave works at once; to join starts a double opt-in, as at the sign-up form, under the words that
stood on the page; the page shows nobody a whole address, for letters are forwarded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import consent, subscribers
from dispatcher.domain.addresses import masked, parse_address
from dispatcher.domain.subscribers import Subscriber
from dispatcher.domain.tokens import Purpose
from dispatcher.errors import TokenInvalid
from dispatcher.sending import opt_in
from dispatcher.web import declarations, stamp
from dispatcher.web.forms import Form
from dispatcher.web.language import choose, listed
from dispatcher.web.pages import markdown
from dispatcher.web.people import of_link
from dispatcher.web.signup import FORM_VERSION
from dispatcher.web.site import Site
from dispatcher.web.stamp import Stamp


@dataclass(frozen=True, slots=True)
class Change:
    """What saving the page does."""

    leaving: tuple[Topic, ...] = ()
    joining: tuple[Topic, ...] = ()
    language: Language | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What saving the page did. `campaign_id` is that of the confirmation mail for what is `asked`."""

    left: Sequence[Topic] = ()
    asked: Sequence[Topic] = ()
    not_asked: Sequence[Topic] = ()  # no mail is due: there was one today, or the address may not be written to
    language: Language | None = None
    campaign_id: int | None = None


def decide(ticked: Sequence[Topic], confirmed: Sequence[Topic], chosen: Language | None, now: Language) -> Change:
    """Compare what was ticked with what stands."""
    return Change(
        leaving=tuple(topic for topic in confirmed if topic not in ticked),
        joining=tuple(topic for topic in ticked if topic not in confirmed),
        language=chosen if chosen is not now else None,
    )


class Preferences:
    """`/p/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def form(self, request: Request) -> Response:
        """Show where the person stands. Raises TokenInvalid."""
        with reading(self._site.engine).connect() as conn:
            person = self._person(conn, request)
            return self._page(conn, request, person)

    def answer(self, request: Request, form: Form) -> Response:
        """Save. Raises TokenInvalid."""
        ticked = [topic for topic in Topic if topic in form.all("topic")]
        chosen = form.first("language")
        with self._site.engine.begin() as conn:
            now = clock.now(conn)
            person = self._person(conn, request)
            language = Language(chosen) if chosen in list(Language) else None
            change = decide(ticked, _in_state(conn, person, SubscriptionState.CONFIRMED), language, person.language)
            done = self._save(conn, request, person, change, stamp.read(self._site.keyring, form.first("stamp")))
            changed = replace(person, language=change.language or person.language)
            page = self._page(conn, request, changed, done)
        if done.campaign_id is not None:
            page.background = BackgroundTask(self._site.nudge, done.campaign_id)
        return page

    def _save(
        self, conn: Connection, request: Request, person: Subscriber, change: Change, given: Stamp | None
    ) -> Done:
        now = clock.now(conn)
        evidence = self._site.evidence(request, _SOURCE, choose(request, person.language))
        left = consent.withdraw(conn, person.id, change.leaving, evidence, now)
        if change.language:
            subscribers.set_language(conn, person.id, change.language)
        if not change.joining:
            return Done(left, language=change.language)
        if given is None or given.age(now) > stamp.LONGEST:
            return Done(left, not_asked=change.joining, language=change.language)
        campaign_id = self._ask(conn, request, person, change, given, now)
        if campaign_id is None:
            return Done(left, not_asked=change.joining, language=change.language)
        return Done(left, change.joining, language=change.language, campaign_id=campaign_id)

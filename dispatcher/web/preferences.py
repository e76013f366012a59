"""Preferences: leave and join each topic, choose the language.

What must stay true: to leave works at once; to join starts a double opt-in, as at the sign-up form, under the words
that stood on the page; the page shows nobody a whole address, for letters are forwarded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import consent, coverage, subscribers
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

PAGE = "preferences page"


@dataclass(frozen=True, slots=True)
class Change:
    """What saving the page means. `language` is None if it stays."""

    leaving: tuple[Topic, ...]
    joining: tuple[Topic, ...]
    language: Language | None


def decide(ticked: Sequence[Topic], confirmed: Sequence[Topic], chosen: str, current: Language) -> Change:
    """Compare what was ticked and chosen with what stands."""
    return Change(
        leaving=tuple(topic for topic in confirmed if topic not in ticked),
        joining=tuple(topic for topic in ticked if topic not in confirmed),
        language=Language(chosen) if chosen in list(Language) and chosen != current else None,
    )


class Preferences:
    """`/p/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def form(self, request: Request) -> Response:
        """Show where the person stands. Raises TokenInvalid."""
        with reading(self._site.engine).connect() as conn:
            person = self._person(conn, request)
            return self._page(conn, person, choose(request, person.language))

    def answer(self, request: Request, form: Form) -> Response:
        """Save. Raises TokenInvalid."""
        ticked = [topic for topic in Topic if topic in form.all("topic")]
        with self._site.engine.begin() as conn:
            person = self._person(conn, request)
            confirmed = _topics(conn, person, SubscriptionState.CONFIRMED)
            change = decide(ticked, confirmed, form.first("language"), person.language)
            language = change.language or choose(request, person.language)
            if change.language:
                subscribers.set_language(conn, person.id, change.language)
            self._leave(conn, request, person, change)
            campaign_id = self._join(conn, request, person, change, form)
            changed = replace(person, language=change.language or person.language)
            page = self._page(conn, changed, language, change, is_asked=campaign_id is not None)
        if campaign_id is not None:
            page.background = BackgroundTask(self._site.nudge, campaign_id)
        return page

    def _leave(self, conn: Connection, request: Request, person: Subscriber, change: Change) -> None:
        evidence = self._site.evidence(request, PAGE, choose(request, person.language))
        consent.withdraw(conn, person.id, change.leaving, evidence, clock.now(conn))

    def _join(self, conn: Connection, request: Request, person: Subscriber, change: Change, form: Form) -> int | None:
        """Begin a double opt-in; give its mail. None: nothing to join, a page from yesterday, or no mail is due."""
        now = clock.now(conn)
        given = stamp.read(self._site.keyring, form.first("stamp"))
        if not change.joining or given is None or given.age(now) > stamp.LONGEST or person.address is None:
            return None
        source = f"{self._site.settings.public_url}/p/ {PAGE} {FORM_VERSION}"
        evidence = self._site.evidence(request, source, given.language, given.declaration_id)
        language = change.language or person.language
        asked = opt_in.Request(parse_address(person.address), person.name, language, change.joining, evidence)
        return opt_in.request(conn, self._site.keyring, asked, now)

    def _person(self, conn: Connection, request: Request) -> Subscriber:
        _, person = of_link(conn, self._site.keyring, Purpose.PREFERENCES, request)
        if person.address is None:
            raise TokenInvalid("this link is not valid any more")
        return person

    def _page(
        self, conn: Connection, person: Subscriber, language: Language, done: Change | None = None, *,
        is_asked: bool = False,
    ) -> Response:  # fmt: skip
        declaration = declarations.shown(conn, language, clock.now(conn))
        return self._site.pages.answer(
            "preferences",
            language,
            address=masked(person.address or ""),
            spoken=person.language,
            topics=declaration.topics,
            confirmed=_topics(conn, person, SubscriptionState.CONFIRMED),
            pending=_topics(conn, person, SubscriptionState.PENDING),
            declaration=markdown(declaration.text),
            stamp=stamp.seal(self._site.keyring, Stamp(clock.now(conn), language, declaration.id)),
            done=done,
            left=listed(done.leaving, language) if done else "",
            joined=listed(done.joining, language) if done else "",
            is_asked=is_asked,
        )


def _topics(conn: Connection, person: Subscriber, state: SubscriptionState) -> list[Topic]:
    if state is SubscriptionState.CONFIRMED:  # under older words it counts for nothing: to tick it renews it
        current = coverage.current_topics(conn, person.id)
        return [topic for topic in Topic if topic in current]
    stands = consent.standing(conn, person.id)
    return [topic for topic in Topic if topic in stands and stands[topic][0] is state]

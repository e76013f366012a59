"""Unsubscribing: the page behind the link in every letter, and the one-click POST of mail programs (RFC 8058).

What must stay true: GET and HEAD change nothing, for scanners open every link; a POST with a valid token always ends
a consent, whatever its body, headers or origin; it needs no cookie, no redirect, no second step; to repeat it is
harmless.
"""

from collections.abc import Sequence
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import consent, tokens
from dispatcher.domain.addresses import masked
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Link, Purpose
from dispatcher.web.forms import Form
from dispatcher.web.language import choose, listed, say
from dispatcher.web.people import is_dry, of_link
from dispatcher.web.site import Site

PAGE = "unsubscribe page"
ONE_CLICK = "one-click (RFC 8058)"
# Web mailers may send the POST from the reader's browser, that is, from another origin.
_CORS = {"Access-Control-Allow-Origin": "*"}


class Scope(StrEnum):
    """What the buttons of our own page say."""

    TOPIC = "topic"
    ALL = "all"


class Unsubscribe:
    """`/u/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def question(self, request: Request) -> Response:
        """Ask once; nothing is changed. Raises TokenInvalid."""
        with reading(self._site.engine).begin() as conn:
            link, person = of_link(conn, self._site.keyring, Purpose.UNSUBSCRIBE, request)
            topics = consent.topics_of_letter(conn, person.id, link.topic, link.campaign_id)
        return self._page(request, "unsubscribe", person, topics)

    def answer(self, request: Request, form: Form) -> Response:
        """Unsubscribe. A form that is not ours counts as one-click: in doubt the person leaves. Raises TokenInvalid."""
        scope = form.first("scope")
        is_page = scope in list(Scope)
        site = self._site
        with site.engine.begin() as conn:
            if is_dry(site.keyring, Purpose.UNSUBSCRIBE, request):
                clock.now(conn)  # the database answers, and as far as we can tell would write
                return self._one_click(choose(request, None))
            link, person = of_link(conn, site.keyring, Purpose.UNSUBSCRIBE, request)
            topic = None if scope == Scope.ALL else link.topic
            topics = consent.topics_of_letter(conn, person.id, topic, link.campaign_id)
            language = choose(request, person.language)
            evidence = site.evidence(request, PAGE if is_page else ONE_CLICK, language)
            consent.withdraw(conn, person.id, topics, evidence, clock.now(conn))
        if not is_page:
            return self._one_click(language)
        preferences = tokens.sign(site.keyring, Purpose.PREFERENCES, Link(person.public_id, None))
        return self._page(request, "unsubscribed", person, topics, preferences)

    def options(self, _request: Request) -> Response:
        """Answer a browser that asks first whether it may POST (CORS preflight)."""
        allowed = {"Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS", "Access-Control-Allow-Headers": "*"}
        return Response(status_code=204, headers={**_CORS, **allowed})

    @staticmethod
    def _one_click(language: Language) -> Response:
        return PlainTextResponse(say(language, "unsubscribe.one_click") + "\n", headers=_CORS)

    def _page(
        self, request: Request, name: str, person: Subscriber, topics: Sequence[Topic], preferences: str = ""
    ) -> Response:
        language = choose(request, person.language)
        return self._site.pages.answer(
            name,
            language,
            headers=_CORS,
            address=masked(person.address) if person.address else "",
            topic=listed(topics, language) if len(topics) < len(Topic) else "",
            preferences=preferences,
        )

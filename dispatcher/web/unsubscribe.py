"""Unsubscribing: the page behind the link in every letter, and the one-click POST of mail programs (RFC 8058).

What must stay true: GET and HEAD change nothing, for scanners open every link; a POST with a valid token always ends
a consent, whatever its body, headers or origin; it needs no cookie, no redirect, no second step; to repeat it is
harmless. Whoever leaves at the same moment shares a transaction (web/ferry.py): after a newsletter many do.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import consent, tokens
from dispatcher.domain.addresses import masked
from dispatcher.domain.consent import Evidence, Leaving, Letter
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Link, Purpose
from dispatcher.errors import TokenInvalid
from dispatcher.web.ferry import Ferry
from dispatcher.web.forms import anyhow
from dispatcher.web.language import asked_for, choose, listed, say
from dispatcher.web.people import of_link
from dispatcher.web.site import Site

PAGE = "unsubscribe page"
ONE_CLICK = "one-click (RFC 8058)"
# Web mailers may send the POST from the reader's browser, that is, from another origin.
_CORS = {"Access-Control-Allow-Origin": "*"}


class Scope(StrEnum):
    """What the buttons of our own page say."""

    TOPIC = "topic"
    ALL = "all"


class Leave(NamedTuple):
    """Somebody leaves by the link of a letter; with `everything`, not only what it was about."""

    link: Link
    everything: bool
    evidence: Evidence  # without a language: the page speaks the person's


Left = tuple[Subscriber, list[Topic]]


class Unsubscribe:
    """`/u/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ferry = Ferry(site.engine, "leaving", serve)

    def question(self, request: Request) -> Response:
        """Ask once; nothing is changed. Raises TokenInvalid."""
        with reading(self._site.engine).begin() as conn:
            link, person = of_link(conn, self._site.keyring, Purpose.UNSUBSCRIBE, request)
            topics = consent.topics_of_letter(conn, person.id, link.topic, link.campaign_id)
        return self._page(request, "unsubscribe", person, topics)

    async def answer(self, request: Request) -> Response:
        """Unsubscribe. A form that is not ours counts as one-click: in doubt the person leaves. Raises TokenInvalid."""
        form = await anyhow(request)
        link = tokens.verify(self._site.keyring, Purpose.UNSUBSCRIBE, request.path_params["token"])
        if link.public_id == tokens.DRY_RUN:
            await run_in_threadpool(self._try)
            return self._one_click(choose(request))
        scope = form.first("scope")
        is_page = scope in list(Scope)
        evidence = self._site.evidence(request, PAGE if is_page else ONE_CLICK, asked_for(request))
        left = await self._ferry.take(Leave(link, scope == Scope.ALL, evidence))
        if left is None:
            raise TokenInvalid("this link is not valid")
        person, topics = left
        if not is_page:
            return self._one_click(choose(request, person.language))
        preferences = tokens.sign(self._site.keyring, Purpose.PREFERENCES, Link(person.public_id, None))
        return self._page(request, "unsubscribed", person, topics, preferences)

    def _try(self) -> None:
        """See that the database answers, and as far as we can tell would write."""
        with self._site.engine.begin() as conn:
            clock.now(conn)

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


def serve(conn: Connection, leaves: Sequence[Leave], now: datetime) -> list[Left | None]:
    """Let people leave; give who they are and what ended. None: there is nobody of this link."""
    people = subscribers.by_public_ids(conn, {leave.link.public_id for leave in leaves})
    known = [(leave, people[leave.link.public_id]) for leave in leaves if leave.link.public_id in people]
    letters = [
        Letter(p.id, None if leave.everything else leave.link.topic, leave.link.campaign_id) for leave, p in known
    ]
    ended = consent.topics_of_letters(conn, letters)
    leavings = [
        Leaving(person.id, topics, leave.evidence._replace(language=leave.evidence.language or person.language))
        for (leave, person), topics in zip(known, ended, strict=True)
    ]
    if leavings:
        consent.withdraw_each(conn, leavings, now)
    left = iter([(person, topics) for (_, person), topics in zip(known, ended, strict=True)])
    return [next(left) if leave.link.public_id in people else None for leave in leaves]

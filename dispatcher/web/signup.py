"""Sign-up and confirmation: the two steps of the double opt-in.

What must stay true: whoever sends the form gets the same answer, byte for byte, whether we know the address or not, and
whether we take them for a program or not; only the button on the confirmation page makes consent current.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

import structlog
from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import consent, coverage, tokens
from dispatcher.domain.addresses import masked
from dispatcher.domain.declarations import Declaration
from dispatcher.domain.people import subscribers
from dispatcher.domain.tokens import Keyring, Link, Purpose
from dispatcher.errors import TokenInvalid
from dispatcher.sending import declarations, opt_in
from dispatcher.sending.opt_in import IsKnown, Opened
from dispatcher.web import stamp
from dispatcher.web.enrolling import ByProgram, Entered, Filled, Outcome, Typed, enrol
from dispatcher.web.ferry import Ferry
from dispatcher.web.forms import Form, whole
from dispatcher.web.language import choose, listed, span
from dispatcher.web.limits import Refused, Silenced
from dispatcher.web.pages import markdown
from dispatcher.web.site import Site
from dispatcher.web.stamp import Stamp

FORM_VERSION = "2026-01"  # stands in the proof; another form is another version
TRAP = "website"  # a field that people do not see

log = structlog.get_logger()


class SignUp:
    """`/`"""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ferry = Ferry(site.engine, "signing up", partial(_enrol, site.keyring))

    def form(self, request: Request) -> Response:
        """Show the empty form."""
        return self._form(choose(request), Typed())

    def join(self, request: Request, form: Form) -> Response:
        """Show the form, filled with what was typed into one on another page of the house; nothing is entered by it.

        What is typed there bears no stamp, and no words were read: so it asks for nothing yet.
        """
        ticked = tuple(topic for topic in Topic if topic in form.all("topic"))
        return self._form(choose(request), Typed(form.first("address")[:400], form.first("name")[:400], ticked))

    async def answer(self, request: Request) -> Response:
        """Take a filled-in form."""
        form, site, language = await whole(request), self._site, choose(request)
        given = stamp.read(site.keyring, form.first("stamp"))
        if given is None or given.language is not language or form.first(TRAP):
            log.info("signup.by_program")
            return self._thanks(language)
        source = f"{site.settings.public_url}/ form {FORM_VERSION}"
        evidence = site.evidence(request, source, language, given.declaration_id)
        match await self._ferry.take(Filled(form, given, site.client(request), evidence)):
            case Entered(campaign_id):
                return self._thanks(language, campaign_id)
            case IsKnown(wanted):
                return self._thanks(language, await run_in_threadpool(self._request, wanted))
            case Typed() as typed:
                return await run_in_threadpool(self._form, language, typed, form.first("stamp"))
            case ByProgram():
                log.info("signup.by_program")
                return self._thanks(language)
            case Silenced():
                log.info("signup.silenced")
                return self._thanks(language)
            case Refused(retry_after):
                return self._too_many(language, retry_after)
            case never:
                assert_never(never)

    def _request(self, wanted: opt_in.Request) -> int | None:
        with self._site.engine.begin() as conn:
            return opt_in.request(conn, self._site.keyring, wanted, clock.now(conn))

    def _thanks(self, language: Language, campaign_id: int | None = None) -> Response:
        page = self._site.pages.answer("signup_done", language)
        if campaign_id is not None:  # after the answer has gone, so that its time tells nothing either
            page.background = BackgroundTask(self._call, campaign_id)
        return page

    async def _call(self, campaign_id: int) -> None:
        self._site.nudge(campaign_id)

    def _form(self, language: Language, typed: Typed, stamped: str = "") -> Response:
        """Show the form: with the words that stood in it and their stamp, or with those of today and a new one."""
        with reading(self._site.engine).begin() as conn:
            now = clock.now(conn)
            declaration = typed.words or declarations.shown(conn, language, now)
        return self._site.pages.answer(
            "signup",
            language,
            status=422 if typed.errors else 200,
            typed=typed,
            topics=declaration.topics,
            declaration=markdown(declaration.text),
            stamp=stamped if typed.words else stamp.seal(self._site.keyring, Stamp(now, language, declaration.id)),
            trap=TRAP,
        )

    def _too_many(self, language: Language, retry_after: timedelta) -> Response:
        headers = {"Retry-After": str(int(retry_after.total_seconds()) + 1)}
        wait = span(retry_after, language)
        return self._site.pages.answer("too_many", language, status=429, headers=headers, wait=wait)


def _enrol(keyring: Keyring, conn: Connection, filled: Sequence[Filled], now: datetime) -> list[Outcome]:
    return enrol(conn, keyring, filled, now)


class Confirmation:
    """`/c/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def question(self, request: Request) -> Response:
        """Show what will be confirmed; nothing is, for scanners open links too. Raises TokenInvalid."""
        with reading(self._site.engine).begin() as conn:
            now = clock.now(conn)
            opened = opt_in.find(conn, request.path_params["token"], now)
            if opened.is_used:
                return self._used(conn, request, opened)
            words, opened = _to_agree_to(conn, opened, choose(request, opened.language), now)
        return self._page(request, "confirm", opened, words=words)

    def answer(self, request: Request, form: Form) -> Response:
        """Confirm: the button was pressed. Words that came between, and were not read yet, are shown first.

        Raises TokenInvalid.
        """
        token, site = request.path_params["token"], self._site
        with site.engine.begin() as conn:
            now = clock.now(conn)
            asked = opt_in.find(conn, token, now)
            language = choose(request, asked.language)
            words, asked = _to_agree_to(conn, asked, language, now)
            if not asked.is_used and words.id != asked.declaration_id and form.first("declaration") != str(words.id):
                return self._page(request, "confirm", asked, words=words)
            source = f"{site.settings.public_url}/c/ confirmation page {FORM_VERSION}"
            evidence = site.evidence(request, source, language, words.id)
            opened = opt_in.confirm(conn, token, consent.with_request(evidence, asked.id), now, words.topics)
            if opened.is_used:
                return self._used(conn, request, opened)
            person = subscribers.by_id(conn, opened.subscriber_id)
        assert person is not None
        preferences = tokens.sign(site.keyring, Purpose.PREFERENCES, Link(person.public_id, None))
        return self._page(request, "confirmed", opened, preferences=preferences)

    def _used(self, conn: Connection, request: Request, opened: Opened) -> Response:
        """The button was pressed before. Whoever has left since then must not read that they are signed up, nor whoever
        has agreed to words that are older by now; and what the button did not confirm is not told as if it had.
        """
        confirmed = replace(opened, topics=opt_in.confirmed_by(conn, opened))
        stands = coverage.words_of(conn, opened.subscriber_id)
        current = coverage.current_topics(conn, opened.subscriber_id)
        if confirmed.topics and current.issuperset(confirmed.topics):
            return self._page(request, "confirmed_before", confirmed)
        is_older = all(stands[topic].state is SubscriptionState.CONFIRMED for topic in confirmed.topics)
        return self._page(request, "confirm_used", replace(confirmed, is_under_older_words=is_older))

    def _page(
        self, request: Request, name: str, opened: Opened, *, words: Declaration | None = None, preferences: str = ""
    ) -> Response:
        language = choose(request, opened.language)
        return self._site.pages.answer(
            name,
            language,
            address=masked(opened.address),
            topics=opened.topics,
            listed=listed(opened.topics, language),
            declaration=markdown(words.text) if words is not None else "",
            declaration_id=words.id if words is not None else "",
            is_renewal=opened.is_renewal,
            is_under_older_words=opened.is_under_older_words,
            preferences=preferences,
        )


def _to_agree_to(conn: Connection, opened: Opened, language: Language, now: datetime) -> tuple[Declaration, Opened]:
    """Give the words that pressing the button agrees to, in the page's language, and the request without what they do
    not cover. These are the words of the request; newer ones, if consent in those would count for nothing any more, or
    if it named none.

    Raises TokenInvalid when nothing is left.
    """
    words = declarations.words(conn, opened.declaration_id, language)
    if words is None or not coverage.are_good(conn, words.number, opened.topics):
        words = declarations.shown(conn, language, now)
    topics = tuple(topic for topic in opened.topics if topic in words.topics)
    if not topics:
        raise TokenInvalid("this link is not valid any more", "sign up again")
    return words, replace(opened, topics=topics)

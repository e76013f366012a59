"""Preferences: leave and join each topic, leave all, pause, choose the language, move to another address.

What must stay true: to leave works at once, whatever words the consent is under; to join, and to renew, starts a double
opt-in, as at the sign-up form, under the words that stood on the page, for topics that these cover; the page shows
nobody a whole address, for letters are forwarded; and for the same reason whoever has the link can leave, pause and
ask, but nothing new goes anywhere that its owner has not agreed to by mail; while the data is restricted (Art. 18
GDPR), leaving is all that can be done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.compose.words import long_date
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.addresses import masked, parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import pauses, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Purpose
from dispatcher.errors import AddressInvalid, TokenInvalid
from dispatcher.sending import declarations, opt_in
from dispatcher.web import addresses, choices, stamp
from dispatcher.web.choices import Change, Older
from dispatcher.web.forms import Form
from dispatcher.web.language import choose, listed, say, span
from dispatcher.web.limits import Refused
from dispatcher.web.pages import markdown
from dispatcher.web.people import of_link
from dispatcher.web.signup import FORM_VERSION
from dispatcher.web.site import Site
from dispatcher.web.stamp import Stamp

PAGE = "preferences page"
_LONGEST_TYPED = 400


@dataclass(frozen=True, slots=True)
class Told:
    """What the page says after a form: sentences; or what is wrong with the address that was typed, by key.

    `campaign_id` is a mail that a worker is called for, `language` the one that was chosen.
    """

    sentences: tuple[str, ...] = ()
    typed: str = ""
    error: str = ""
    campaign_id: int | None = None
    language: Language | None = None


class Preferences:
    """`/p/{token}`"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def form(self, request: Request) -> Response:
        """Show where the person stands. Raises TokenInvalid."""
        with reading(self._site.engine).begin() as conn:
            person = self._person(conn, request)
            return self._page(conn, request, person, Told())

    def answer(self, request: Request, form: Form) -> Response:
        """Do what the button says; a form without one of ours is that of the topics. Raises TokenInvalid."""
        does = {"pause": self._pause, "resume": self._resume, "leave": self._leave_all, "move": self._move}
        with self._site.engine.begin() as conn:
            person = self._person(conn, request)
            act = does.get(form.first("do"), self._save)
            can_act = person.restricted_at is None or act in (self._leave_all, self._save)
            told = act(conn, request, person, form) if can_act else Told()
            if isinstance(told, Refused):
                return self._too_many(choose(request, person.language), told)
            now_is = subscribers.by_id(conn, person.id)
            assert now_is is not None
            page = self._page(conn, request, now_is, told)
        if told.campaign_id is not None:
            page.background = BackgroundTask(self._site.nudge, told.campaign_id)
        return page

    def _save(self, conn: Connection, request: Request, person: Subscriber, form: Form) -> Told:
        change = choices.decide(choices.read(form), choices.stands(conn, person.id), person.language)
        if person.restricted_at is not None:
            change = Change(change.leaving, (), None)
            if not change.leaving:
                return Told()
        if change.language:
            subscribers.set_language(conn, person.id, change.language)
        consent.withdraw(conn, person.id, change.leaving, self._evidence(request, person), clock.now(conn))
        asked, campaign_id = self._join(conn, request, person, change, form)
        language = change.language or choose(request, person.language)
        return Told(_saved(change, language, asked), campaign_id=campaign_id, language=change.language)

    def _join(
        self, conn: Connection, request: Request, person: Subscriber, change: Change, form: Form
    ) -> tuple[tuple[Topic, ...], int | None]:
        """Begin a double opt-in; give its topics and its mail. None: the words on the page cover nothing of it, it is a
        page from yesterday, or no mail is due.
        """
        now = clock.now(conn)
        given = stamp.read(self._site.keyring, form.first("stamp"))
        if not change.joining or given is None or given.age(now) > stamp.LONGEST or person.address is None:
            return (), None
        words = declarations.words(conn, given.declaration_id)
        topics = tuple(topic for topic in change.joining if words is not None and topic in words.topics)
        if not topics:
            return (), None
        source = f"{self._site.settings.public_url}/p/ {PAGE} {FORM_VERSION}"
        evidence = self._site.evidence(request, source, given.language, given.declaration_id)
        language = change.language or person.language
        asked = opt_in.Request(parse_address(person.address), person.name, language, topics, evidence)
        campaign_id = opt_in.request(conn, self._site.keyring, asked, now)
        return (topics if campaign_id is not None else ()), campaign_id

    def _pause(self, conn: Connection, request: Request, person: Subscriber, form: Form) -> Told:
        weeks = {str(n): n for n in pauses.WEEKS}.get(form.first("weeks"))
        if weeks is None:
            return Told()
        until = pauses.pause(conn, person.id, weeks, self._evidence(request, person), clock.now(conn))
        language = choose(request, person.language)
        return Told((say(language, "preferences.paused", day=long_date(until, language)),))

    def _resume(self, conn: Connection, request: Request, person: Subscriber, _form: Form) -> Told:
        pauses.resume(conn, person.id, self._evidence(request, person), clock.now(conn))
        return Told((say(choose(request, person.language), "preferences.resumed"),))

    def _leave_all(self, conn: Connection, request: Request, person: Subscriber, _form: Form) -> Told:
        consent.withdraw(conn, person.id, list(Topic), self._evidence(request, person), clock.now(conn))
        language = choose(request, person.language)
        return Told((say(language, "preferences.left_all"), say(language, "unsubscribed.under_way")))

    def _move(self, conn: Connection, request: Request, person: Subscriber, form: Form) -> Told | Refused:
        typed = form.first("address")[:_LONGEST_TYPED]
        try:
            wanted = parse_address(typed)
        except AddressInvalid:
            return Told(typed=typed, error="signup.address_wrong" if typed.strip() else "signup.address_missing")
        asked = addresses.ask(conn, self._site, request, person, wanted)
        if isinstance(asked, Refused):
            return asked
        language = choose(request, person.language)
        news = say(language, "preferences.move_asked", address=masked(person.address or ""))
        return Told((news, say(language, "preferences.move_asked_more")), campaign_id=asked.campaign_id)

    def _person(self, conn: Connection, request: Request) -> Subscriber:
        _, person = of_link(conn, self._site.keyring, Purpose.PREFERENCES, request)
        if person.address is None:
            raise TokenInvalid("this link is not valid any more")
        return person

    def _evidence(self, request: Request, person: Subscriber) -> Evidence:
        return self._site.evidence(request, PAGE, choose(request, person.language))

    def _page(self, conn: Connection, request: Request, person: Subscriber, told: Told) -> Response:
        language = told.language or choose(request, person.language)
        declaration = declarations.shown(conn, language, clock.now(conn))
        where, restricted = choices.stands(conn, person.id), person.restricted_at is not None
        offered = () if restricted else declaration.topics
        return self._site.pages.answer(
            "preferences",
            language,
            status=422 if told.error else 200,
            address=masked(person.address or ""),
            spoken=person.language,
            restricted=restricted,
            topics=where.boxes(offered),
            confirmed=[topic for topic in Topic if topic in where.current],
            older=[topic for topic in Topic if topic in where.older],
            covered=offered,
            choices=list(Older),
            pending=where.pending,
            paused_until=long_date(person.paused_until, language) if person.paused_until else "",
            weeks=pauses.WEEKS,
            declaration=markdown(declaration.text),
            stamp=stamp.seal(self._site.keyring, Stamp(clock.now(conn), language, declaration.id)),
            told=told,
            errors={"address": told.error} if told.error else {},
        )

    def _too_many(self, language: Language, refused: Refused) -> Response:
        headers = {"Retry-After": str(int(refused.retry_after.total_seconds()) + 1)}
        wait = span(refused.retry_after, language)
        return self._site.pages.answer("too_many", language, status=429, headers=headers, wait=wait)


def _saved(change: Change, language: Language, asked: Sequence[Topic]) -> tuple[str, ...]:
    sentences = [say(language, "preferences.saved")]
    not_asked = [topic for topic in change.joining if topic not in asked]
    for key, topics in (
        ("preferences.left", change.leaving),
        ("preferences.asked", asked),
        ("preferences.not_asked", not_asked),
    ):
        if topics:
            sentences.append(say(language, key, topics=listed(topics, language)))
    if change.language:
        sentences.append(say(language, "preferences.spoken"))
    return tuple(sentences)

"""/subscribers: people, where they stand, and what they want. Suppression and withdrawal win, as everywhere."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api import people
from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import (
    Cursor,
    Ip,
    Limit,
    Line,
    MaybeLine,
    Moment,
    PersonTold,
    PublicId,
    Said,
    SubscriberId,
    SuppressionTold,
    Told,
    Topics,
    TopicTold,
    Typed,
    decode,
    encode,
)
from dispatcher.db.engine import reading
from dispatcher.db.terms import CampaignKind, Language, Outcome, Scope, SubscriptionState, Topic
from dispatcher.domain import consent, coverage, declarations, exports, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.exports import Wanted
from dispatcher.domain.people import letters
from dispatcher.domain.people import subscribers as known
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.rights import serving
from dispatcher.rights.serving import Objection
from dispatcher.sending import adding
from dispatcher.sending.adding import Given, Wish
from dispatcher.sending.entry import Fate

router = APIRouter(prefix="/subscribers", tags=["subscribers"])


class SubscriberTold(PersonTold):
    """One person as they stand."""

    created_at: Moment
    paused_until: str | None = Field(description="The day on which letters go again; null: no pause.")
    current: list[Topic] = Field(description="Topics on which letters may go: confirmed, in words that are still good.")
    suppressions: list[SuppressionTold] = Field(description="Entries on the never-mail list, which win over consent.")


class PersonPage(Told):
    """People, in the order in which they came."""

    items: list[PersonTold]
    next: str | None


class AddressSaid(Said):
    """Whom to look for."""

    address: Typed


class GivenSaid(Said):
    """A consent that was given before. Without it, the person is asked by mail to confirm."""

    at: Moment = Field(description="When they agreed, with an offset from UTC.")
    evidence: Line = Field(description="What proves it, and where it is kept.")
    declaration: Line | None = Field(default=None, description="To which version of the words, if they are known here.")


class WishSaid(Said):
    """What somebody wants to read."""

    address: Typed
    topics: Topics
    source: Line = Field(description="How their wish reached you: the form and its version, say. Kept as proof.")
    name: MaybeLine = ""
    language: Language = Language.DE
    ip: Ip | None = Field(default=None, description="Of the person's own machine; kept as proof.")
    user_agent: MaybeLine | None = Field(default=None, description="Of the person's own browser; kept as proof.")
    given: GivenSaid | None = None


class FateTold(Told):
    """What became of a topic: `asked` and `not-asked` without evidence, else the others."""

    topic: Topic
    fate: str = Field(
        description="asked: a mail asks to confirm. not-asked: none is due (consent is current, two went today, or the "
        f"address is on the never-mail list). {Fate.CONFIRMED}: current from now on. {Fate.OLDER}: consent, but under "
        f"older words. {Fate.UNCHANGED}: was current. {Fate.WITHDRAWN}: they left. {Fate.SUPPRESSED}: never mail. "
        f"{Fate.RESTRICTED}: processing is restricted (Art. 18 GDPR)."
    )


class EnteredTold(Told):
    """What became of a wish."""

    subscriber: PublicId | None = Field(description="null: nobody was entered.")
    topics: list[FateTold]


class EndSaid(Said):
    """What a person does not want any more."""

    topics: Topics | None = Field(default=None, description="Without it, every topic.")
    source: Line = Field(description="How their word reached you; kept as proof.")


class EndedTold(Told):
    """Which topics ended by this."""

    ended: list[Topic] = Field(description="Those that had not ended before.")


class LetterTold(Told):
    """What became of a letter."""

    campaign_id: int
    kind: CampaignKind
    topic: Topic | None
    name: str
    outcome: Outcome
    at: Moment
    code: int | None = Field(description="The relay's reply code.")
    reply: str | None = Field(description="Its words, or why the letter was withheld.")
    relay: str | None
    consent_event_id: int | None = Field(description="The event under which it went.")


class LetterPage(Told):
    """A person's letters, the newest first. Of old newsletters only counts are kept."""

    items: list[LetterTold]
    next: str | None


@router.get("", operation_id="list_subscribers")
def list_(
    desk: AtDesk,
    _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)],
    topic: Annotated[list[Topic] | None, Query(max_length=len(Topic), description="Only these.")] = None,
    state: Annotated[SubscriptionState | None, Query(description="Only who stands so with one of them.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> PersonPage:
    """List people with an address, in the order in which they came."""
    place = decode("subscribers", cursor, int)
    wanted = Wanted(tuple(dict.fromkeys(topic)) if topic else tuple(Topic), state)
    with reading(desk.engine).connect() as conn:
        found = exports.page(conn, wanted, place[0] if place else 0, limit + 1)
    more = encode("subscribers", found[limit - 1].id) if len(found) > limit else None
    return PersonPage(items=[_listed(person) for person in found[:limit]], next=more)


@router.post("/lookup", operation_id="lookup_subscriber")
def lookup(desk: AtDesk, _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)], said: AddressSaid) -> SubscriberTold:
    """Find a person by address. It changes nothing; it is a POST so that no address stands in a path."""
    with reading(desk.engine).connect() as conn:
        return _told(conn, people.by_address(conn, desk.keyring, said.address))


@router.post("", operation_id="add_subscriber", status_code=202, response_model=EnteredTold)
def add(
    desk: AtDesk, caller: Annotated[Caller, needs(Scope.SUBSCRIBERS_WRITE)], once: OnceOnly, said: WishSaid
) -> Response:
    """Enter a person: asked by mail to confirm, as after a sign-up; or, with evidence of consent, current at once."""
    given = None
    if said.given is not None:
        given = Given(said.given.at.astimezone(UTC), said.given.evidence, said.given.declaration)
    ip = str(said.ip) if said.ip is not None else None
    by, agent = caller.by, said.user_agent or None
    wish = Wish(said.address, said.topics, by, said.source, said.name, said.language, ip, agent, given)

    def act(conn: Connection, now: datetime) -> Done:
        entered = adding.add(conn, desk.keyring, desk.settings, wish, now)
        asked = "asked" if entered.mail is not None else "not-asked"
        fates = [FateTold(topic=t, fate=entered.fates.get(t, asked)) for t in said.topics]
        hashed = address_hash(desk.keyring, parse_address(said.address))
        person = known.by_hash(conn, hashed)
        told = EnteredTold(subscriber=person.public_id.hex() if person else None, topics=fates)
        mail = entered.mail
        return Done(told, None if mail is None else lambda: desk.nudge(mail))

    return once.do(said, act, 202)


@router.get("/{subscriber_id}", operation_id="get_subscriber")
def get(
    desk: AtDesk, _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)], subscriber_id: SubscriberId
) -> SubscriberTold:
    """Give one person."""
    with reading(desk.engine).connect() as conn:
        return _told(conn, people.by_id(conn, subscriber_id))


@router.get("/{subscriber_id}/letters", operation_id="list_subscriber_letters")
def list_letters(
    desk: AtDesk,
    _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)],
    subscriber_id: SubscriberId,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> LetterPage:
    """List what became of a person's letters, the newest first."""
    place = decode("letters", cursor, int)
    with reading(desk.engine).connect() as conn:
        person = people.by_id(conn, subscriber_id)
        found = letters.of_person(conn, person.id, place[0] if place else None, limit + 1)
    more = encode("letters", found[limit - 1].campaign_id) if len(found) > limit else None
    return LetterPage(items=[LetterTold.model_validate(letter) for letter in found[:limit]], next=more)


@router.post("/{subscriber_id}/withdraw", operation_id="withdraw_consent", response_model=EndedTold)
def withdraw(
    caller: Annotated[Caller, needs(Scope.SUBSCRIBERS_WRITE)],
    once: OnceOnly,
    subscriber_id: SubscriberId,
    said: EndSaid,
) -> Response:
    """End a person's consent on their word, at once, running campaigns included."""

    def act(conn: Connection, now: datetime) -> Done:
        person = people.by_id(conn, subscriber_id)
        evidence = Evidence(source=f"{caller.by}: {adding.checked('the source', said.source)}")
        ended = consent.withdraw(conn, person.id, said.topics or tuple(Topic), evidence, now)
        return Done(EndedTold(ended=ended))

    return once.do(said, act)


@router.post("/{subscriber_id}/object", operation_id="note_objection", response_model=EndedTold)
def object_(
    caller: Annotated[Caller, needs(Scope.SUBSCRIBERS_WRITE)],
    once: OnceOnly,
    subscriber_id: SubscriberId,
    said: EndSaid,
) -> Response:
    """Note that a person objects (Art. 21 GDPR): like a withdrawal, but no later sign-up lifts it. It is logged."""

    def act(conn: Connection, _now: datetime) -> Done:
        person = people.by_id(conn, subscriber_id)
        source = f"{caller.by}: {adding.checked('the source', said.source)}"
        new = serving.object_to(conn, person, Objection(tuple(said.topics or Topic), source, caller.by))
        return Done(EndedTold(ended=new))

    return once.do(said, act)


def _told(conn: Connection, person: Subscriber) -> SubscriberTold:
    names = {version.number: version.name for version in declarations.versions(conn)}
    words = coverage.words_of(conn, person.id)
    topics = [
        TopicTold(topic=topic, state=state, since=since, declaration=names.get(words[topic].number or 0))
        for topic, (state, since) in consent.standing(conn, person.id).items()
    ]
    entries = suppression.entries(conn, person.address_hash)
    return SubscriberTold(
        id=person.public_id.hex(), address=person.address, name=person.name, language=person.language, topics=topics,
        created_at=person.created_at, paused_until=person.paused_until.isoformat() if person.paused_until else None,
        current=sorted(coverage.current_topics(conn, person.id)),
        suppressions=[SuppressionTold.model_validate(entry) for entry in entries],
    )  # fmt: skip


def _listed(person: exports.Person) -> PersonTold:
    topics = [
        TopicTold(topic=topic, state=stands.state, since=stands.since, declaration=stands.declaration)
        for topic, stands in person.topics.items()
    ]
    return PersonTold(
        id=person.public_id.hex(), address=person.address, name=person.name, language=Language(person.language),
        topics=topics,
    )  # fmt: skip

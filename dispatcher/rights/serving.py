"""A person's right is served, and the log says so: erasure, restriction, objection, rectification, access, portability.

What must stay true: what is changed and its line in the log are one transaction; of an export the log is written once
it has been handed out, for what could not be written was not done. No writer waits while an export is gathered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine

from dispatcher.db import clock
from dispatcher.db.engine import reading, scrub
from dispatcher.db.terms import Language, RightKind, Topic
from dispatcher.domain import consent
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import erasure, restriction, rights, subscribers
from dispatcher.domain.people.rights import Done
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused
from dispatcher.rights import dossier, holdings, rectification
from dispatcher.rights.dossier import House
from dispatcher.rights.records import Facts
from dispatcher.sending import declarations
from dispatcher.settings import Settings
from dispatcher.zone import ZONE


@dataclass(frozen=True, slots=True)
class Order:
    """Which address a person named, when their request came in (None: now), and who serves it."""

    address: Address
    received_at: datetime | None
    operator: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did. `is_clean`: no copy is left in the database's files."""

    outcome: str
    topics: tuple[Topic, ...]
    is_clean: bool


@dataclass(frozen=True, slots=True)
class Right:
    """How a person's data is right; None: it is already."""

    name: str | None = None
    language: Language | None = None
    zone: str | None = None
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """What a person does not want to be written to about, how it came to us, when (None: now), and who notes it."""

    topics: tuple[Topic, ...]
    source: str
    operator: str
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rectified:
    """What a rectification did, in words. `mail`: the campaign of the mail that asks at the new address."""

    outcome: str
    mail: int | None


def known(conn: Connection, keyring: Keyring, address: Address) -> Subscriber:
    """Find the person of an address. Raises NotFound, which says what is known of it instead."""
    person = subscribers.by_hash(conn, address_hash(keyring, address))
    if person is None:
        raise dossier.unknown(conn, keyring, address)
    return person


def erase(engine: Engine, keyring: Keyring, order: Order) -> Erasure:
    """Erase a person on their word (Art. 17 GDPR), in a transaction of its own, and clean the database's files."""
    with engine.begin() as conn:
        outcome, topics = erase_within(conn, keyring, order)
    return Erasure(outcome, topics, scrub(engine))


def erase_within(conn: Connection, keyring: Keyring, order: Order) -> tuple[str, tuple[Topic, ...]]:
    """Erase a person on their word (Art. 17 GDPR); give the outcome in words, and what ended by it. To repeat it is
    harmless. After the commit `scrub` is due.

    Raises NotFound; InputRefused while the data is restricted, for the person wanted it to be kept.
    """
    now = clock.now(conn)
    person = known(conn, keyring, order.address)
    if person.restricted_at is not None:
        raise InputRefused(
            f"what is known of {order.address} is restricted, so that it is kept (Art. 18 GDPR)",
            "tell the person that it ends, then: dispatcher subscribers release",
        )
    evidence = Evidence(source="operator, on the person's request (Art. 17 GDPR)")
    erased = erasure.erase(conn, person.id, evidence, now, order.address)
    outcome = "erased" if erased else "was erased already"
    _complete(conn, keyring, RightKind.ERASURE, order, outcome)
    return outcome, erased.topics if erased else ()


def restrict(conn: Connection, keyring: Keyring, order: Order) -> str:
    """Restrict a person's data on their word (Art. 18 GDPR); give the outcome in words. Raises NotFound."""
    person = known(conn, keyring, order.address)
    evidence = Evidence(source="operator, on the person's request (Art. 18 GDPR)")
    began = restriction.restrict(conn, person.id, evidence, clock.now(conn))
    outcome = "restricted" if began else "was restricted already"
    _complete(conn, keyring, RightKind.RESTRICTION, order, outcome)
    return outcome


def release(conn: Connection, keyring: Keyring, order: Order, told: date) -> bool:
    """End a restriction of which the person was told that it ends (Art. 18(3) GDPR). False: there was none.

    Raises NotFound, and InputRefused for a day that lies in the future.
    """
    now = clock.now(conn)
    if told > now.astimezone(ZONE).date():
        raise InputRefused(f"{told} lies in the future", "tell the person first, and name the day on which you did")
    person = known(conn, keyring, order.address)
    evidence = Evidence(source=f"operator {order.operator}; the person was told on {told} (Art. 18(3) GDPR)")
    return restriction.release(conn, person.id, evidence, now)


def object_to(conn: Connection, person: Subscriber, objection: Objection) -> list[Topic]:
    """Note that a person objects (Art. 21 GDPR); give the topics that are new. To repeat it is harmless."""
    now = clock.now(conn)
    new = consent.object_to(conn, person.id, objection.topics, Evidence(source=objection.source), now)
    if new or rights.is_open(conn, RightKind.OBJECTION, person.address_hash):
        outcome = f"noted, for good: {', '.join(new)}" if new else "was noted before"
        rights.complete(
            conn,
            Done(RightKind.OBJECTION, person.address_hash, objection.received_at, objection.operator, outcome),
            now,
        )
    return new


def rectify(conn: Connection, keyring: Keyring, settings: Settings, order: Order, right: Right) -> Rectified:
    """Put a person's data right (Art. 16 GDPR). Raises NotFound; InputRefused for what cannot be written, and where
    nobody may be asked at the new address.
    """
    now = clock.now(conn)
    person = known(conn, keyring, order.address)
    rectification.hold(conn, person.id, now, moves=right.address is not None)
    done, mail = [], None
    if right.name is not None:
        rectification.rename(conn, person.id, right.name)
        done.append("name")
    if right.language is not None:
        rectification.speak(conn, person.id, right.language)
        done.append("language")
    if right.zone is not None:
        rectification.locate(conn, person.id, right.zone)
        done.append("time zone")
    if right.address is not None:
        words, mail = _readdress(conn, keyring, settings, order.address, right.address)
        done.append(words)
    outcome = f"put right: {', '.join(done)}"
    rights.complete(
        conn, Done(RightKind.RECTIFICATION, person.address_hash, order.received_at, order.operator, outcome), now
    )
    return Rectified(outcome, mail)


def export(
    engine: Engine, keyring: Keyring, house: House, order: Order, language: Language | None,
    hand_out: Callable[[Facts, Language], None],
) -> None:  # fmt: skip
    """Give a person everything held about them, explained (Art. 15 and 20 GDPR). `language` None: theirs.

    Raises NotFound, and whatever `hand_out` does: then nothing is entered in the log.
    """
    hand_out(*exported(engine, keyring, house, order, language))
    with engine.begin() as conn:
        note_export(conn, keyring, order)


def exported(
    engine: Engine, keyring: Keyring, house: House, order: Order, language: Language | None
) -> tuple[Facts, Language]:
    """Gather everything that is held about a person, explained; whoever hands it out calls `note_export` after it."""
    with reading(engine).connect() as conn:
        facts = holdings.gather(conn, keyring, str(order.address), house, clock.now(conn))
    spoken = language or Language(facts["person"]["language"])
    return holdings.explained(facts, spoken), spoken


def note_export(conn: Connection, keyring: Keyring, order: Order) -> None:
    """Enter in the log that an export was handed out."""
    hashed, outcome = address_hash(keyring, order.address), "everything held was exported"
    _complete(conn, keyring, RightKind.ACCESS, order, outcome)
    if rights.is_open(conn, RightKind.PORTABILITY, hashed):
        _complete(conn, keyring, RightKind.PORTABILITY, order, outcome)


def received(engine: Engine, day: datetime | None) -> datetime | None:
    """Give the moment that a request of this day counts from; None: now. Raises InputRefused for the future."""
    if day is None:
        return None
    with reading(engine).connect() as conn:
        return rights.received(day.date(), clock.now(conn))


def order(engine: Engine, address: str, day: datetime | None, operator: str) -> Order:
    """Read what was asked for. Raises AddressInvalid, InputRefused."""
    return Order(parse_address(address), received(engine, day), operator)


def _complete(conn: Connection, keyring: Keyring, kind: RightKind, order: Order, outcome: str) -> None:
    hashed = address_hash(keyring, order.address)
    rights.complete(conn, Done(kind, hashed, order.received_at, order.operator, outcome), clock.now(conn))


def _readdress(
    conn: Connection, keyring: Keyring, settings: Settings, former: Address, new: Address
) -> tuple[str, int | None]:
    person, now = known(conn, keyring, former), clock.now(conn)  # with what was just put right
    source = "operator, rectification of the address on the person's request (Art. 16 GDPR)"
    evidence = declarations.on_their_behalf(conn, settings, source, Language(person.language), now)
    moved = rectification.readdress(conn, keyring, person, new, evidence, now)
    if moved.campaign_id is None:
        return "the address's spelling", None
    return f"the address; the right one was asked to confirm {', '.join(moved.topics)}", moved.campaign_id

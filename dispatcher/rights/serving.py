"""A person's right is served, and the log says so: erasure, restriction, access, portability.

What must stay true: an erasure or a restriction and its line in the log are one transaction; of an export the log is
written once it has been handed out, for what could not be written was not done. No writer waits while an export is
gathered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine

from dispatcher.db import clock
from dispatcher.db.engine import reading, scrub
from dispatcher.db.terms import Language, RightKind, Topic
from dispatcher.domain import erasure, restriction, rights, subscribers
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.rights import Done
from dispatcher.domain.subscribers import Subscriber
from dispatcher.domain.suppression import address_hash
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused
from dispatcher.rights import dossier, holdings
from dispatcher.rights.dossier import House
from dispatcher.rights.records import Facts
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


def known(conn: Connection, keyring: Keyring, address: Address) -> Subscriber:
    """Find the person of an address. Raises NotFound, which says what is known of it instead."""
    person = subscribers.by_hash(conn, address_hash(keyring, address))
    if person is None:
        raise dossier.unknown(conn, keyring, address)
    return person


def erase(engine: Engine, keyring: Keyring, order: Order) -> Erasure:
    """Erase a person on their word (Art. 17 GDPR). To repeat it is harmless.

    Raises NotFound; InputRefused while the data is restricted, for the person wanted it to be kept.
    """
    with engine.begin() as conn:
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
        hashed = address_hash(keyring, order.address)
        rights.complete(conn, Done(RightKind.ERASURE, hashed, order.received_at, order.operator, outcome), now)
    return Erasure(outcome, erased.topics if erased else (), scrub(engine))


def restrict(engine: Engine, keyring: Keyring, order: Order) -> str:
    """Restrict a person's data on their word (Art. 18 GDPR); give the outcome in words. Raises NotFound."""
    with engine.begin() as conn:
        now = clock.now(conn)
        person = known(conn, keyring, order.address)
        evidence = Evidence(source="operator, on the person's request (Art. 18 GDPR)")
        outcome = "restricted" if restriction.restrict(conn, person.id, evidence, now) else "was restricted already"
        hashed = address_hash(keyring, order.address)
        rights.complete(conn, Done(RightKind.RESTRICTION, hashed, order.received_at, order.operator, outcome), now)
    return outcome


def release(engine: Engine, keyring: Keyring, order: Order, told: date) -> bool:
    """End a restriction of which the person was told that it ends (Art. 18(3) GDPR). False: there was none.

    Raises NotFound, and InputRefused for a day that lies in the future.
    """
    with engine.begin() as conn:
        now = clock.now(conn)
        if told > now.astimezone(ZONE).date():
            raise InputRefused(f"{told} lies in the future", "tell the person first, and name the day on which you did")
        person = known(conn, keyring, order.address)
        evidence = Evidence(source=f"operator {order.operator}; the person was told on {told} (Art. 18(3) GDPR)")
        return restriction.release(conn, person.id, evidence, now)


def export(
    engine: Engine, keyring: Keyring, house: House, order: Order, language: Language | None,
    hand_out: Callable[[Facts, Language], None],
) -> None:  # fmt: skip
    """Give a person everything held about them, explained (Art. 15 and 20 GDPR). `language` None: theirs.

    Raises NotFound, and whatever `hand_out` does: then nothing is entered in the log.
    """
    with reading(engine).connect() as conn:
        facts = holdings.gather(conn, keyring, str(order.address), house, clock.now(conn))
    spoken = language or Language(facts["person"]["language"])
    hand_out(holdings.explained(facts, spoken), spoken)
    hashed, outcome = address_hash(keyring, order.address), "everything held was exported"
    with engine.begin() as conn:
        now = clock.now(conn)
        for kind in (RightKind.ACCESS, RightKind.PORTABILITY):
            if kind is RightKind.ACCESS or rights.is_open(conn, kind, hashed):
                rights.complete(conn, Done(kind, hashed, order.received_at, order.operator, outcome), now)


def received(engine: Engine, day: datetime | None) -> datetime | None:
    """Give the moment that a request of this day counts from; None: now. Raises InputRefused for the future."""
    if day is None:
        return None
    with reading(engine).connect() as conn:
        return rights.received(day.date(), clock.now(conn))


def order(engine: Engine, address: str, day: datetime | None, operator: str) -> Order:
    """Read what was asked for. Raises AddressInvalid, InputRefused."""
    return Order(parse_address(address), received(engine, day), operator)

"""A person's right is served, and the log says so: erasure, access, portability.

What must stay true: an erasure and its line in the log are one transaction; of an export the log is written once it has
been handed out, for what could not be written was not done. No writer waits while an export is gathered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from dispatcher.db import clock
from dispatcher.db.engine import reading, scrub
from dispatcher.db.terms import Language, RightKind, Topic
from dispatcher.domain import erasure, rights, subscribers
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.rights import Done
from dispatcher.domain.subscribers import Subscriber
from dispatcher.domain.suppression import address_hash
from dispatcher.domain.tokens import Keyring
from dispatcher.rights import dossier, holdings
from dispatcher.rights.dossier import House
from dispatcher.rights.records import Facts


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
    """Erase a person on their word (Art. 17 GDPR). Raises NotFound. To repeat it is harmless."""
    with engine.begin() as conn:
        now = clock.now(conn)
        person = known(conn, keyring, order.address)
        evidence = Evidence(source="operator, on the person's request (Art. 17 GDPR)")
        erased = erasure.erase(conn, person.id, evidence, now, order.address)
        outcome = "erased" if erased else "was erased already"
        hashed = address_hash(keyring, order.address)
        rights.complete(conn, Done(RightKind.ERASURE, hashed, order.received_at, order.operator, outcome), now)
    return Erasure(outcome, erased.topics if erased else (), scrub(engine))


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

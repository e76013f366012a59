"""What several pages read out of a path or a form about a person; what cannot be taken has to be mended."""

from datetime import date

from sqlalchemy import Connection

from dispatcher.console.declare import Mend
from dispatcher.console.visit import Visit
from dispatcher.db.terms import EVERY_TOPIC, Language, Topic
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.errors import AddressInvalid, NotFound

_LONGEST = 500


def person_of(visit: Visit, conn: Connection | None = None) -> Subscriber:
    """Give whom the path names. Raises NotFound."""
    found = subscribers.by_id(conn or visit.conn, visit.number("subscriber"))
    if found is None:
        raise NotFound("there is no such person", "look them up anew")
    return found


def said_address(visit: Visit, field: str = "address") -> Address:
    """Read an address that was typed. Raises Mend."""
    try:
        return parse_address(visit.said(field))
    except AddressInvalid:
        raise Mend({field: "subscribers.address_wrong"}) from None


def by(visit: Visit) -> str:
    """Name who enters something, as the ledger of consent and the log of rights keep it."""
    return f"operator {visit.who.name}, console"


def said_source(visit: Visit, field: str = "source") -> str:
    """Read how a person's word came in, with who enters it; kept as proof. Raises Mend."""
    return f"{by(visit)}: {said_line(visit, field)}"


def said_line(visit: Visit, field: str) -> str:
    """Read a line that is kept, and so names nobody by address. Raises Mend."""
    text = visit.said(field)
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise Mend({field: "subscribers.line_missing"})
    if "@" in text:
        raise Mend({field: "subscribers.line_names"})
    return text


def said_scope(visit: Visit) -> Topic | None:
    """Read a scope: a topic, or None for every one. Raises Mend."""
    said = visit.said("scope")
    if said == EVERY_TOPIC:
        return None
    if said not in list(Topic):
        raise Mend({"scope": "subscribers.scope_missing"})
    return Topic(said)


def said_language(visit: Visit, field: str = "language") -> Language:
    """Read a language. Raises Mend."""
    if visit.said(field) not in list(Language):
        raise Mend({field: "subscribers.language_missing"})
    return Language(visit.said(field))


def said_day(visit: Visit, field: str) -> date | None:
    """Read a day; None where none was named. Raises Mend."""
    if not visit.said(field):
        return None
    try:
        return date.fromisoformat(visit.said(field))
    except ValueError:
        raise Mend({field: "subscribers.day_wrong"}) from None

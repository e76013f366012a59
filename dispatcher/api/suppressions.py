"""/suppressions: the never-mail list. It holds no address, only keyed hashes."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection
from starlette.responses import Response

from dispatcher.api import people
from dispatcher.api.desk import AtDesk
from dispatcher.api.entrance import Caller, needs
from dispatcher.api.once import Done, OnceOnly
from dispatcher.api.shapes import (
    Cursor,
    Limit,
    Line,
    PublicId,
    Said,
    SuppressionTold,
    Told,
    Topics,
    Typed,
    decode,
    encode,
)
from dispatcher.db.engine import reading
from dispatcher.db.terms import Scope, SuppressionReason
from dispatcher.domain import suppression, suppression_files
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.suppression import Entry
from dispatcher.errors import InputRefused
from dispatcher.sending import adding

router = APIRouter(prefix="/suppressions", tags=["suppressions"])


class EntryTold(SuppressionTold):
    """An entry, by the keyed hash of an address."""

    address_hash: str


class EntryPage(Told):
    """Entries, in the order of their hashes."""

    items: list[EntryTold]
    next: str | None


class NeverSaid(Said):
    """Whom never to mail: by address, or by the public id of a person."""

    address: Typed | None = None
    subscriber: PublicId | None = None
    topics: Topics | None = Field(default=None, description="Only on these; without it, never at all.")
    reason: Literal["operator", "complaint", "bounced"] = "operator"
    source: Line = Field(description="Where this comes from, in words; kept with the entry.")


class AddressSaid(Said):
    """Whom to look for."""

    address: Typed


class NeverTold(Told):
    """What was entered."""

    new: int = Field(description="Entries that are new, or graver than what stood there.")


class EntriesTold(Told):
    """The entries of one address."""

    items: list[SuppressionTold]


@router.get("", operation_id="list_suppressions")
def list_(
    desk: AtDesk, _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)], cursor: Cursor = None, limit: Limit = 100
) -> EntryPage:
    """List the never-mail list, in the order of its hashes."""
    place = decode("suppressions", cursor, str, str)
    after = (_hash(place[0]), place[1]) if place else (b"", "")
    with reading(desk.engine).connect() as conn:
        found = suppression.page(conn, after, limit + 1)
    items = [
        EntryTold(address_hash=hashed.hex(), scope=e.scope, reason=e.reason, source=e.source, at=e.at)
        for hashed, e in found[:limit]
    ]
    more = encode("suppressions", items[-1].address_hash, items[-1].scope) if len(found) > limit else None
    return EntryPage(items=items, next=more)


@router.post("/lookup", operation_id="lookup_suppressions")
def lookup(desk: AtDesk, _: Annotated[Caller, needs(Scope.SUBSCRIBERS_READ)], said: AddressSaid) -> EntriesTold:
    """Give what stands on the list for an address, known here as a person or not."""
    hashed = address_hash(desk.keyring, parse_address(said.address))
    with reading(desk.engine).connect() as conn:
        entries = suppression.entries(conn, hashed)
    return EntriesTold(items=[SuppressionTold.model_validate(entry) for entry in entries])


@router.post("", operation_id="suppress", status_code=201, response_model=NeverTold)
def suppress(
    desk: AtDesk, caller: Annotated[Caller, needs(Scope.SUBSCRIBERS_WRITE)], once: OnceOnly, said: NeverSaid
) -> Response:
    """Put an address on the list; it wins over every consent and every file. An entry that stands stays."""
    if (said.address is None) == (said.subscriber is None):
        raise InputRefused("it has to be said whom never to mail", "give address or subscriber, one of them")
    source = f"{caller.by}: {adding.checked('the source', said.source)}"

    def act(conn: Connection, now: datetime) -> Done:
        if said.subscriber is not None:
            hashed = people.by_id(conn, said.subscriber).address_hash
        else:
            hashed = address_hash(desk.keyring, parse_address(said.address or ""))
        reason = SuppressionReason(said.reason)
        entries = [Entry(hashed, topic, reason, source) for topic in said.topics or (None,)]
        return Done(NeverTold(new=suppression_files.take(conn, entries, now, dry_run=False)))

    return once.do(said, act, 201)


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InputRefused("this cursor is not one of this list", "send `next` of its page before, or none") from None

"""The hash chain over consent events: how an event is written out, and what is hashed. Pure.

    beginning  = SHA-256(words, version, instance, when the chain began, how many events were there before it)
    personal   = SHA-256(version, salt, personal fields)
    chain_hash = SHA-256(version, chain_hash of the event before, personal, sealed fields)

What must stay true: two events that differ are written out differently (each field, the hashes too, has its type and
its length before it, and NULL is no text), and an event is written out the same on every database: times as
microseconds since 1970, in UTC. Salt and personal fields can go later: the chain goes by their hash, which without the
salt tells nothing.

These are the forms of version 1; the migration that chains older events has a copy of them. A change of fields or form
is a new version, and needs the number of the event from which on it holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from dispatcher.domain.proof.moments import EPOCH, Moment

VERSION = b"\x01"
# May go later. An import's source may hold a name, the relay's line may repeat an address, and a Message-ID finds the
# mail in anybody's log.
PERSONAL = ("source", "ip", "user_agent", "message_id", "relay_reply")
GONE = ("", None, None, None, None)  # what is left of them
SEALED = (
    "id", "subscriber_id", "topic", "kind", "at", "given_at", "language", "declaration_id", "declaration_named",
    "privacy_sha256", "request_id", "mail_template", "mail_sha256",
)  # fmt: skip
COLUMNS = (*SEALED, *PERSONAL, "salt", "personal_sha256", "chain_hash")  # of an event, in the order of its row

_BEGIN = b"dispatcher consent chain"
_HASH = 32  # octets
_OWN = b"o%d:" % _HASH
_BEGUN = sha256(VERSION)  # to be copied: to make a new one costs as much as to hash what follows


Value = str | bytes | int | Moment | datetime | None
New = tuple[
    bytes, Sequence[Value], Sequence[Any]
]  # an event: its salt, personal fields, and sealed ones in their order


@dataclass(frozen=True, slots=True)
class Link:
    """An event as it stands in its table, whatever stands there: a hash may be none."""

    sealed: tuple[Value, ...]  # in the order of SEALED
    personal: tuple[Value, ...]  # in the order of PERSONAL
    salt: Value
    personal_sha256: Value
    chain_hash: Value

    @property
    def id(self) -> int:
        """Give its number."""
        return self.sealed[0]  # type: ignore[return-value]

    @property
    def subscriber_id(self) -> Value:
        """Give whose it is."""
        return self.sealed[1]

    @property
    def at(self) -> datetime | None:
        """Give when it was recorded; None: no such time stands there."""
        return self.sealed[4].datetime if isinstance(self.sealed[4], Moment) else None

    def hash_after(self, before: bytes) -> bytes | None:
        """Give the hash that it should have behind this one; None: it cannot have one."""
        if not is_hash(self.personal_sha256):
            return None
        return chain_hash(before, self.personal_sha256, self.sealed)  # type: ignore[arg-type]

    def goes_on_from(self, before: bytes) -> bool:
        """Claim that it is the event after the one with this hash."""
        return is_hash(self.chain_hash) and self.hash_after(before) == self.chain_hash


def begin(instance: bytes, begun_at: datetime | Moment, chained_later: int) -> bytes:
    """Give what the first event's hash goes on from."""
    return sha256(_BEGIN + VERSION + written([instance, begun_at, chained_later])).digest()


def rows(before: bytes, events: Iterable[New]) -> Iterator[tuple[Value, ...]]:
    """Chain new events, one after the other: give each in the order of COLUMNS.

    The hashes are what `personal_sha256` and `chain_hash` say, which verify them, in half the time: an import brings a
    million, and most fields of one stand in the next. So what was written out last is kept; a field has one type.
    """
    from_, others_, what_, rest_ = None, list[Value](), tuple[Value, ...](), list[Any]()
    first, others_written, what_written, rest_written = b"-", b"", b"", b""
    for salt, personal, sealed in events:
        source, ip, *others = personal
        number, who, topic, kind, at, given_at, *rest = sealed
        if source != from_:
            from_, first = source, _written(source)
        if others != others_:
            others_, others_written = others, written(others)
        if (what := (topic, kind, at)) != what_:
            what_, what_written = what, written(what)
        if rest != rest_:
            rest_, rest_written = rest, written(rest)
        hashed = _BEGUN.copy()
        hashed.update(b"".join((b"o%d:" % len(salt), salt, first, _written(ip), others_written)))
        own = hashed.digest()
        numbers = f"i{len(str(number))}:{number}i{len(str(who))}:{who}".encode()
        of = (b"o%d:" % len(before), before, _OWN, own, numbers, what_written, _written(given_at), rest_written)
        hashed = _BEGUN.copy()
        hashed.update(b"".join(of))
        before = hashed.digest()
        yield (*sealed, *personal, salt, own, before)


def personal_sha256(salt: Value, personal: Iterable[Value]) -> bytes:
    """Give the hash of what may go later: the salt, and the fields in the order of PERSONAL."""
    return sha256(VERSION + written([salt, *personal])).digest()


def chain_hash(before: bytes, personal: bytes, sealed: Iterable[Value]) -> bytes:
    """Give an event's hash: from that of the event before, the personal fields' hash, and the fields of SEALED."""
    return sha256(VERSION + written([before, personal, *sealed])).digest()


def moment(at: datetime) -> Moment:
    """Give a time as it is written out."""
    return Moment(_microseconds(at))


def is_hash(value: Value) -> bool:
    """Claim that this is a hash: octets, and so many."""
    return isinstance(value, bytes) and len(value) == _HASH


def written(values: Iterable[Value]) -> bytes:
    """Write fields out: TYPE LENGTH:OCTETS each (t text, o octets, i integer, d time), and `-` for NULL."""
    return b"".join([_written(value) for value in values])


def _written(value: Value) -> bytes:
    if value is None:
        return b"-"
    if isinstance(value, str):
        octets = value.encode()
        return b"t%d:%b" % (len(octets), octets)
    if isinstance(value, bytes):
        return b"o%d:%b" % (len(value), value)
    if isinstance(value, datetime):
        digits = str(_microseconds(value))
        return f"d{len(digits)}:{digits}".encode()
    octets = b"%d" % value
    return b"%c%d:%b" % (b"d" if isinstance(value, Moment) else b"i", len(octets), octets)


def _microseconds(at: datetime) -> int:
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

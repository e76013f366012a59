"""The hash chain over consent events: how an event is written out, and what is hashed. Pure.

    beginning  = SHA-256(words, version, instance, when the chain began, how many events were there before it)
    personal   = SHA-256(version, salt, personal fields)
    chain_hash = SHA-256(chain_hash of the event before, version, personal, sealed fields)

What must stay true: two events that differ are written out differently (each field has its length before it, and NULL
is no text), and an event is written out the same on every database: times as microseconds since 1970, in UTC. Salt and
personal fields can be set to NULL later: the chain goes by their hash, which without the salt tells nothing.

These are the forms of version 1; the migration that chains older events has a copy of them. A change of fields or form
is a new version, and needs the number of the event from which on it holds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

VERSION = b"\x01"
# May go later. The relay's line may repeat an address, and a Message-ID finds the mail in anybody's log.
PERSONAL = ("ip", "user_agent", "message_id", "relay_reply")
SEALED = (
    "id", "subscriber_id", "topic", "kind", "at", "given_at", "source", "language", "declaration_id",
    "declaration_named", "privacy_sha256", "request_id", "mail_template", "mail_sha256",
)  # fmt: skip
Value = str | bytes | int | datetime | None

_BEGIN = b"dispatcher consent chain"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def begin(instance: bytes, begun_at: datetime, chained_later: int) -> bytes:
    """Give what the first event's hash goes on from."""
    return sha256(_BEGIN + VERSION + written([instance, begun_at, chained_later])).digest()


def personal_sha256(salt: bytes | None, personal: Iterable[Value]) -> bytes:
    """Give the hash of what may go later: the salt, and the fields in the order of PERSONAL."""
    return sha256(VERSION + written([salt, *personal])).digest()


def chain_hash(before: bytes, personal: bytes, sealed: Iterable[Value]) -> bytes:
    """Give an event's hash: from that of the event before, the personal fields' hash, and the fields of SEALED."""
    return sha256(before + VERSION + personal + written(sealed)).digest()


def written(values: Iterable[Value]) -> bytes:
    """Write fields out: LENGTH:OCTETS each, and `-` for NULL."""
    return b"".join([_written(value) for value in values])


def _written(value: Value) -> bytes:
    if value is None:
        return b"-"
    if isinstance(value, str):
        octets = value.encode()
    elif isinstance(value, int):
        octets = b"%d" % value
    elif isinstance(value, datetime):
        octets = b"%d" % ((value - _EPOCH) // _MICROSECOND)
    else:
        octets = bytes(value)
    return b"%d:%b" % (len(octets), octets)

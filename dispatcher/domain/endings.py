"""What must outlive a restore, noted outside the database: who asked to be left alone, and which letters may have gone.

    withdrawn, objected, complaint, bounced, operator, erased    an address may not be mailed any more
    restricted                                                   of a person: it is only kept (Art. 18 GDPR)
    launched, claimed                                            a newsletter began; letters of a batch may be out
    witness                                                      the database had come this far

What must stay true: whatever ends a consent is noted in the transaction that ends it (`note`), and its line is on the
disk before the COMMIT (sending/endings.py). No line holds an address, only its keyed hash. Each says how far the file
was in the database when it was written: so a line that no COMMIT followed (somebody was killed) is told from lines that
a database has lost.

A line is a JSON object. The first line of a file says which file it is, and which key made the hashes.
"""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from dispatcher.db.terms import EVERY_TOPIC, SuppressionReason, Topic
from dispatcher.errors import InputRefused

_WAITING = "dispatcher.endings"  # in a connection's info: what its transaction has to write
_FIRST, _RESTRICTED, _LAUNCHED, _CLAIMED, _WITNESS = "file", "restricted", "launched", "claimed", "witness"
_NO_SUCH_FILE = "name a file of endings that dispatcher wrote (setting DISPATCHER_ENDINGS)"


@dataclass(frozen=True, slots=True)
class Ending:
    """An address may not be mailed any more, for one topic or (None) for every one."""

    address_hash: bytes
    scope: Topic | None
    reason: SuppressionReason
    at: datetime


@dataclass(frozen=True, slots=True)
class Restricted:
    """What is known of a person is only kept from now on."""

    address_hash: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Launched:
    """A newsletter's audience was frozen."""

    campaign_id: int
    topic: Topic
    at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """A worker took a batch: from now on letters of it may have gone out."""

    campaign_id: int
    no: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Witness:
    """Nothing happened but that the database had come this far."""

    at: datetime


Noted = Ending | Restricted | Launched | Claimed | Witness


@dataclass(frozen=True, slots=True)
class First:
    """The first line of a file: which one it is, and the fingerprint of the key that makes its hashes."""

    id: bytes
    key: bytes

    @property
    def octets(self) -> bytes:
        """Give the line as it stands in the file."""
        return _json({"kind": _FIRST, "id": self.id.hex(), "key": self.key.hex()})


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read. `mark`: how far the file was in the database when it was written; `event`: the newest
    event of the consent ledger then, its own among them.
    """

    noted: Noted
    mark: int
    event: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines as they stand in a file, up to the octet `end`. `unreadable`: how many say nothing; a line that was torn
    by a crash was never committed, and is one of these.
    """

    lines: tuple[Line, ...]
    end: int
    unreadable: int = 0


def begin(conn: Connection) -> None:
    """Let `note` gather for this connection's transaction from here on."""
    conn.info[_WAITING] = []


def note(conn: Connection, noted: Iterable[Noted]) -> None:
    """Have these written to the file of endings before this transaction commits, if its engine keeps one."""
    waiting = conn.info.get(_WAITING)
    if waiting is not None:
        waiting.extend(noted)


def taken(conn: Connection) -> list[Noted]:
    """Give what was noted in this transaction, and forget it."""
    waiting: list[Noted] = conn.info.get(_WAITING) or []
    conn.info[_WAITING] = []
    return waiting


def new_first(key: bytes) -> First:
    """Give the first line of a new file."""
    return First(secrets.token_bytes(16), key)


def written(noted: Sequence[Noted], mark: int, event: int) -> bytes:
    """Give lines as they go into the file."""
    return b"".join(_json({**_fields(n), "at": _stamp(n.at), "event": event, "mark": mark}) for n in noted)


@lru_cache(maxsize=4)  # it is read before each COMMIT that notes something, and is the same each time
def read_first(octets: bytes) -> First:
    """Read a file's first line. Raises InputRefused for what is none."""
    try:
        value = json.loads(octets)
        if value["kind"] == _FIRST:
            return First(bytes.fromhex(value["id"]), bytes.fromhex(value["key"]))
    except (ValueError, KeyError, TypeError):
        pass
    raise InputRefused("is no file of endings", _NO_SUCH_FILE)


def read(octets: bytes, start: int) -> Stretch:
    """Read what stands in a file from octet `start` on. What does not end with a line's end is read, too."""
    lines, unreadable = [], 0
    for raw in octets.splitlines():
        if not raw.strip():
            continue
        line = _line(raw)
        if line is None:
            unreadable += 1
        elif isinstance(line, Line):
            lines.append(line)
    return Stretch(tuple(lines), start + len(octets), unreadable)


def is_older(mark: int, stretch: Stretch) -> bool:
    """Claim that a database whose mark this is has lost what it once held: a line beyond the mark was written when the
    database had come further. Lines that all stand on the mark itself are those of transactions that never committed.
    """
    return any(line.mark > mark for line in stretch.lines)


def _fields(noted: Noted) -> dict[str, object]:
    match noted:
        case Ending(hashed, scope, reason, _):
            return {"kind": reason.value, "address": hashed.hex(), "scope": scope.value if scope else EVERY_TOPIC}
        case Restricted(hashed, _):
            return {"kind": _RESTRICTED, "address": hashed.hex()}
        case Launched(campaign_id, topic, _):
            return {"kind": _LAUNCHED, "campaign": campaign_id, "topic": topic.value}
        case Claimed(campaign_id, no, _):
            return {"kind": _CLAIMED, "campaign": campaign_id, "batch": no}
        case Witness(_):
            return {"kind": _WITNESS}


def _line(raw: bytes) -> Line | First | None:
    """Give a line; None: it says nothing."""
    try:
        value = json.loads(raw)
        if value["kind"] == _FIRST:
            return read_first(raw)
        return Line(_noted(value), int(value["mark"]), int(value["event"]))
    except (ValueError, KeyError, TypeError, InputRefused):
        return None


def _noted(value: dict[str, Any]) -> Noted:
    at = datetime.fromisoformat(value["at"]).astimezone(UTC)
    match value["kind"]:
        case "launched":
            return Launched(int(value["campaign"]), Topic(value["topic"]), at)
        case "claimed":
            return Claimed(int(value["campaign"]), int(value["batch"]), at)
        case "witness":
            return Witness(at)
        case "restricted":
            return Restricted(_hash(value["address"]), at)
        case reason:
            scope = None if value["scope"] == EVERY_TOPIC else Topic(value["scope"])
            return Ending(_hash(value["address"]), scope, SuppressionReason(reason), at)


def _hash(text: str) -> bytes:
    hashed = bytes.fromhex(text)
    if len(hashed) != 32:
        raise ValueError("not a hash")
    return hashed


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"

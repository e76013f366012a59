"""The never-mail list as a file. Out go keyed hashes, never an address: they are good under the key that made them and
nowhere else, so the file names that key. In come such a file, or addresses.

    out   key,address_hash,scope,reason,source,at
    in    the same; or email[,scope][,reason]; or addresses alone, one a line
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import BinaryIO

from sqlalchemy import Connection, select

from dispatcher.db.columns import one_of_many
from dispatcher.db.tables import suppression as table
from dispatcher.db.terms import EVERY_TOPIC, SuppressionReason, Topic
from dispatcher.domain import suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.imports.lines import lines_of
from dispatcher.domain.imports.records import Record, Records
from dispatcher.domain.imports.rows import Rejected
from dispatcher.domain.spreadsheets import bare, guarded
from dispatcher.domain.suppression import Entry, enter
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused

HEADER = ("key", "address_hash", "scope", "reason", "source", "at")
PAGE = 5000

Place = tuple[bytes, str]  # hash and scope of an entry
START: Place = (b"", "")


@dataclass(frozen=True, slots=True)
class Default:
    """What holds for a row that does not say so itself."""

    scope: Topic | None  # None: every topic
    reason: SuppressionReason
    source: str


def pages(conn: Connection, keyring: Keyring, size: int = PAGE) -> Iterator[list[list[str]]]:
    """Give all entries as rows under HEADER."""
    after: Place | None = START
    while after is not None:
        rows, after = page(conn, keyring, after, size)
        yield rows


def page(conn: Connection, keyring: Keyring, after: Place, size: int = PAGE) -> tuple[list[list[str]], Place | None]:
    """Give the entries behind a place as rows under HEADER, and the next place; None: that is all."""
    key = keyring.oldest.fingerprint().hex()
    found = suppression.page(conn, after, size)
    rows = [[key, hashed.hex(), e.scope, e.reason, guarded(e.source), e.at.isoformat()] for hashed, e in found]
    return rows, (found[-1][0], found[-1][1].scope) if len(found) == size else None


def read(file: BinaryIO, keyring: Keyring, default: Default, encoding: str) -> Iterator[Entry | Rejected]:
    """Read a file row by row. Raises InputRefused for what is no such file, and for hashes that another key made."""
    lines = lines_of(file, encoding)
    first = next(lines, "")
    records = Records(chain(["email\n", first] if "@" in first else [first], lines))
    words = [word.lower() for word in records.header]
    if "email" not in words and not {"key", "address_hash"} <= set(words):
        raise InputRefused(
            "the header names neither email nor key and address_hash",
            "give a file of addresses, one a line, or one that `dispatcher suppressions export` wrote",
        )
    shift = 1 if "@" in first else 0  # lines that the file does not have
    for record in records:
        yield _entry(record, words, keyring, default, shift)


def take(conn: Connection, entries: Iterable[Entry], now: datetime, *, dry_run: bool) -> int:
    """Put entries on the list, unless `dry_run`; give how many of them are new or graver than what stood there."""
    wanted = {(entry.address_hash, entry.scope or EVERY_TOPIC): entry for entry in entries}
    n = table.c
    stands = {
        (bytes(row.address_hash), row.scope): row.reason
        for row in conn.execute(
            select(n.address_hash, n.scope, n.reason).where(
                one_of_many(conn, n.address_hash, {hashed for hashed, _ in wanted})
            )
        )
    }
    new = [entry for place, entry in wanted.items() if _is_new(stands.get(place), entry)]
    if not dry_run:
        enter(conn, new, now)
    return len(new)


def _is_new(standing: str | None, entry: Entry) -> bool:
    return standing is None or (standing == SuppressionReason.WITHDRAWN and standing != entry.reason)


def _entry(record: Record, words: list[str], keyring: Keyring, default: Default, shift: int) -> Entry | Rejected:
    line = record.line - shift
    if record.problem or len(record.cells) != len(words):
        problem = record.problem or f"{len(record.cells)} cells where the header has {len(words)}"
        return Rejected(line, problem, tuple(record.cells))
    cell = dict(zip(words, (bare(text).strip() for text in record.cells), strict=True))
    _check_key(cell, keyring)
    try:
        hashed = _hash(cell, keyring)
        scope, reason = _scope(cell.get("scope", ""), default), _reason(cell.get("reason", ""), default)
    except InputRefused as error:
        return Rejected(line, error.what, tuple(record.cells))
    return Entry(hashed, scope, reason, (cell.get("source") or default.source).replace("\0", ""))


def _check_key(cell: dict[str, str], keyring: Keyring) -> None:
    if "key" in cell and cell["key"] != keyring.oldest.fingerprint().hex():
        raise InputRefused(
            "these hashes were made under another secret key: no address here would ever match them",
            "put that house's oldest key last in DISPATCHER_SECRET_KEYS, or import addresses",
        )


def _hash(cell: dict[str, str], keyring: Keyring) -> bytes:
    if "email" in cell:
        return address_hash(keyring, parse_address(cell["email"]))
    try:
        hashed = bytes.fromhex(cell["address_hash"])
    except ValueError:
        hashed = b""
    if len(hashed) != 32:
        raise InputRefused("address_hash is not 64 hexadecimal digits")
    return hashed


def _scope(word: str, default: Default) -> Topic | None:
    if not word:
        return default.scope
    if word == EVERY_TOPIC:
        return None
    if word not in set(Topic):
        raise InputRefused(f"there is no scope {word[:40]!r}; use {EVERY_TOPIC} or {', '.join(Topic)}")
    return Topic(word)


def _reason(word: str, default: Default) -> SuppressionReason:
    if word and word not in set(SuppressionReason):
        raise InputRefused(f"there is no reason {word[:40]!r}; use {', '.join(SuppressionReason)}")
    return SuppressionReason(word) if word else default.reason

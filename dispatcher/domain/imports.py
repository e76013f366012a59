"""People from a CSV file, streamed. What must stay true: suppression and withdrawal win over every row, a consent is
believed only with its evidence, and a dry run gives exactly the verdicts of the real one.

A row with `consent_at` and `consent_source` enters as confirmed, one without as pending.
"""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import BinaryIO

from sqlalchemy import Connection, select

from dispatcher.db.tables import subscription, suppression
from dispatcher.db.terms import (
    EVERY_TOPIC,
    ConsentKind,
    Language,
    SubscriptionState,
    SuppressionReason,
    Topic,
)
from dispatcher.domain import consent, declarations, subscribers
from dispatcher.domain.addresses import Address, parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.subscribers import Newcomer, clean_name, topics_of
from dispatcher.domain.suppression import address_hash
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused

COLUMNS = ("email", "name", "language", "topics", "consent_at", "consent_ip", "consent_source", "declaration")
_REQUIRED = ("email", "topics")
_LONGEST_LINE = 20_000  # characters
CHUNK = 500  # rows to a transaction


class Fate(StrEnum):
    """What became of a row."""

    CONFIRMED = "confirmed"  # consent with evidence, now current
    PENDING = "pending"  # no evidence: must confirm first
    UNCHANGED = "unchanged"  # known already, nothing new
    DUPLICATE = "duplicate"  # the same address stood in an earlier row
    WITHDRAWN = "withdrawn"  # the person left: the row changes nothing
    SUPPRESSED = "suppressed"  # on the never-mail list: the row changes nothing
    REJECTED = "rejected"  # cannot be read


@dataclass(frozen=True, slots=True)
class Row:
    """A row that could be read."""

    line: int
    address: Address
    address_hash: bytes
    name: str
    language: Language
    topics: tuple[Topic, ...]
    consent_at: datetime | None
    consent_ip: str | None
    consent_source: str | None
    declaration: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that could not be read: where it stands and why."""

    line: int
    reason: str


@dataclass(slots=True)
class Tally:
    """What became of the rows, counted; rejects by name, up to the first 1,000."""

    counts: dict[Fate, int] = field(default_factory=lambda: dict.fromkeys(Fate, 0))
    rejects: list[Rejected] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Give how many rows there were."""
        return sum(self.counts.values())

    def reject(self, rejected: Rejected) -> None:
        """Count a row that could not be read."""
        self.counts[Fate.REJECTED] += 1
        if len(self.rejects) < 1000:
            self.rejects.append(rejected)


def read_rows(file: BinaryIO, keyring: Keyring, now: datetime) -> Iterator[Row | Rejected]:
    """Read a CSV file row by row. Raises InputRefused for a file that is not one: encoding, header."""
    reader = csv.reader(_lines(file), strict=True)
    try:
        header = [word.strip().lower() for word in next(reader)]
    except StopIteration:
        raise InputRefused("the file is empty", f"its first line must name the columns: {','.join(COLUMNS)}") from None
    except csv.Error as error:
        raise InputRefused(f"the header is not CSV: {error}", f"the columns are: {','.join(COLUMNS)}") from None
    _check_header(header)
    while True:
        line = reader.line_num + 1  # where the row begins: quoted cells may hold line breaks
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Rejected(line, f"not CSV: {error}")
            continue
        if any(cell.strip() for cell in cells):
            yield _row(line, header, cells, keyring, now)


def take(  # noqa: PLR0913  (one chunk and all that decides about it)
    conn: Connection, rows: list[Row], origin: str, tally: Tally, seen: set[bytes], now: datetime, *, dry_run: bool
) -> list[Row]:
    """Take in a chunk of at most CHUNK rows: judge each, count it, and, unless `dry_run`, write it down.

    Give the rows that became pending. `seen` holds the hashes of addresses of earlier rows, 32 bytes each.
    """
    fresh = []
    for row in rows:
        if row.address_hash in seen:
            tally.counts[Fate.DUPLICATE] += 1
        else:
            seen.add(row.address_hash)
            fresh.append(row)
    hashes = [row.address_hash for row in fresh]
    known = subscribers.by_hashes(conn, hashes)
    stands = _standing(conn, known)
    forbidden = _forbidden(conn, hashes)
    accepted: list[tuple[Row, list[Topic]]] = []
    for row in fresh:
        topics, fate = _judge(row, stands.get(row.address_hash, {}), forbidden.get(row.address_hash, {}))
        tally.counts[fate] += 1
        if topics:
            accepted.append((row, topics))
    if not dry_run:
        _write(conn, accepted, origin, now)
    return [row for row, _ in accepted if row.consent_at is None]


def _write(conn: Connection, accepted: list[tuple[Row, list[Topic]]], origin: str, now: datetime) -> None:
    newcomers = [Newcomer(row.address, row.address_hash, row.name, row.language) for row, _ in accepted]
    subscribers.add(conn, newcomers, now)
    ids = subscribers.by_hashes(conn, [row.address_hash for row, _ in accepted])
    declared = {
        language: declarations.ids_by_name(conn, language, {row.declaration for row, _ in accepted if row.declaration})
        for language in Language
    }
    events = []
    for row, topics in accepted:
        evidence = Evidence(
            source=f"{row.consent_source} (import: {origin})" if row.consent_source else f"import: {origin}",
            ip=row.consent_ip,
            language=row.language,
            declaration_id=declared[row.language].get(row.declaration or ""),
            declaration_named=row.declaration,
            given_at=row.consent_at,
        )
        kind = ConsentKind.IMPORTED if row.consent_at else ConsentKind.LISTED
        events += [Event(ids[row.address_hash], topic, kind, evidence) for topic in topics]
    consent.append(conn, events, now)


def _judge(
    row: Row, stands: dict[Topic, SubscriptionState], forbidden: dict[str, SuppressionReason]
) -> tuple[list[Topic], Fate]:
    """Decide about a row: for which topics it says something new, and what it counts as."""
    if EVERY_TOPIC in forbidden:
        return [], Fate.SUPPRESSED
    left = {t for t in row.topics if t in forbidden or stands.get(t) is SubscriptionState.WITHDRAWN}
    has_evidence = row.consent_at is not None
    new = [
        t
        for t in row.topics
        if t not in left and (t not in stands or (has_evidence and stands[t] is SubscriptionState.PENDING))
    ]
    if new:
        return new, Fate.CONFIRMED if has_evidence else Fate.PENDING
    return [], Fate.WITHDRAWN if left else Fate.UNCHANGED


def _standing(conn: Connection, known: dict[bytes, int]) -> dict[bytes, dict[Topic, SubscriptionState]]:
    by_id = {subscriber_id: hashed for hashed, subscriber_id in known.items()}
    s = subscription.c
    rows = conn.execute(select(s.subscriber_id, s.topic, s.state).where(s.subscriber_id.in_(list(by_id))))
    stands: dict[bytes, dict[Topic, SubscriptionState]] = {}
    for row in rows:
        stands.setdefault(by_id[row.subscriber_id], {})[Topic(row.topic)] = SubscriptionState(row.state)
    return stands


def _forbidden(conn: Connection, hashes: list[bytes]) -> dict[bytes, dict[str, SuppressionReason]]:
    s = suppression.c
    rows = conn.execute(select(s.address_hash, s.scope, s.reason).where(s.address_hash.in_(hashes)))
    found: dict[bytes, dict[str, SuppressionReason]] = {}
    for row in rows:
        found.setdefault(bytes(row.address_hash), {})[row.scope] = SuppressionReason(row.reason)
    return found


def _lines(file: BinaryIO) -> Iterator[str]:
    """Give the file's lines as text: UTF-8, with or without a byte order mark; one at a time, however long the file."""
    start = file.read(4)
    if start[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in start:
        raise InputRefused("the file is in UTF-16, not in UTF-8", "save it as CSV UTF-8")
    stream = io.TextIOWrapper(io.BufferedReader(_Again(start, file)), encoding="utf-8-sig", newline="")
    number = 0
    try:
        while line := stream.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise InputRefused(f"line {number} is longer than {_LONGEST_LINE} characters", "is it a CSV file?")
            yield line
    except UnicodeDecodeError:
        raise InputRefused(
            f"after line {number} there are bytes that are not UTF-8 (Latin-1, perhaps)",
            "save it as CSV UTF-8, or convert it: iconv -f latin1 -t utf8 OLD > NEW",
        ) from None


class _Again(io.RawIOBase):
    """A stream with its first bytes put back in front: a pipe cannot be rewound."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        data = self._start[: len(buffer)] or self._rest.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _check_header(header: list[str]) -> None:
    unknown = [word for word in header if word not in COLUMNS]
    lacking = [word for word in _REQUIRED if word not in header]
    cure = f"the columns are: {','.join(COLUMNS)}; separated by commas"
    if lacking:
        raise InputRefused(f"the header lacks the column {' and '.join(lacking)}", cure)
    if unknown:
        raise InputRefused(f"the header names a column that is unknown: {', '.join(unknown)[:200]}", cure)
    if len(set(header)) != len(header):
        raise InputRefused("the header names a column twice", cure)


def _row(line: int, header: list[str], cells: list[str], keyring: Keyring, now: datetime) -> Row | Rejected:
    if len(cells) != len(header):
        return Rejected(line, f"{len(cells)} cells where the header has {len(header)}")
    cell = {name: text.strip() for name, text in zip(header, cells, strict=True)}
    if any("\0" in text for text in cells):
        return Rejected(line, "contains a NUL character")  # which PostgreSQL cannot store
    try:
        address = parse_address(cell["email"])
        at, source = _moment(cell.get("consent_at", ""), now), cell.get("consent_source") or None
        topics = topics_of(cell["topics"])
        if not topics:
            raise InputRefused("no topic is named")
        return Row(
            line=line,
            address=address,
            address_hash=address_hash(keyring, address),
            name=clean_name(cell.get("name", "")),
            language=_language(cell.get("language", "")),
            topics=tuple(topics),
            consent_at=at if source else None,
            consent_ip=_ip(cell.get("consent_ip", "")),
            consent_source=source if at else None,
            declaration=cell.get("declaration") or None,
        )
    except InputRefused as error:
        return Rejected(line, error.what)


def _moment(text: str, now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputRefused(f"consent_at {text!r} is not a time such as 2026-01-31T14:05:00+01:00") from None
    if at > now + timedelta(minutes=5):
        raise InputRefused(f"consent_at {text} lies in the future")
    return at


def _language(text: str) -> Language:
    if not text:
        return Language.DE
    if text.lower() not in list(Language):
        raise InputRefused(f"there is no language {text!r}; use {' or '.join(Language)}")
    return Language(text.lower())


def _ip(text: str) -> str | None:
    try:
        return str(ip_address(text)) if text else None
    except ValueError:
        raise InputRefused(f"consent_ip {text!r} is not an IP address") from None


def chunks(rows: Iterable[Row | Rejected], size: int = CHUNK) -> Iterator[list[Row | Rejected]]:
    """Cut a stream of rows into chunks."""
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, size)):
        yield chunk

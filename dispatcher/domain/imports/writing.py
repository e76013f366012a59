"""A chunk of rows into the database: a question about those who are known and one about the never-mail list, then one
statement for each kind of thing that is new. All of it in the transaction of the caller.
"""

import itertools
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from dispatcher.db.terms import EVERY_TOPIC, ConsentKind, Language, SuppressionReason
from dispatcher.domain import consent, coverage, declarations
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.imports.judging import NOBODY, Verdict, Words, judge
from dispatcher.domain.imports.rows import Claim, Rejected, Row, Tally
from dispatcher.domain.imports.seen import Seen
from dispatcher.domain.imports.standings import standings
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Newcomer
from dispatcher.domain.proof import chain_head
from dispatcher.domain.proof.chain_head import Head
from dispatcher.domain.suppression import Entry, enter

CHUNK = 3000  # rows to a transaction

T = TypeVar("T")
Judged = list[tuple[Row, Verdict]]


@dataclass(slots=True)
class Intake:
    """A file on its way in: where its people come from, what was counted, and whom it named already."""

    origin: str
    tally: Tally = field(default_factory=Tally)
    seen: Seen = field(default_factory=Seen)
    ends: list[bytes] = field(default_factory=list)  # of the chain, one after the other, with nobody's in between


@dataclass(slots=True)
class Looked:
    """A chunk that was looked at: the verdicts, and where the chain ended before. No row of a person stands twice."""

    end: Head | None
    judged: Judged
    rejected: list[Rejected]
    repeated: int
    known: Set[bytes]  # address hashes of people and of entries on the never-mail list
    ids: dict[bytes, int] = field(default_factory=dict)  # of those whom its news are about, by address hash
    copied: bool = False  # whoever is not known was added in this transaction, for certain
    news: Judged = field(default_factory=list)  # rows that say something new
    events: list[Event] = field(default_factory=list)  # what they say, for the ledger


def chunks(rows: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cut a stream of rows into chunks."""
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def take(
    conn: Connection, chunk: Iterable[Row | Rejected], intake: Intake, now: datetime, *, dry_run: bool
) -> list[Row]:
    """Take in a chunk: judge each row, count it and, unless `dry_run`, write it down. Give those who became pending."""
    looked = look(conn, chunk, intake.seen)
    if dry_run:
        return count(looked, intake.tally)
    prepare(conn, looked, now)
    return write(conn, looked, intake, now)


def look(conn: Connection, chunk: Iterable[Row | Rejected], seen: Seen) -> Looked:
    """Judge each row of a chunk. It can be done while the chunk before it is still being written."""
    fresh, rejected, repeated = [], [], 0
    for row in chunk:
        if isinstance(row, Rejected):
            rejected.append(row)
        elif seen.add(row.address_hash):
            fresh.append(row)
        else:
            repeated += 1
    end = chain_head.read(conn)
    judged, known = _judged(conn, fresh)
    return Looked(end, judged, rejected, repeated, known)


def prepare(conn: Connection, looked: Looked, now: datetime) -> None:
    """Write down who is taken in: the first half of writing a chunk, which can be done while the one before it is at
    its second.

    Who is known is taken in, too: their profile may have gone when they had left everything.
    """
    subscribers.learn_zones(conn, {row.address_hash: row.zone for row, _ in looked.judged if row.zone})
    unknown, known = list[Newcomer](), list[Newcomer]()
    for row, verdict in looked.judged:
        if verdict.takes_in:
            told = Newcomer(row.address, row.address_hash, row.name, row.language, row.zone)
            (known if row.address_hash in looked.known else unknown).append(told)
    copied = subscribers.copy_unknown(conn, unknown, now)
    looked.copied = copied is not None
    looked.ids = (copied or {}) | subscribers.add(conn, known if looked.copied else unknown + known, now)


def write(conn: Connection, looked: Looked, intake: Intake, now: datetime) -> list[Row]:
    """Write down what is new about the people of a chunk that is prepared, and count its rows. Give those who became
    pending.

    Who withdrew since the rows were judged has withdrawn: if the chain went on since then by more than what this file
    brought, which is about others, those with news are judged once more behind it. People's rows are taken before the
    chain, as by everybody, or two could wait for each other.
    """
    _gather(conn, looked, intake.origin)
    if looked.news:
        taken = chain_head.take(conn, now)
        if taken.head not in intake.ends[-1:]:
            intake.ends = [taken.head]
        if looked.end is None or looked.end.head not in intake.ends:
            judged, _ = _judged(conn, [row for row, _ in looked.news])
            again = {row.address_hash: verdict for row, verdict in judged}
            looked.judged = [(row, again.get(row.address_hash, verdict)) for row, verdict in looked.judged]
            _gather(conn, looked, intake.origin)
        _list(conn, looked.news, intake.origin, now)
        consent.append(conn, looked.events, now, taken, are_new=_are_new(looked))
        intake.ends.append(chain_head.take(conn, now).head)
    return count(looked, intake.tally)


def count(looked: Looked, tally: Tally) -> list[Row]:
    """Count the rows of a chunk. Give those who became pending."""
    for rejected in looked.rejected:
        tally.reject(rejected)
    tally.repeat(looked.repeated)
    for row, verdict in looked.judged:
        tally.enter(verdict.fate, row.claims)
    return [row for row, verdict in looked.judged if verdict.wishes]


def skip(chunk: Iterable[Row | Rejected], seen: Seen) -> None:
    """Go past rows that were taken in before: only whom they named is remembered."""
    for row in chunk:
        if isinstance(row, Row):
            seen.add(row.address_hash)


def _are_new(looked: Looked) -> bool:
    """Claim that its events are the first about each of these people."""
    return looked.copied and not any(row.address_hash in looked.known for row, _ in looked.news)


def _is_news(verdict: Verdict) -> bool:
    return bool(verdict.agreed or verdict.wishes or verdict.left or verdict.barred)


def _judged(conn: Connection, rows: list[Row]) -> tuple[Judged, Set[bytes]]:
    known = standings(conn, [row.address_hash for row in rows])
    numbers = {name: version.number for name, version in declarations.by_name(conn).items()}
    words = Words(numbers, coverage.demands(conn))
    return [(row, judge(row, known.get(row.address_hash, NOBODY), words)) for row in rows], known.keys()


def _gather(conn: Connection, looked: Looked, origin: str) -> None:
    """Make the consent events of a chunk from its verdicts."""
    looked.news = [(row, verdict) for row, verdict in looked.judged if _is_news(verdict)]
    others = [row.address_hash for row, _ in looked.news if row.address_hash not in looked.ids]
    looked.ids |= subscribers.by_hashes(conn, others)
    looked.events = _events(looked.news, looked.ids, _declared(conn, looked.news), origin)


def _events(news: Judged, ids: dict[bytes, int], declared: dict[tuple[Language, str], int], origin: str) -> list[Event]:
    """Give the consent events of a chunk. Whoever is not known and only left has none: there is nothing to end."""
    events = []
    for row, verdict in news:
        who = ids.get(row.address_hash)
        if who is None:
            continue
        for kind, told in (
            (ConsentKind.IMPORTED, verdict.agreed),
            (ConsentKind.LISTED, verdict.wishes),
            (ConsentKind.WITHDRAWN, verdict.left),
        ):
            evidence, of = None, None
            for topic, claim in told:
                if evidence is None or claim is not of:
                    evidence, of = _evidence(row, claim, declared, origin), claim
                events.append(Event(who, topic, kind, evidence))
    return events


def _evidence(row: Row, claim: Claim, declared: dict[tuple[Language, str], int], origin: str) -> Evidence:
    return Evidence(
        source=_source(claim, origin),
        ip=claim.ip,
        language=row.language,
        declaration_id=declared.get((row.language, claim.declaration)) if claim.declaration else None,
        declaration_named=claim.declaration,
        given_at=claim.at,
    )


def _source(claim: Claim, origin: str) -> str:
    return f"{claim.source} (import: {origin})" if claim.source else f"import: {origin}"


def _declared(conn: Connection, news: Judged) -> dict[tuple[Language, str], int]:
    """Give the ids of the declarations that rows name, by language and name."""
    named: dict[Language, set[str]] = {}
    for row, _ in news:
        for claim in row.claims:
            if claim.declaration:
                named.setdefault(row.language, set()).add(claim.declaration)
    return {
        (language, name): found
        for language, names in named.items()
        for name, found in declarations.ids_by_name(conn, language, names).items()
    }


def _list(conn: Connection, news: Judged, origin: str, now: datetime) -> None:
    """Put those who left, or may never be mailed, on the never-mail list: of two entries for one scope the graver."""
    entries = {}
    for row, verdict in news:
        for topic, claim in verdict.left:
            reason = SuppressionReason.WITHDRAWN
            entries[row.address_hash, topic.value] = Entry(row.address_hash, topic, reason, _source(claim, origin))
        for scope, claim in verdict.barred:
            reason = claim.reason or SuppressionReason.OPERATOR
            key = (row.address_hash, scope or EVERY_TOPIC)
            entries[key] = Entry(row.address_hash, scope, reason, _source(claim, origin))
    enter(conn, list(entries.values()), now)

"""Endings that a database has lost are applied to it again: after a restore, before anything is sent.

What must stay true: whoever asked to be left alone is left alone, also when they are no subscriber of this database; to
apply a line twice, or lines of several files in any order, comes to the same. A double opt-in that the person confirmed
after a withdrawal or an erasure wins over it, as it did in life; over a complaint or an objection it does not. A
restriction that was released afterwards is over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, func, select

from dispatcher.db.columns import among
from dispatcher.db.tables import consent_event, opt_in_request
from dispatcher.db.terms import ConsentKind, SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.consent import Evidence
from dispatcher.domain.endings import Ending, Restricted
from dispatcher.domain.people import erasure, profiles, restriction, subscribers
from dispatcher.domain.suppression import LIFTED_BY_OPT_IN, Entry

SOURCE = "applied again from the file of endings"
_PAGE = 2000
_Confirmed = Mapping[tuple[int, Topic], datetime]


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done: people withdrawn, erased, restricted; entries for the never-mail list (of others, too)."""

    withdrawn: int = 0
    erased: int = 0
    restricted: int = 0
    listed: int = 0


def apply(conn: Connection, endings: Iterable[Ending | Restricted], now: datetime) -> Applied:
    """Apply endings and restrictions, oldest first."""
    ended: dict[SuppressionReason, set[int]] = {reason: set() for reason in LIFTED_BY_OPT_IN}
    listed, restricted = 0, set[int]()
    for page in _pages(sorted(endings, key=lambda ending: ending.at)):
        ids = subscribers.by_hashes(conn, list({ending.address_hash for ending in page}))
        confirmed = _confirmed(conn, list(ids.values()))
        for ending in page:
            who = ids.get(ending.address_hash)
            if isinstance(ending, Restricted):
                if who is not None and _restrict(conn, who, ending, now):
                    restricted.add(who)
            elif who is not None and ending.reason in ended and _end(conn, who, ending, confirmed, now):
                ended[ending.reason].add(who)
        of_all = [e for e in page if isinstance(e, Ending)]
        listed += _list(conn, [e for e in of_all if e.address_hash not in ids or e.reason not in LIFTED_BY_OPT_IN])
    withdrawn, erased = ended[SuppressionReason.WITHDRAWN], ended[SuppressionReason.ERASED]
    return Applied(len(withdrawn), len(erased), len(restricted), listed)


def _restrict(conn: Connection, who: int, of: Restricted, now: datetime) -> bool:
    """Of somebody who is unknown here nothing is left that could be restricted."""
    if restriction.was_released_after(conn, who, of.at):
        return False
    return restriction.restrict(conn, who, Evidence(SOURCE, given_at=of.at), now)


def _end(conn: Connection, who: int, ending: Ending, confirmed: _Confirmed, now: datetime) -> bool:
    """End what a person of this database ended, except what they agreed to anew afterwards. False: it had ended."""
    wanted = [ending.scope] if ending.scope else list(Topic)
    topics = [topic for topic in wanted if not _came_back(confirmed, who, topic, ending.at)]
    if not topics or (ending.reason is SuppressionReason.ERASED and len(topics) < len(wanted)):
        return False
    evidence = Evidence(SOURCE, given_at=ending.at)
    _close_requests(conn, who, topics, ending.at, now)
    if ending.reason is SuppressionReason.ERASED:
        return erasure.erase(conn, who, evidence, now) is not None
    ended = consent.withdraw(conn, who, topics, evidence, now)
    # What stood as withdrawn may have been let off the list: a file of people could bring it back.
    listed = [Entry(ending.address_hash, topic, ending.reason, SOURCE) for topic in topics]
    suppression.enter(conn, listed, ending.at)
    return bool(ended)


def _came_back(confirmed: _Confirmed, who: int, topic: Topic, left_at: datetime) -> bool:
    at = confirmed.get((who, topic))
    return at is not None and at > left_at


def _confirmed(conn: Connection, ids: Sequence[int]) -> _Confirmed:
    """Give when these people last pressed the button of a double opt-in, by person and topic."""
    c = consent_event.c
    rows = conn.execute(
        select(c.subscriber_id, c.topic, func.max(c.at).label("at"))
        .where(among(conn, c.subscriber_id, ids), c.kind == ConsentKind.CONFIRMED, c.topic.is_not(None))
        .group_by(c.subscriber_id, c.topic)
    )
    return {(row.subscriber_id, Topic(row.topic)): row.at for row in rows}


def _close_requests(conn: Connection, who: int, topics: Sequence[Topic], left_at: datetime, now: datetime) -> None:
    """Let the links of what they had asked for before lead nowhere: its button may have been pressed since, and no mail
    may ask somebody who has left.
    """
    r = opt_in_request.c
    is_open = (r.subscriber_id == who) & (r.requested_at <= left_at) & r.used_at.is_(None) & r.erased_at.is_(None)
    found = conn.execute(select(r.id, r.topics).where(is_open).limit(1000))
    ids = [row.id for row in found if not row.topics or set(row.topics) & set(topics)]
    if ids:
        profiles.erase_requests(conn, among(conn, r.id, ids), now)


def _list(conn: Connection, endings: Sequence[Ending]) -> int:
    """Put addresses on the never-mail list: of two entries for one scope the graver."""
    entries: dict[tuple[bytes, Topic | None], Ending] = {}
    for ending in endings:
        place = (ending.address_hash, ending.scope)
        standing = entries.get(place)
        if standing is None or standing.reason in LIFTED_BY_OPT_IN:
            entries[place] = ending if standing is None else replace(ending, at=standing.at)
    by_moment: dict[datetime, list[Entry]] = {}
    for e in entries.values():
        by_moment.setdefault(e.at, []).append(Entry(e.address_hash, e.scope, e.reason, SOURCE))
    for at, listed in by_moment.items():
        suppression.enter(conn, listed, at)
    return len(entries)


def _pages(endings: Iterable[Ending | Restricted]) -> Iterator[list[Ending | Restricted]]:
    left = iter(endings)
    while page := list(islice(left, _PAGE)):
        yield page

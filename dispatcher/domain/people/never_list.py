"""The never-mail list to look at: the newest entries first, page by page, with whose they are as far as that is known.

What must stay true: a page costs the same wherever it is, with a million entries too (keyset, never an offset).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Tuple, func, literal, select, tuple_

from dispatcher.db.columns import Utc, one_of_many
from dispatcher.db.tables import subscriber, suppression
from dispatcher.db.terms import SuppressionReason


class Place(NamedTuple):
    """Where an entry stands in the list."""

    at: datetime
    address_hash: bytes
    scope: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: of one reason, or all; older than one of them, or newer, to page by."""

    reason: SuppressionReason | None = None
    before: Place | None = None
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An entry; `subscriber_id` and `address` are its owner's, None where nobody is known, or kept."""

    place: Place
    reason: SuppressionReason
    source: str
    subscriber_id: int | None
    address: str | None


def page(conn: Connection, wanted: Wanted, limit: int) -> list[Line]:
    """Give the newest first, from `before` on downwards; or, with `after`, those just above it.

    Reason by reason, and then merged: by the one index that counts them, too.
    """
    upwards = wanted.after is not None
    reasons = list(SuppressionReason) if wanted.reason is None else [wanted.reason]
    rows = [row for reason in reasons for row in conn.execute(_of_reason(reason, wanted).limit(limit))]
    rows.sort(key=lambda row: (row.at, bytes(row.address_hash), row.scope), reverse=not upwards)
    del rows[limit:]
    owners = _owners(conn, [bytes(row.address_hash) for row in rows])
    lines = [
        Line(
            Place(row.at, bytes(row.address_hash), row.scope),
            SuppressionReason(row.reason),
            row.source,
            *owners.get(bytes(row.address_hash), (None, None)),
        )
        for row in rows
    ]
    return lines[::-1] if upwards else lines


def counts(conn: Connection) -> Mapping[SuppressionReason, int]:
    """Count the entries by reason."""
    n = suppression.c
    rows = conn.execute(select(n.reason, func.count()).group_by(n.reason)).all()
    return {SuppressionReason(reason): int(count) for reason, count in rows}


def _of_reason(reason: SuppressionReason, wanted: Wanted) -> Select[Any]:
    n = suppression.c
    columns = (n.at, n.address_hash, n.scope)
    chosen = select(*columns, n.reason, n.source).where(n.reason == reason)
    if wanted.after is not None:
        chosen = chosen.where(n.at >= wanted.after.at, tuple_(*columns) > _tuple(wanted.after))
        return chosen.order_by(*columns)
    if wanted.before is not None:
        chosen = chosen.where(n.at <= wanted.before.at, tuple_(*columns) < _tuple(wanted.before))
    return chosen.order_by(*(column.desc() for column in columns))


def _tuple(place: Place) -> Tuple:
    return tuple_(literal(place.at, Utc()), literal(place.address_hash), literal(place.scope))


def _owners(conn: Connection, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, str | None]]:
    s = subscriber.c
    if not hashes:
        return {}
    rows = conn.execute(select(s.address_hash, s.id, s.address).where(one_of_many(conn, s.address_hash, set(hashes))))
    return {bytes(row.address_hash): (row.id, row.address) for row in rows}

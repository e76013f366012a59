"""A campaign's figures taken apart, by mailbox provider or by relay.

They come from rows, and each person is in one part: so they add up to what `accounts.status` gives, figure by figure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, and_, func, literal, select

from dispatcher.db.columns import Id, Rows
from dispatcher.db.tables import batch, deferral, delivery, subscriber
from dispatcher.db.terms import BatchState
from dispatcher.domain import folding
from dispatcher.domain.newsletters import tallies
from dispatcher.domain.newsletters.accounts import is_waiting
from dispatcher.domain.newsletters.campaigns import Campaign

NO_RELAY = "none"  # of those whom no relay was asked about: withheld, not composed, not yet tried
FOLDED = "folded"  # rows of long ago, of which only the outcome is known any more
_IDS = Rows("ids", {"id": Id})
_DEFERRED, _REMAINING = "deferred", "remaining"


class By(StrEnum):
    """What a campaign is taken apart by."""

    PROVIDER = "provider"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a campaign that is one provider's or one relay's."""

    name: str
    audience: int
    sent: int
    deferred: int
    failed: int
    unknown: int
    withheld: int
    remaining: int


def shares(conn: Connection, of: Campaign, by: By) -> list[Share]:
    """Take a campaign apart, the largest part first."""
    counts: dict[str, dict[str, int]] = {}
    queries = [_delivered(of, by), _deferred(of, by)]
    for name, outcome, people in (row for query in queries for row in conn.execute(query)):
        _add(counts, name, outcome, people)
    for outcome, people in folding.counts(conn, of.id).items():
        _add(counts, FOLDED, outcome, people)
    for name, people in _remaining(conn, of, by):
        _add(counts, name, _REMAINING, people)
    made = [Share(name, sum(each.values()), **_figures(each)) for name, each in counts.items()]
    return sorted(made, key=lambda share: (-share.audience, share.name))


def _add(counts: dict[str, dict[str, int]], name: str | None, outcome: str, people: int) -> None:
    theirs = counts.setdefault(name or NO_RELAY, {})
    theirs[outcome] = theirs.get(outcome, 0) + people


def _figures(counted: dict[str, int]) -> dict[str, int]:
    return {name: counted.get(name, 0) for name in ("sent", _DEFERRED, "failed", "unknown", "withheld", _REMAINING)}


def _delivered(of: Campaign, by: By) -> Select[Any]:
    name = delivery.c.relay if by is By.RELAY else subscriber.c.provider
    found = select(name, delivery.c.outcome, func.count()).where(delivery.c.campaign_id == of.id)
    if by is By.PROVIDER:
        found = found.join(subscriber, subscriber.c.id == delivery.c.subscriber_id)
    return found.group_by(name, delivery.c.outcome)


def _deferred(of: Campaign, by: By) -> Select[Any]:
    name = deferral.c.relay if by is By.RELAY else subscriber.c.provider
    found = select(name, literal(_DEFERRED), func.count()).where(is_waiting(of.id))
    if by is By.PROVIDER:
        found = found.join(subscriber, subscriber.c.id == deferral.c.subscriber_id)
    return found.group_by(name)


def _remaining(conn: Connection, of: Campaign, by: By) -> Iterable[tuple[str | None, int]]:
    """Count whose turn has not come. Nobody of a batch that was never claimed has a row, so only the others are looked
    into, batch by batch; after a restore all that are not done.
    """
    is_open = batch.c.state != BatchState.DONE
    if not tallies.was_held(conn, of):
        is_open = and_(is_open, batch.c.token > 0)
        for provider, people in tallies.never_claimed_by_provider(conn, of).items():
            yield provider if by is By.PROVIDER else NO_RELAY, people
    pages = conn.execute(select(batch.c.subscriber_ids).where(batch.c.campaign_id == of.id, is_open))
    for (page,) in pages.all():
        yield from _left_of(conn, of, by, page)


def _left_of(conn: Connection, of: Campaign, by: By, page: Sequence[int]) -> Iterable[tuple[str | None, int]]:
    ids = _IDS.table(conn.dialect.name)
    name = subscriber.c.provider if by is By.PROVIDER else literal(NO_RELAY)
    left = (
        select(name.label("name"))
        .select_from(ids)
        .join(subscriber, subscriber.c.id == ids.c.id)
        .outerjoin(delivery, (delivery.c.campaign_id == of.id) & (delivery.c.subscriber_id == ids.c.id))
        .outerjoin(deferral, (deferral.c.campaign_id == of.id) & (deferral.c.subscriber_id == ids.c.id))
        .where(delivery.c.subscriber_id.is_(None), deferral.c.subscriber_id.is_(None))
        .subquery("left_over")
    )
    counted = select(left.c.name, func.count()).group_by(left.c.name)
    for row in conn.execute(counted, _IDS.values(conn.dialect.name, [(i,) for i in page])):
        yield row[0], row[1]

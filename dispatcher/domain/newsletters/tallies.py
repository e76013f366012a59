"""The figures of many campaigns at a glance: what `accounts.status` counts row by row, without a walk through rows.

    served = withheld at the launch + people of batches that are done + those of open batches who have a row
    sent   = served - failed - unknown - withheld, which an index of their own counts

What must stay true: the figures are those of the rows, to the last one. It rests on two promises of batches.py: each of
the people of a batch that is done has a row, and each of one that is deferred has a row or waits for another attempt.
Where that does not help, rows are counted.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from dispatcher.db.columns import Id, Rows, among, length
from dispatcher.db.tables import batch, deferral, delivery, delivery_count
from dispatcher.db.terms import BatchState, CampaignState, Outcome
from dispatcher.domain.newsletters.accounts import IS_MISSED, is_waiting
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.newsletters.on_hold import IN_DOUBT

_FEW = 50_000  # people whose rows are looked up one by one; for more it is faster to count all rows
_REMEMBERED = 10_000  # campaigns
_IDS = Rows("ids", {"id": Id})


@dataclass(frozen=True, slots=True)
class Tally:
    """A campaign in figures, which add up to the audience. Before its launch everything is 0."""

    audience: int = 0
    sent: int = 0
    deferred: int = 0
    failed: int = 0
    unknown: int = 0
    withheld: int = 0
    remaining: int = 0

    @property
    def served(self) -> int:
        """Give how many people are accounted for."""
        return self.audience - self.deferred - self.remaining


class Memory:
    """What is final of campaigns that are over, so that it is counted once: who failed or was withheld stays so. Who is
    unknown is counted anew each time, for an answer may come late.
    """

    def __init__(self) -> None:
        self._final: dict[int, Counter[str]] = {}

    def of(self, ids: Sequence[int]) -> dict[int, Counter[str]]:
        """Give what is known of these."""
        return {campaign_id: self._final[campaign_id] for campaign_id in ids if campaign_id in self._final}

    def keep(self, campaign_id: int, found: Counter[str]) -> None:
        """Remember a campaign that is over."""
        if len(self._final) >= _REMEMBERED:
            self._final.clear()
        self._final[campaign_id] = Counter({word: found[word] for word in (Outcome.FAILED, Outcome.WITHHELD)})


def tally(conn: Connection, of: Campaign) -> Tally:
    """Count one campaign."""
    return tallies(conn, [of])[of.id]


def tallies(conn: Connection, campaigns: Sequence[Campaign], memory: Memory | None = None) -> dict[int, Tally]:
    """Count these campaigns; give their figures by number."""
    ids = [of.id for of in campaigns if of.audience is not None]
    known = memory.of(ids) if memory is not None else {}
    folded, waiting = _folded(conn, ids), _waiting(conn, ids)
    missed = _missed(conn, [campaign_id for campaign_id in ids if campaign_id not in known])
    doubted = _missed(conn, list(known), delivery.c.outcome == Outcome.UNKNOWN)
    counted = {}
    for of in campaigns:
        if of.audience is None:
            counted[of.id] = Tally()
            continue
        past = folded.get(of.id, Counter())
        if of.id in known:
            found = known[of.id] + doubted[of.id] + Counter({Outcome.UNKNOWN.value: past[Outcome.UNKNOWN]})
        else:
            found = missed[of.id] + past
            if memory is not None and of.state is CampaignState.SENT:
                memory.keep(of.id, found)
        served = of.audience if of.state is CampaignState.SENT else _served(conn, of, of.audience, folded.get(of.id))
        counted[of.id] = _tally(of.audience, served, found, waiting[of.id])
    return counted


def never_claimed_by_provider(conn: Connection, of: Campaign) -> dict[str, int]:
    """Count by mailbox provider the people of batches that nobody claimed yet, of whom none has a row."""
    query = select(batch.c.provider, func.sum(length(conn, batch.c.subscriber_ids))).where(
        batch.c.campaign_id == of.id, batch.c.token == 0, batch.c.state != BatchState.DONE
    )
    return {name: int(people) for name, people in conn.execute(query.group_by(batch.c.provider))}


def was_held(conn: Connection, of: Campaign) -> bool:
    """Say whether people of batches that nobody claimed have rows: after a restore only (on_hold.py)."""
    d = delivery.c
    doubted = select(d.subscriber_id).where(
        d.campaign_id == of.id, IS_MISSED, d.outcome == Outcome.UNKNOWN, d.reply == IN_DOUBT
    )
    return bool(conn.execute(select(doubted.exists())).scalar_one())


def _tally(audience: int, served: int, found: Counter[str], waiting: int) -> Tally:
    failed, unknown, withheld = (found[word] for word in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.WITHHELD))
    return Tally(
        audience=audience,
        sent=served - failed - unknown - withheld,
        deferred=waiting,
        failed=failed,
        unknown=unknown,
        withheld=withheld,
        remaining=audience - served - waiting,
    )


def _missed(conn: Connection, ids: Sequence[int], *more: ColumnElement[bool]) -> Mapping[int, Counter[str]]:
    d = delivery.c
    query = (
        select(d.campaign_id, d.outcome, func.count())
        .where(among(conn, d.campaign_id, ids), IS_MISSED, *more)
        .group_by(d.campaign_id, d.outcome)
    )
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for campaign_id, outcome, people in conn.execute(query) if ids else ():
        found[campaign_id][outcome] = people
    return found


def _folded(conn: Connection, ids: Sequence[int]) -> Mapping[int, Counter[str]]:
    c = delivery_count.c
    found: dict[int, Counter[str]] = {}
    for row in conn.execute(select(c.campaign_id, c.outcome, c.people).where(among(conn, c.campaign_id, ids))):
        found.setdefault(row.campaign_id, Counter())[row.outcome] = row.people
    return found


def _waiting(conn: Connection, ids: Sequence[int]) -> Counter[int]:
    f = deferral.c
    settled = select(delivery.c.subscriber_id).where(
        delivery.c.campaign_id == f.campaign_id, delivery.c.subscriber_id == f.subscriber_id
    )
    query = select(f.campaign_id, func.count()).where(among(conn, f.campaign_id, ids), ~settled.exists())
    return Counter(dict(conn.execute(query.group_by(f.campaign_id)).all()))


def _served(conn: Connection, of: Campaign, audience: int, folded: Counter[str] | None) -> int:
    """Give how many people of a campaign that is not through have a row."""
    if folded is not None:
        return _rows(conn, of) + folded.total()
    people = _people(conn, of)
    if people["open"] > _FEW or was_held(conn, of):
        return _rows(conn, of)
    withheld = audience - sum(people.values())
    return withheld + people["done"] + people["deferred"] - _waiting_in_deferred(conn, of) + _rows_in_open(conn, of)


def _people(conn: Connection, of: Campaign) -> Counter[str]:
    """Count the people of batches that are done, deferred, open, or were never claimed: nobody of those has a row."""
    kind = case(
        (batch.c.state.in_([BatchState.DONE, BatchState.DEFERRED]), batch.c.state),
        (batch.c.token == 0, "never"),
        else_="open",
    ).label("kind")
    query = select(kind, func.sum(length(conn, batch.c.subscriber_ids))).where(batch.c.campaign_id == of.id)
    return Counter({word: int(people) for word, people in conn.execute(query.group_by(kind))})


def _waiting_in_deferred(conn: Connection, of: Campaign) -> int:
    whose = and_(batch.c.campaign_id == deferral.c.campaign_id, batch.c.no == deferral.c.batch_no)
    query = (
        select(func.count())
        .select_from(deferral)
        .join(batch, whose)
        .where(is_waiting(of.id), batch.c.state == BatchState.DEFERRED)
    )
    return int(conn.execute(query).scalar_one())


def _rows_in_open(conn: Connection, of: Campaign) -> int:
    is_open = batch.c.state.not_in([BatchState.DONE, BatchState.DEFERRED])
    pages = select(batch.c.subscriber_ids).where(batch.c.campaign_id == of.id, is_open, batch.c.token > 0)
    people = [(who,) for page in conn.execute(pages).scalars() for who in page]
    ids = _IDS.table(conn.dialect.name)
    served = (
        select(func.count())
        .select_from(delivery)
        .where(delivery.c.campaign_id == of.id, delivery.c.subscriber_id.in_(select(ids.c.id)))
    )
    return int(conn.execute(served, _IDS.values(conn.dialect.name, people)).scalar_one()) if people else 0


def _rows(conn: Connection, of: Campaign) -> int:
    query = select(func.count()).select_from(delivery).where(delivery.c.campaign_id == of.id)
    return int(conn.execute(query).scalar_one())

"""Series: newsletters that come again, each issue a campaign of its own.

    the slot    drafts put into a series wait there; the oldest is the next issue
    its time    comes: the tick (sending/issues.py) releases that draft, or notes that there was none
    before it   an issue may be skipped, the series paused, resumed or ended

What must stay true: an issue comes once, however many ticks see that it is due; what became of each is written down;
and a draft that is not released waits.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update

from dispatcher.db.tables import campaign, series, series_issue
from dispatcher.db.terms import CampaignState, IssueOutcome, SeriesState, Topic
from dispatcher.domain.newsletters import campaigns, releases
from dispatcher.domain.newsletters.recurrence import Recurrence, recurrence
from dispatcher.errors import InputRefused, MoveRefused, NotFound

LATEST = timedelta(hours=6)  # an issue that is later than this does not come any more
_S = SeriesState
_MOVES = {_S.ACTIVE: (_S.PAUSED,), _S.PAUSED: (_S.ACTIVE,), _S.ENDED: (_S.ACTIVE, _S.PAUSED)}
_UNSURE = (
    "held: the database was put back to an earlier state; whether the issue of {at:%Y-%m-%d %H:%M} UTC went out,"
    " you have to know"
)


@dataclass(frozen=True, slots=True)
class Series:
    """A series as stored."""

    id: int
    name: str
    topic: Topic
    subject: str
    every: str
    at: str
    zone: str
    state: SeriesState
    problem: str | None
    next_at: datetime | None
    created_at: datetime

    @property
    def recurrence(self) -> Recurrence:
        """Give its days, time and zone."""
        return recurrence(self.every, self.at, self.zone)


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody wants to come again."""

    name: str
    topic: Topic
    subject: str
    recurrence: Recurrence


@dataclass(frozen=True, slots=True)
class Issue:
    """What became of an issue, or what is to come: then there is no outcome yet, and the draft, if one waits for it."""

    at: datetime
    outcome: IssueOutcome | None
    campaign_id: int | None
    note: str | None


_COLUMNS = [series.c[name] for name in Series.__slots__]


def create(conn: Connection, plan: Plan, now: datetime) -> int:
    """Enter a series; give its id. Raises InputRefused."""
    if not plan.name.strip():
        raise InputRefused("the series has no name", "give it one with --name")
    row = {
        "name": plan.name.strip(),
        "topic": plan.topic,
        "subject": plan.subject,
        "every": plan.recurrence.every,
        "at": f"{plan.recurrence.at:%H:%M}",
        "zone": plan.recurrence.zone,
        "state": SeriesState.ACTIVE,
        "next_at": next(plan.recurrence.after(now)),
        "created_at": now,
    }
    return int(conn.execute(insert(series).returning(series.c.id), row).scalar_one())


def get(conn: Connection, series_id: int) -> Series:
    """Find a series. Raises NotFound."""
    row = conn.execute(select(*_COLUMNS).where(series.c.id == series_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no series {series_id}", "`dispatcher series list` shows those there are")
    return _series(row)


def newest(conn: Connection, limit: int = 50) -> list[Series]:
    """Give the newest series first."""
    return [_series(row) for row in conn.execute(select(*_COLUMNS).order_by(series.c.id.desc()).limit(limit))]


def waiting(conn: Connection, series_id: int, limit: int = 20) -> list[int]:
    """Give the drafts that wait in a series' slot, in the order in which they will be sent."""
    c = campaign.c
    mine = select(c.id).where(c.series_id == series_id, c.state == CampaignState.DRAFT).order_by(c.id).limit(limit)
    return list(conn.execute(mine).scalars())


def past(conn: Connection, series_id: int, limit: int = 10) -> list[Issue]:
    """Give what became of the last issues, the newest first."""
    i = series_issue.c
    rows = conn.execute(
        select(i.at, i.outcome, i.campaign_id, i.note)
        .where(i.series_id == series_id)
        .order_by(i.at.desc())
        .limit(limit)
    )
    return [Issue(row.at, IssueOutcome(row.outcome), row.campaign_id, row.note) for row in rows]


def past_between(conn: Connection, since: datetime, until: datetime, limit: int = 500) -> list[tuple[int, Issue]]:
    """Give what became of issues of this time, each with its series, in order."""
    i = series_issue.c
    query = select(i.series_id, i.at, i.outcome, i.campaign_id, i.note).where(i.at >= since, i.at < until)
    rows = conn.execute(query.order_by(i.at, i.series_id).limit(limit))
    return [(row.series_id, Issue(row.at, IssueOutcome(row.outcome), row.campaign_id, row.note)) for row in rows]


def upcoming(of: Series, drafts: list[int]) -> Iterator[Issue]:
    """Give what is to come, without end, each with the draft that would be sent; nothing, if it is not active."""
    if of.next_at is None:
        return
    moments = itertools.chain([of.next_at], of.recurrence.after(of.next_at))
    for at, draft in itertools.zip_longest(moments, drafts):
        yield Issue(at, None, draft, None)


def put_in(conn: Connection, series_id: int, campaign_id: int) -> None:
    """Put a draft into a series' slot. Raises NotFound, MoveRefused, and InputRefused for one of another topic."""
    of, draft = get(conn, series_id), campaigns.get(conn, campaign_id)
    if of.state is SeriesState.ENDED:
        raise MoveRefused(f"series {series_id} has ended", "create a new one")
    if draft.topic != of.topic or draft.renews is not None:
        raise InputRefused(f"campaign {campaign_id} is not about {of.topic}", f"series {series_id} is; create another")
    c = campaign.c
    put = (
        update(campaign)
        .where(c.id == campaign_id, c.state == CampaignState.DRAFT)
        .values(series_id=series_id, problem=None)
    )
    if conn.execute(put.returning(c.id)).one_or_none() is None:
        raise MoveRefused(f"campaign {campaign_id} is {draft.state}", "only a draft can wait in a series")


def turn_of(conn: Connection, series_id: int, campaign_id: int) -> datetime | None:
    """Give the moment at which a draft would be sent that waits in a series, or is put into it. None: not known yet."""
    drafts = sorted({*waiting(conn, series_id, limit=1000), campaign_id})
    to_come = itertools.islice(upcoming(get(conn, series_id), drafts), len(drafts))
    return next((issue.at for issue in to_come if issue.campaign_id == campaign_id), None)


def skip(conn: Connection, series_id: int) -> tuple[datetime, datetime]:
    """Pass over the next issue; its content waits for the one after. Give the moments of both.

    Raises NotFound, and MoveRefused when the series is not active.
    """
    of = _held(conn, series_id)
    if of.next_at is None:
        raise MoveRefused(f"series {series_id} is {of.state}: no issue is due", "resume it first")
    return of.next_at, note(conn, of, IssueOutcome.SKIPPED)


def move(conn: Connection, series_id: int, to: SeriesState, now: datetime) -> Series:
    """Pause, resume or end a series. Resumed, it goes on with the first issue after now; what was due is not made up.
    Ended, its drafts are free again. Raises NotFound, MoveRefused.
    """
    of = _held(conn, series_id)
    if of.state not in _MOVES[to]:
        raise MoveRefused(f"series {series_id} is {of.state}; it cannot become {to}", "see: dispatcher series list")
    next_at = next(of.recurrence.after(now)) if to is SeriesState.ACTIVE else None
    values = {"state": to, "next_at": next_at, "problem": None}
    conn.execute(update(series).where(series.c.id == series_id).values(**values))
    if to is SeriesState.ENDED:
        for draft in waiting(conn, series_id, limit=1000):
            conn.execute(update(campaign).where(campaign.c.id == draft).values(series_id=None))
            releases.end(conn, draft, "its series has ended", now)
    return get(conn, series_id)


def due(conn: Connection, now: datetime, limit: int = 100) -> list[int]:
    """Give the series whose next issue is due."""
    found = select(series.c.id).where(series.c.next_at <= now).order_by(series.c.next_at).limit(limit)
    return list(conn.execute(found).scalars())


def take_due(conn: Connection, series_id: int, now: datetime) -> Series | None:
    """Hold a series whose issue is due. None: it is not any more, or somebody else sees to it."""
    mine = select(*_COLUMNS).where(series.c.id == series_id, series.c.next_at <= now)
    row = conn.execute(mine.with_for_update(skip_locked=True)).one_or_none()
    return _series(row) if row is not None else None


def next_due(conn: Connection, now: datetime) -> datetime | None:
    """Give the moment when the next issue of any series will be due."""
    at: datetime | None = conn.execute(select(func.min(series.c.next_at)).where(series.c.next_at > now)).scalar_one()
    return at


def note(
    conn: Connection, of: Series, outcome: IssueOutcome, campaign_id: int | None = None, why: str | None = None
) -> datetime:
    """Write down what became of the issue that is due, and wait for the one after it; give its moment."""
    assert of.next_at is not None
    row = {"series_id": of.id, "at": of.next_at, "outcome": outcome, "campaign_id": campaign_id, "note": why}
    conn.execute(insert(series_issue), row)
    next_at = next(of.recurrence.after(of.next_at))
    conn.execute(update(series).where(series.c.id == of.id).values(next_at=next_at))
    return next_at


def hold(conn: Connection, now: datetime) -> list[int]:
    """After a restore: pause each series of which an issue was due since the backup, for it may have gone out."""
    held = []
    for series_id in due(conn, now, limit=1000):
        of = get(conn, series_id)
        assert of.next_at is not None
        values = {"state": SeriesState.PAUSED, "next_at": None, "problem": _UNSURE.format(at=of.next_at)}
        conn.execute(update(series).where(series.c.id == series_id).values(**values))
        held.append(series_id)
    return held


def _held(conn: Connection, series_id: int) -> Series:
    conn.execute(select(series.c.id).where(series.c.id == series_id).with_for_update())
    return get(conn, series_id)


def _series(row: object) -> Series:
    values = {name: getattr(row, name) for name in Series.__slots__}
    values["topic"] = Topic(values["topic"])
    values["state"] = SeriesState(values["state"])
    return Series(**values)

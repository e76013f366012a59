"""How far a look at a campaign is that takes a while: for whoever watches it, from wherever, and comes back to it.

    begin   nobody looks at it now -> a run with the next number; whoever comes second is told
    beat    a sign of life, and how far it is
    end     it is through, or came to no result

What must stay true: one run of a campaign at a time. A run that gave no sign for LOST is over, and has its number to
know it by when it comes back after all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, or_, select, update

from dispatcher.db.columns import insert_or
from dispatcher.db.tables import preflight_run, staff_member

LOST = timedelta(minutes=1)  # a check that asks the network tells nobody anything for half of that at most
_r = preflight_run.c


@dataclass(frozen=True, slots=True)
class Run:
    """A run as stored. `total` 0: it is not known of how much."""

    campaign_id: int
    no: int
    by: str
    started_at: datetime
    seen_at: datetime
    stage: str | None
    done: int
    total: int
    ended_at: datetime | None
    problem: str | None

    def is_going(self, now: datetime) -> bool:
        """Claim that it is under way."""
        return self.ended_at is None and now - self.seen_at <= LOST

    def is_lost(self, now: datetime) -> bool:
        """Claim that it ended without a word: its process is gone."""
        return self.ended_at is None and now - self.seen_at > LOST


def begin(conn: Connection, campaign_id: int, member_id: int, now: datetime) -> int | None:
    """Enter a run; give its number. None: one is under way."""
    fresh = {"started_at": now, "seen_at": now, "stage": None, "done": 0, "total": 0, "member_id": member_id}
    entered = insert_or(conn.dialect.name, preflight_run).values(campaign_id=campaign_id, no=1, **fresh)
    begun = entered.on_conflict_do_update(
        index_elements=[_r.campaign_id],
        set_={**fresh, "no": _r.no + 1, "ended_at": None, "problem": None},
        where=or_(_r.ended_at.is_not(None), _r.seen_at < now - LOST),
    ).returning(_r.no)
    found: int | None = conn.execute(begun).scalar_one_or_none()
    return found


def beat(conn: Connection, campaign_id: int, no: int, at: tuple[str, int, int], now: datetime) -> bool:
    """Say which check is under way, how far and of how much. False: it is another's turn, or over."""
    stage, done, total = at
    return _change(conn, campaign_id, no, stage=stage, done=done, total=total, seen_at=now)


def end(conn: Connection, campaign_id: int, no: int, now: datetime, problem: str | None = None) -> bool:
    """Say that it is through, or why it came to no result. False: it was over already."""
    return _change(conn, campaign_id, no, ended_at=now, seen_at=now, problem=problem)


def find(conn: Connection, campaign_id: int) -> Run | None:
    """Give the last run of a campaign."""
    row = conn.execute(
        select(preflight_run, staff_member.c.name.label("by"))
        .join(staff_member, staff_member.c.id == _r.member_id)
        .where(_r.campaign_id == campaign_id)
    ).one_or_none()
    return Run(**{name: getattr(row, name) for name in Run.__slots__}) if row is not None else None


def _change(conn: Connection, campaign_id: int, no: int, **values: object) -> bool:
    mine = (_r.campaign_id == campaign_id, _r.no == no, _r.ended_at.is_(None))
    changed = conn.execute(update(preflight_run).where(*mine).values(**values).returning(_r.no))
    return changed.one_or_none() is not None

"""What waits for a sender, and which campaigns are through: all of the tick (sweep.py) that a sender itself needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection, Engine, select

from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignKind, CampaignState
from dispatcher.domain.delivery import batches
from dispatcher.domain.newsletters import accounts, campaigns

log = structlog.get_logger()
_MANY = 1000


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many batches wait for a sender, up to 1,000 each."""

    confirmations: int
    newsletters: int


def look(engine: Engine) -> Backlog:
    """Count the batches that wait for a sender."""
    with reading(engine).connect() as conn:
        return count(conn, clock.now(conn))


def count(conn: Connection, now: datetime) -> Backlog:
    """Count the batches that wait for a sender."""
    return Backlog(
        batches.waiting(conn, [CampaignKind.CONFIRMATION], now, _MANY),
        batches.waiting(conn, [CampaignKind.NEWSLETTER], now, _MANY),
    )


def finish(engine: Engine) -> None:
    """Move every campaign to `sent` of which nobody is left to serve."""
    with engine.begin() as conn:
        finish_all(conn, clock.now(conn))


def finish_all(conn: Connection, now: datetime) -> None:
    """Do so in a transaction that is open."""
    alive = select(campaign.c.id).where(campaign.c.state == CampaignState.SENDING).order_by(campaign.c.id).limit(_MANY)
    finish_campaigns(conn, list(conn.execute(alive).scalars()), now)


def finish_campaigns(conn: Connection, ids: Sequence[int], now: datetime) -> list[int]:
    """Move those to `sent` of which nobody is left to serve; give their ids."""
    done = []
    for campaign_id in ids:
        of = campaigns.get(conn, campaign_id)
        is_frozen = of.audience is not None and not of.is_launching
        if is_frozen and accounts.is_complete(conn, of.id, of.audience or 0):
            source = CampaignState.SENDING
            if campaigns.move(conn, of.id, CampaignState.SENT, only_from=source, finished_at=now):
                done.append(of.id)
                log.info("sent", campaign=of.id)
    return done

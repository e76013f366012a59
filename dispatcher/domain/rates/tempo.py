"""How fast a campaign went lately, from its rows: letters by stretches of ten seconds."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, Integer, cast, func, select

from dispatcher.db.tables import delivery
from dispatcher.db.terms import Outcome

STRETCH = 10  # seconds


def stretch_of(at: datetime) -> int:
    """Give the number of the stretch that a moment lies in."""
    return int(at.timestamp()) // STRETCH


def letters(conn: Connection, campaign_id: int, since: datetime) -> Mapping[int, int]:
    """Count by stretch the letters that were answered, or given up, since a moment. It walks through the rows."""
    at = delivery.c.at
    seconds = func.extract("epoch", at) if conn.dialect.name == "postgresql" else func.unixepoch(at)
    stretch = cast(func.floor(seconds / STRETCH), Integer).label("stretch")
    query = (
        select(stretch, func.count())
        .where(delivery.c.campaign_id == campaign_id, delivery.c.outcome != Outcome.WITHHELD, at > since)
        .group_by(stretch)
    )
    return dict(conn.execute(query).all())

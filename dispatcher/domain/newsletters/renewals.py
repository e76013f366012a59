"""Campaigns that ask people to renew their consent: nobody writes them, and they go by themselves."""

from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignKind, CampaignState, Language, Topic, UnknownPolicy
from dispatcher.domain.newsletters.campaigns import EXPIRES_AFTER_DEFAULT
from dispatcher.domain.rates.providers import checked_rate


def create(conn: Connection, topic: Topic, number: int, name: str, rate_per_min: int | None, now: datetime) -> int:
    """Enter the letter that asks people to renew their consent for a topic, due at once; give its id.

    It goes the way of every newsletter: whose fate is unknown gets no second one.
    """
    row = {
        "kind": CampaignKind.NEWSLETTER,
        "topic": topic,
        "name": name,
        "subject": "",
        "default_language": Language.DE,
        "state": CampaignState.SCHEDULED,
        "send_at": now,
        "unknown_policy": UnknownPolicy.HOLD,
        "expires_after_s": EXPIRES_AFTER_DEFAULT,
        "rate_per_min": checked_rate(rate_per_min),
        "renews": number,
        "created_at": now,
    }
    return int(conn.execute(insert(campaign).returning(campaign.c.id), row).scalar_one())


def asking(conn: Connection, topic: Topic, number: int) -> int | None:
    """Give the campaign that asks people to renew this consent now; None: none is under way."""
    c = campaign.c
    is_over = c.state.in_([CampaignState.SENT, CampaignState.CANCELLED])
    found: int | None = conn.execute(
        select(func.min(c.id)).where(c.topic == topic, c.renews == number, ~is_over)
    ).scalar_one()
    return found

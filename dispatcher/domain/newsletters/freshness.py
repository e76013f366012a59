"""Prices that are too old: the campaign is held, says so, and goes on with new ones or on an operator's word.

    sending, its prices_until has come   -> paused, held for stale prices     by the tick, or by a worker at the gate
    held, new content is put in          -> sending                           sending/release.py
    held, an operator says so            -> sending, and its prices age no more

What must stay true: from the moment `prices_until` on no letter passes the gate and no batch is claimed, whether or not
the campaign is marked as held yet.
"""

from datetime import datetime

from sqlalchemy import Connection, select

from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignState, Hold
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.errors import MoveRefused
from dispatcher.zone import ZONE


def hold_stale(conn: Connection, now: datetime) -> list[int]:
    """Pause every campaign that sends and whose prices are too old, with the reason; give their ids."""
    c = campaign.c
    stale = select(c.id).where(c.state == CampaignState.SENDING, c.prices_until <= now).order_by(c.id)
    ids = list(conn.execute(stale.with_for_update()).scalars())
    for campaign_id in ids:
        problem = f"held: {what_is_stale(campaigns.get(conn, campaign_id))}; {cure(campaign_id)}"
        campaigns.move(conn, campaign_id, CampaignState.PAUSED, problem=problem, hold=Hold.STALE_PRICES)
    return ids


def resume(conn: Connection, campaign_id: int, now: datetime, *, with_old_prices: bool = False) -> None:
    """Let a paused campaign go on where it stopped. `with_old_prices`: however old its prices get.

    Raises NotFound, and MoveRefused when it is not paused or its prices are too old.
    """
    of = campaigns.get(conn, campaign_id)
    if of.is_stale(now) and of.state is CampaignState.PAUSED and not with_old_prices:
        raise MoveRefused(f"campaign {campaign_id} cannot go on: {what_is_stale(of)}", cure(campaign_id))
    values = {"prices_until": None, "epoch": campaign.c.epoch + 1} if with_old_prices else {}
    source = CampaignState.PAUSED
    campaigns.require_move(conn, campaign_id, CampaignState.SENDING, only_from=source, problem=None, **values)


def what_is_stale(of: Campaign) -> str:
    """Say which prices are too old, and since when, by the house's clock."""
    assert of.prices_as_of is not None
    assert of.prices_until is not None
    return f"its prices are of {_local(of.prices_as_of)} and were good until {_local(of.prices_until)}"


def cure(campaign_id: int) -> str:
    """Say what lets it go on."""
    return (
        f"`campaigns replace {campaign_id} --content FILE` brings new ones, "
        f"`campaigns resume {campaign_id} --with-old-prices` sends these all the same"
    )


def _local(moment: datetime) -> str:
    return f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M %Z}"

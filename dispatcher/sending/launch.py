"""Launch: a due campaign's audience is frozen into batches, and it begins to send.

Two transactions. The first moves it to `preparing`, so that everyone sees that it has begun. The second freezes the
audience and moves it to `sending`, all or nothing: whoever is killed between or within leaves it to the next tick.
"""

from datetime import datetime

from sqlalchemy import Connection, select

from dispatcher.compose.house import House
from dispatcher.db.tables import campaign, opt_in_request
from dispatcher.db.terms import CampaignKind, CampaignState, Errand, Topic
from dispatcher.domain import endings
from dispatcher.domain.audience import audiences, dealing_out, local_time
from dispatcher.domain.newsletters import campaigns, trials
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.rates import providers
from dispatcher.sending import binding


def due(conn: Connection, now: datetime, limit: int = 100) -> list[int]:
    """Give campaigns whose time has come, or whose launch was cut off; confirmations first."""
    c = campaign.c
    rows = conn.execute(
        select(c.id)
        .where(((c.state == CampaignState.SCHEDULED) & (c.send_at <= now)) | (c.state == CampaignState.PREPARING))
        .order_by(c.priority.desc(), c.send_at)
        .limit(limit)
    )
    return [row.id for row in rows]


def next_due(conn: Connection) -> datetime | None:
    """Give the moment when the next campaign is due."""
    c = campaign.c
    at: datetime | None = conn.execute(
        select(c.send_at).where(c.state == CampaignState.SCHEDULED).order_by(c.send_at).limit(1)
    ).scalar_one_or_none()
    return at


def prepare(conn: Connection, campaign_id: int, now: datetime) -> None:
    """Say that the launch has begun. Harmless when it has, when the campaign was cancelled, or is not yet due."""
    c = campaign.c
    # A wake-up may be old, and the campaign put off since; the lock holds the time still until the move.
    send_at = conn.execute(select(c.send_at).where(c.id == campaign_id).with_for_update()).scalar_one_or_none()
    if send_at is not None and send_at <= now:
        campaigns.move(conn, campaign_id, CampaignState.PREPARING)


def launch(conn: Connection, campaign_id: int, house: House, now: datetime) -> bool:
    """Freeze the audience and begin to send. False: another worker did it, or the campaign was cancelled. Raises
    ReleaseOutdated when it is not what was released.
    """
    # The move first: its row lock makes whoever launches at the same time wait, and then find nothing to do.
    source = CampaignState.PREPARING
    if not campaigns.move(conn, campaign_id, CampaignState.SENDING, only_from=source, launched_at=now, problem=None):
        return False
    of = campaigns.get(conn, campaign_id)
    size = 1
    match of.kind:
        case CampaignKind.NEWSLETTER:
            assert of.topic is not None
            if of.renews is None:
                binding.require_unchanged(conn, of, house)
            endings.note(conn, [endings.Launched(campaign_id, of.topic, now)])
            size = _deal_out(conn, of, of.topic, now)
        case CampaignKind.CONFIRMATION:
            from dispatcher.sending import release  # what freezes letters weighs 5 MB, and most workers only send

            release.freeze_confirmation(conn, of, house)
            r = opt_in_request.c
            asked = conn.execute(select(r.subscriber_id, r.errand, r.other_address).where(r.id == of.request_id)).one()
            elsewhere = asked.other_address if asked.errand in {Errand.TAKE_ADDRESS, Errand.MOVED} else None
            provider = providers.by_domain(elsewhere.rpartition("@")[2]) if elsewhere else None
            dealing_out.freeze_one(conn, campaign_id, asked.subscriber_id, provider)
    campaigns.note_audience(conn, campaign_id, size)
    return True


def _deal_out(conn: Connection, of: Campaign, topic: Topic, now: datetime) -> int:
    variants = campaigns.count_editions(conn, of)
    trial = trials.dealt(conn, of.id, variants)
    people = audiences.everyone(topic, of.filter) if of.renews is None else audiences.to_renew(topic, of.renews)
    if trial is not None:
        size = dealing_out.freeze(conn, of.id, people, now, trial)
        trials.begin(conn, of.id, variants, now)
        return size
    dues = local_time.dues(conn, of.wall_time, of.zone or "UTC") if of.wall_time else None
    return dealing_out.freeze(conn, of.id, people, now, dues)

"""Launch: a due campaign's audience is frozen into batches, and it begins to send.

    prepare    `preparing`, so that everyone sees that it has begun
    launch     `sending`; the first portion of the audience is frozen: its letters can go out
    go_on      the next portion, and again until nobody is left

Each is a transaction, all or nothing: whoever is killed between or within leaves the rest to the next tick. What must
stay true: portions follow each other in order of the people's numbers, and each begins where the one before ended, by
the campaign's own row, which is held; so everybody is in one, whoever freezes them. Who comes to the topic meanwhile is
in the audience if their portion is still to come. A campaign is not `sent` before the last one.
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
    """Give campaigns whose time has come, or whose launch was cut off; confirmations first, and first of all those of
    which some letters may be out.
    """
    c = campaign.c
    rows = conn.execute(
        select(c.id)
        .where(((c.state == CampaignState.SCHEDULED) & (c.send_at <= now)) | (c.state == CampaignState.PREPARING))
        .order_by(c.priority.desc(), c.send_at)
        .limit(limit)
    )
    return [*campaigns.launching(conn, limit), *(row.id for row in rows)][:limit]


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
    """Freeze the audience, or the first portion of it, and begin to send. False: another worker did it, or the campaign
    was cancelled. Raises ReleaseOutdated when it is not what was released.
    """
    # The move first: its row lock makes whoever launches at the same time wait, and then find nothing to do.
    source = CampaignState.PREPARING
    if not campaigns.move(conn, campaign_id, CampaignState.SENDING, only_from=source, launched_at=now, problem=None):
        return False
    of = campaigns.get(conn, campaign_id)
    match of.kind:
        case CampaignKind.NEWSLETTER:
            assert of.topic is not None
            if of.renews is None:
                binding.require_unchanged(conn, of, house)
            endings.note(conn, [endings.Launched(campaign_id, of.topic, now)])
            _deal_out(conn, of, of.topic, now)
        case CampaignKind.CONFIRMATION:
            from dispatcher.sending import release  # what freezes letters weighs 5 MB, and most workers only send

            release.freeze_confirmation(conn, of, house)
            r = opt_in_request.c
            asked = conn.execute(select(r.subscriber_id, r.errand, r.other_address).where(r.id == of.request_id)).one()
            elsewhere = asked.other_address if asked.errand in {Errand.TAKE_ADDRESS, Errand.MOVED} else None
            provider = providers.by_domain(elsewhere.rpartition("@")[2]) if elsewhere else None
            dealing_out.freeze_one(conn, campaign_id, asked.subscriber_id, provider)
            campaigns.note_audience(conn, campaign_id, 1)
    return True


def go_on(conn: Connection, campaign_id: int, now: datetime) -> bool:
    """Freeze the next portion of an audience. False: nobody is left, or the campaign was cancelled."""
    of = campaigns.hold_launching(conn, campaign_id)
    if of is None:
        return False
    assert of.topic is not None
    _deal_out(conn, of, of.topic, now)
    return True


def _deal_out(conn: Connection, of: Campaign, topic: Topic, now: datetime) -> None:
    variants = campaigns.count_editions(conn, of)
    trial = trials.dealt(conn, of.id, variants)
    everyone = audiences.everyone(topic, of.filter) if of.renews is None else audiences.to_renew(topic, of.renews)
    if trial is not None:  # equal parts of all of them: they are frozen at once
        campaigns.note_audience(conn, of.id, dealing_out.freeze(conn, of.id, everyone, now, trial))
        trials.begin(conn, of.id, variants, now)
        return
    portion = audiences.portion(conn, topic, of.unfrozen_from)
    dues = local_time.dues(conn, of.wall_time, of.zone or "UTC") if of.wall_time else None
    size = dealing_out.freeze(conn, of.id, audiences.within(everyone, portion), now, dues)
    campaigns.note_audience(conn, of.id, (of.audience or 0) + size, portion.before)

"""A filter as conditions on people (subscription joined with subscriber), and what it has to know of earlier campaigns.

What must stay true: each condition is true or false of everybody and never unknown, so whoever is not taken by `only`
is taken by `without`; but a letter whose fate is in doubt was neither received for sure nor not. Nothing here says that
somebody may be written to.
"""

from collections.abc import Iterable
from datetime import datetime, time
from typing import assert_never

from sqlalchemy import ColumnElement, Connection, and_, not_, or_, select

from dispatcher.db.tables import campaign, consent_event, delivery, delivery_count, subscriber, subscription
from dispatcher.db.terms import CampaignKind, CampaignState, Outcome, SubscriptionState
from dispatcher.domain.audience.filters import Condition, Field, Filter, require_past
from dispatcher.errors import FilterRefused
from dispatcher.zone import ZONE

_UNDER_WAY = (CampaignState.SCHEDULED, CampaignState.PREPARING, CampaignState.SENDING, CampaignState.PAUSED)


def narrows(of: Filter) -> list[ColumnElement[bool]]:
    """Give what has to be true of a person, all of it."""
    wanted = [_is_true(one, (Outcome.SENT,)) for one in of.only]
    return [*wanted, *(not_(_is_true(one, (Outcome.SENT, Outcome.UNKNOWN))) for one in of.without)]


def require_sound(conn: Connection, of: Filter, now: datetime, campaign_id: int | None = None) -> None:
    """Make sure that a filter, of this campaign, can be answered: no day of it is still to come, and each campaign that
    it asks about was sent and is remembered person by person. Raises FilterRefused.
    """
    require_past(of, now)
    c, earlier = campaign.c, of.earlier
    known = {row.id: row for row in conn.execute(select(c.id, c.kind, c.launched_at).where(c.id.in_(earlier)))}
    gone = folded(conn, earlier)
    for number in earlier:
        found = known.get(number)
        if number == campaign_id or found is None or found.kind != CampaignKind.NEWSLETTER:
            raise _refused("no_campaign", f"there is no newsletter {number} before this one")
        if found.launched_at is None:
            raise _refused("not_sent", f"campaign {number} was not sent yet: nobody can have received it")
        if number in gone:
            raise _refused("folded", f"campaign {number} is so old that it is only counted, and names nobody any more")


def folded(conn: Connection, numbers: Iterable[int]) -> list[int]:
    """Give those of these campaigns of which some people's rows became counts: who received them is forgotten."""
    c = delivery_count.c
    found = select(c.campaign_id).where(c.campaign_id.in_(list(numbers))).distinct().order_by(c.campaign_id)
    return list(conn.execute(found).scalars())


def under_way(conn: Connection, numbers: Iterable[int]) -> list[int]:
    """Give those of these campaigns that are still being sent: who receives them is not over."""
    c = campaign.c
    found = select(c.id).where(c.id.in_(list(numbers)), c.state.in_(_UNDER_WAY)).order_by(c.id)
    return list(conn.execute(found).scalars())


def _is_true(of: Condition, outcomes: tuple[Outcome, ...]) -> ColumnElement[bool]:
    s = subscriber.c
    match of.field:
        case Field.LANGUAGE:
            return s.language.in_(of.values)
        case Field.PROVIDER:
            return s.provider.in_(of.values)
        case Field.DOMAIN:
            ends = (s.address.endswith(f"@{domain}", autoescape=True) for domain in of.values)
            return and_(s.address.is_not(None), or_(*ends))
        case Field.NAME:
            return s.name != ""
        case Field.CONSENT:
            e = consent_event.c
            return select(e.id).where(e.id == subscription.c.event_id, e.kind.in_(of.values)).exists()
        case Field.AGREED_SINCE | Field.AGREED_BEFORE:
            begins = datetime.combine(of.day, time(), ZONE)
            since = subscription.c.since
            on_time = since >= begins if of.field is Field.AGREED_SINCE else since < begins
            return and_(subscription.c.state == SubscriptionState.CONFIRMED, on_time)
        case Field.RECEIVED:
            d = delivery.c
            theirs = and_(d.campaign_id.in_(of.numbers), d.subscriber_id == subscription.c.subscriber_id)
            return select(d.outcome).where(theirs, d.outcome.in_(outcomes)).exists()
        case _:
            assert_never(of.field)


def _refused(key: str, what: str) -> FilterRefused:
    cure = "`dispatcher campaigns list` shows them; name one that was sent"
    return FilterRefused(key, Field.RECEIVED, what, cure)

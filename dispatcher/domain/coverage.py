"""Which consent is good under the words that are valid now.

What must stay true: consent for a topic counts only if it rests on words of a number that `renewal` still admits. Who
agreed to older words than those is not written to on that topic until they have renewed their consent; their state in
`subscription` stays what their last event made of it.

The moment is the database's own, within the statement: a renewal holds from its first second on, and no caller can
bring a stale clock. The table holds a handful of rows, and is read once per statement, not once per person.
"""

from collections.abc import Iterable

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from dispatcher.db.clock import this_moment
from dispatcher.db.tables import batch, campaign, declaration, opt_in_request, renewal, subscription
from dispatcher.db.terms import BatchState, CampaignState, SubscriptionState, Topic


def is_covered(topic: Topic, ahead: int = 0) -> ColumnElement[bool]:
    """Give the condition (subscription) that the words of a consent for `topic` are still good; never NULL. With
    `ahead`: that they are, and stay so once the words of that number are valid.
    """
    refused = exists().where(_holds(topic, ahead), ~renewal.c.covers_unknown)
    number = subscription.c.declaration_number
    return case((number.is_(None), ~refused), else_=number >= func.coalesce(oldest_good(topic, ahead), 0))


def oldest_good(topic: Topic, ahead: int = 0) -> ScalarSelect[int]:
    """Give the number of the oldest words that are good for `topic` now, and once those of the number `ahead` are
    valid; NULL: all are.
    """
    return select(func.max(renewal.c.number)).where(_holds(topic, ahead)).scalar_subquery()


def is_to_be_renewed(topic: Topic, number: int) -> ColumnElement[bool]:
    """Give the condition (subscription) that a consent is under older words, or will be once those of `number` are
    valid, and that these would do.
    """
    return and_(
        subscription.c.state == SubscriptionState.CONFIRMED,
        ~is_covered(topic, number),
        literal(number) >= func.coalesce(oldest_good(topic, number), 0),
    )


def was_asked(topic: Topic, number: int, except_by: int | None = None) -> ColumnElement[bool]:
    """Give the condition (subscription) that a person was asked before, or is being asked now: under the words of
    `number`, or about this topic under others that would do as well. Once they are told that they have to renew, a
    version that comes between and changes nothing about that is no reason to ask again.
    """
    r = opt_in_request.c
    would_do = and_(
        r.renews >= func.coalesce(oldest_good(topic, number), number), cast(r.topics, Text).contains(f'"{topic}"')
    )
    asked = exists().where(
        r.subscriber_id == subscription.c.subscriber_id, or_(r.renews == number, would_do), ~never_went_out()
    )
    return asked.where(r.campaign_id != except_by) if except_by is not None else asked


def never_went_out() -> ColumnElement[bool]:
    """Give the condition (opt_in_request) that the mail of a renewal did not go out and never will: its campaign is
    over, and no dot of it may have left for this person. The request says so itself, for deliveries are folded one day.
    """
    r = opt_in_request.c
    is_over = exists().where(
        campaign.c.id == r.campaign_id, campaign.c.state.in_([CampaignState.SENT, CampaignState.CANCELLED])
    )
    may_be_out = exists().where(batch.c.campaign_id == r.campaign_id, batch.c.state == BatchState.LEASED)
    return and_(is_over, r.released_at.is_(None), ~may_be_out)


def older_words() -> ColumnElement[str]:
    """Give the reason (subscription) why a consent that is not covered counts for nothing."""
    d = declaration.c
    named = (
        select(func.min(d.key + "-" + d.version))
        .where(d.number == subscription.c.declaration_number)
        .correlate(subscription)
        .scalar_subquery()
    )
    return (
        literal("consent under older words (") + func.coalesce(named, "not known which") + literal("): to be renewed")
    )


def are_good(conn: Connection, number: int, topics: Iterable[Topic]) -> bool:
    """Say whether consent in the words of this number would count now, for all of these topics."""
    r = renewal.c
    newer = select(r.number).where(r.topic.in_(list(topics)), r.valid_from <= this_moment(), r.number > number)
    return conn.execute(newer.limit(1)).one_or_none() is None


def current_topics(conn: Connection, subscriber_id: int) -> set[Topic]:
    """Give the topics for which a person's consent is current: confirmed, and in words that are still good."""
    s = subscription.c
    good = or_(*(and_(s.topic == topic, is_covered(topic)) for topic in Topic))
    rows = conn.execute(
        select(s.topic).where(s.subscriber_id == subscriber_id, s.state == SubscriptionState.CONFIRMED, good)
    )
    return {Topic(row.topic) for row in rows}


def _holds(topic: Topic, ahead: int = 0) -> ColumnElement[bool]:
    is_valid = renewal.c.valid_from <= this_moment()
    return and_(renewal.c.topic == topic, or_(is_valid, renewal.c.number <= ahead) if ahead else is_valid)

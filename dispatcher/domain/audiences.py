"""Whom a campaign goes to, as one SELECT.

The audience is everyone who has ever asked for the topic. It falls in two when it is frozen: those who may be written
to now, paged into batches, and those withheld, each with the reason.
"""

from sqlalchemy import ColumnElement, Select, case, func, literal, select

from dispatcher.db.tables import subscriber, subscription, suppression
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain.consent import is_permitted
from dispatcher.domain.suppression import covers

NEVER_CONFIRMED = "never confirmed the subscription"
WITHDREW = "withdrew the consent"
SUPPRESSED = "suppressed: "  # followed by the reason on the list
ERASED = "erased"
AT_THAT_MOMENT = "no current consent at that moment"  # it came back while we looked for the reason


def asked(topic: Topic) -> Select[tuple[int]]:
    """Give the SELECT of the subscriber ids of everyone who ever asked for the topic, in order of id."""
    return (
        select(subscription.c.subscriber_id).where(subscription.c.topic == topic).order_by(subscription.c.subscriber_id)
    )


def withheld(topic: Topic) -> Select[tuple[int, str]]:
    """Give the SELECT (subscriber_id, reason) of those who ever asked for the topic and may not be written to now."""
    return (
        select(subscription.c.subscriber_id, why_not(topic).label("reason"))
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .where(subscription.c.topic == topic, ~is_permitted(topic))
    )


def why_not(topic: Topic) -> ColumnElement[str]:
    """Give the expression that says why a person (subscription joined with subscriber) is not written to.

    What the person did comes first, then what the list says.
    """
    listed = select(literal(SUPPRESSED) + func.min(suppression.c.reason)).where(covers(topic)).scalar_subquery()
    return case(
        (subscriber.c.address.is_(None), ERASED),
        (subscription.c.state == SubscriptionState.WITHDRAWN, WITHDREW),
        (subscription.c.state == SubscriptionState.PENDING, NEVER_CONFIRMED),
        else_=func.coalesce(listed, AT_THAT_MOMENT),
    )

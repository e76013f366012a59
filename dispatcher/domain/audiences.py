"""Whom a campaign goes to, as one SELECT.

The audience is everyone who has ever asked for the topic. It falls in two when it is frozen: those who may be written
to now, paged into batches by mailbox provider, and those withheld, each with the reason.
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


def everyone(topic: Topic) -> Select[tuple[int, str, str | None]]:
    """Give the SELECT (subscriber_id, provider, reason) of all who ever asked for the topic.

    The reason is why somebody may not be written to now; NULL for those who may.
    """
    return (
        select(
            subscription.c.subscriber_id,
            subscriber.c.provider,
            case((is_permitted(topic), None), else_=why_not(topic)).label("reason"),
        )
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .where(subscription.c.topic == topic)
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

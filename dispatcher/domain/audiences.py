"""Whom a campaign goes to, as one SELECT.

The audience is everyone who has ever asked for the topic. It falls in two when it is frozen: those who may be written
to now, paged into batches by mailbox provider, and those withheld, each with the reason.
"""

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, literal, select

from dispatcher.db.tables import subscriber, subscription, suppression
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain.consent import is_permitted
from dispatcher.domain.suppression import covers

NEVER_CONFIRMED = "never confirmed the subscription"
WITHDREW = "withdrew the consent"
SUPPRESSED = "suppressed: "  # followed by the reason on the list
ERASED = "erased"
PAUSED = "paused until "  # followed by the day on which letters go again
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

    What the person did comes first, then what the list says; a pause comes last, for it ends by itself.
    """
    listed = select(literal(SUPPRESSED) + func.min(suppression.c.reason)).where(covers(topic)).scalar_subquery()
    paused = literal(PAUSED) + cast(subscriber.c.paused_until, Text)
    return case(
        (subscriber.c.erased_at.is_not(None), ERASED),
        (subscription.c.state == SubscriptionState.WITHDRAWN, WITHDREW),  # who left everything has no address any more
        (subscriber.c.address.is_(None), ERASED),
        (subscription.c.state == SubscriptionState.PENDING, NEVER_CONFIRMED),
        else_=func.coalesce(listed, paused, AT_THAT_MOMENT),
    )

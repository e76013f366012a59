"""Whom a campaign goes to, as one SELECT.

The audience is everyone who has ever asked for the topic, as far as the campaign's filter takes them. When it is
frozen it falls in two: those who may be written to now, paged into batches by mailbox provider, and those withheld,
each with the reason. It is frozen in portions, in order of the people's numbers.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, bindparam, case, cast, func, literal, null, select

from dispatcher.db.tables import subscriber, subscription, suppression
from dispatcher.db.terms import SubscriptionState, Topic
from dispatcher.domain import coverage
from dispatcher.domain.audience.filters import EVERYBODY, Filter
from dispatcher.domain.audience.narrowing import narrows
from dispatcher.domain.consent import is_permitted
from dispatcher.domain.suppression import covers

PORTION = 100_000  # people who are looked at in one transaction: half a second at most, in which SQLite's writer waits
FIRST_PORTION = 10_000  # the letters of the first one are waited for
NEVER_CONFIRMED = "never confirmed the subscription"
WITHDREW = "withdrew the consent"
SUPPRESSED = "suppressed: "  # followed by the reason on the list
ERASED = "erased"
RESTRICTED = "restricted: what is known of the person is only kept (Art. 18 GDPR)"
PAUSED = "paused until "  # followed by the day on which letters go again
ASKED_BEFORE = "was asked before, under the same words"
NOTHING_TO_RENEW = "nothing to renew: the consent is current, or newer words are valid"
AT_THAT_MOMENT = "no current consent at that moment"  # it came back while we looked for the reason


@dataclass(frozen=True, slots=True)
class Portion:
    """The people whose numbers are at least `first` and less than `before`; None: no such limit."""

    first: int | None = None
    before: int | None = None


def portion(conn: Connection, topic: Topic, first: int | None) -> Portion:
    """Give the portion that begins with a person; None: the first one. It is of so many who ever asked for the topic,
    or of all who are left.
    """
    who = subscription.c.subscriber_id
    asked = select(who).where(subscription.c.topic == topic).order_by(who).limit(1)
    next_one = asked.offset(FIRST_PORTION) if first is None else asked.where(who >= first).offset(PORTION)
    return Portion(first, conn.execute(next_one).scalar_one_or_none())


def within(people: Select[Any], of: Portion) -> Select[Any]:
    """Take of an audience those of one portion."""
    # Said of both tables, or PostgreSQL walks through all of one; written out, or in the end it plans without figures.
    for who in (subscription.c.subscriber_id, subscriber.c.id):
        if of.first is not None:
            people = people.where(who >= bindparam("first", of.first, unique=True, literal_execute=True))
        if of.before is not None:
            people = people.where(who < bindparam("before", of.before, unique=True, literal_execute=True))
    return people


def everyone(topic: Topic, filter: Filter = EVERYBODY) -> Select[tuple[int, str, str | None]]:
    """Give the SELECT (subscriber_id, provider, reason) of all who ever asked for the topic, as far as the filter takes
    them.

    The reason is why somebody may not be written to now; NULL for those who may.
    """
    return (
        select(
            subscription.c.subscriber_id,
            subscriber.c.provider,
            case((is_permitted(topic), None), else_=why_not(topic)).label("reason"),
        )
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .where(subscription.c.topic == topic, *narrows(filter))
    )


def counted(conn: Connection, topic: Topic, filter: Filter = EVERYBODY) -> tuple[int, dict[str, int]]:
    """Count who would get a letter about the topic now, and by reason who would not."""
    people = everyone(topic, filter).subquery("people")
    rows = conn.execute(select(people.c.reason, func.count()).group_by(people.c.reason))
    found: dict[str | None, int] = {row.reason: row[1] for row in rows}
    gets = found.pop(None, 0)
    return gets, {reason: count for reason, count in found.items() if reason is not None}


def reached(topic: Topic, filter: Filter = EVERYBODY) -> Select[int]:
    """Give the SELECT (count) of those who would get a letter about the topic now."""
    people = select(subscription.c.subscriber_id).join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
    found = people.where(subscription.c.topic == topic, is_permitted(topic), *narrows(filter))
    return select(func.count()).select_from(found.subquery("reached"))


def beside(topic: Topic, person: int, filter: Filter = EVERYBODY, *, back: bool = False) -> Select[int]:
    """Give the SELECT of the next person, by number, who may be written to about a topic; `back`: of the one before."""
    number = subscription.c.subscriber_id
    permitted = (
        select(number)
        .join(subscriber, subscriber.c.id == number)
        .where(subscription.c.topic == topic, is_permitted(topic), *narrows(filter))
        .limit(1)
    )
    if back:
        return permitted.where(number < person).order_by(number.desc())
    return permitted.where(number > person).order_by(number)


def to_renew(topic: Topic, number: int) -> Select[tuple[int, str, str | None]]:
    """Give the SELECT (subscriber_id, provider, reason) of all whose consent for the topic is under words that are not
    good any more, while those of `number` are. The reason is why somebody may not be asked; NULL for those who may.
    """
    return (
        select(
            subscription.c.subscriber_id,
            subscriber.c.provider,
            case(*_reasons_not_to_ask(topic, number), else_=null()).label("reason"),
        )
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .where(subscription.c.topic == topic, coverage.is_to_be_renewed(topic, number))
    )


def why_not(topic: Topic) -> ColumnElement[str]:
    """Give the expression that says why a person (subscription joined with subscriber) is not written to.

    What the person did comes first, then a restriction, then what the list says, then in which words they agreed; a
    pause comes last, since it ends by itself.
    """
    older = (~coverage.is_covered(topic), coverage.older_words())
    return case(*_plain_reasons(topic), older, _paused(), else_=AT_THAT_MOMENT)


def why_not_asked(topic: Topic, number: int, by: int | None = None) -> ColumnElement[str]:
    """Give the expression that says why a person is not asked to renew, by campaign `by` or at all."""
    return case(*_reasons_not_to_ask(topic, number, by), else_=NOTHING_TO_RENEW)


def _reasons_not_to_ask(
    topic: Topic, number: int, by: int | None = None
) -> list[tuple[ColumnElement[bool], str | ColumnElement[str]]]:
    """All there are, for somebody whose consent is to be renewed."""
    return [*_plain_reasons(topic), (coverage.was_asked(topic, number, except_by=by), ASKED_BEFORE), _paused()]


def _paused() -> tuple[ColumnElement[bool], ColumnElement[str]]:
    day = subscriber.c.paused_until
    return day.is_not(None), literal(PAUSED) + cast(day, Text)


def _plain_reasons(topic: Topic) -> list[tuple[ColumnElement[bool], str | ColumnElement[str]]]:
    listed = select(literal(SUPPRESSED) + func.min(suppression.c.reason)).where(covers(topic)).scalar_subquery()
    return [
        (subscriber.c.erased_at.is_not(None), ERASED),
        (subscription.c.state == SubscriptionState.WITHDRAWN, WITHDREW),  # who left everything has no address any more
        (subscriber.c.address.is_(None), ERASED),
        (subscriber.c.restricted_at.is_not(None), RESTRICTED),
        (subscription.c.state == SubscriptionState.PENDING, NEVER_CONFIRMED),
        (listed.is_not(None), listed),
    ]

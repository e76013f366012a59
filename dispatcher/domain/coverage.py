"""Which consent is good under the words that are valid now.

What must stay true: consent for a topic counts only if it rests on words of a number that `renewal` still admits. Who
agreed to older words than those is not written to on that topic until they have renewed their consent; their state in
`subscription` stays what their last event made of it.

The moment is the database's own, within the statement: a renewal holds from its first second on, and no caller can
bring a stale clock. The table holds a handful of rows, and is read once per statement, not once per person.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
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


@dataclass(frozen=True, slots=True)
class Demands:
    """Which words consent needs at a moment: for many people at once, where a question for each would take too long."""

    oldest: Mapping[Topic, int]
    refusing_unknown: frozenset[Topic]

    def admit(self, topic: Topic, number: int | None) -> bool:
        """Say whether consent in the words of this number (None: not known which) counts."""
        if number is None:
            return topic not in self.refusing_unknown
        return number >= self.oldest.get(topic, 0)

    def renew(self, topic: Topic, stands: int | None, number: int | None) -> bool:
        """Say whether consent in the words `number` renews one in the words `stands`: that one is not good any more,
        and these are newer, and good.
        """
        is_newer = number is not None and number > (stands or 0)
        return is_newer and not self.admit(topic, stands) and self.admit(topic, number)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands with a topic, and in words of which number (None: not known which)."""

    state: SubscriptionState | None = None
    number: int | None = None


NOTHING = Standing()


def words_of(conn: Connection, subscriber_id: int) -> dict[Topic, Standing]:
    """Give where a person stands, topic by topic, and in which words."""
    s = subscription.c
    rows = conn.execute(select(s.topic, s.state, s.declaration_number).where(s.subscriber_id == subscriber_id))
    return {Topic(row.topic): Standing(SubscriptionState(row.state), row.declaration_number) for row in rows}


NO_DEMANDS = Demands({}, frozenset())


def demands(conn: Connection) -> Demands:
    """Look up which words consent needs now."""
    r = renewal.c
    rows = conn.execute(select(r.topic, r.number, r.covers_unknown).where(r.valid_from <= this_moment())).all()
    oldest = {topic: max(row.number for row in rows if row.topic == topic) for topic in {Topic(r.topic) for r in rows}}
    return Demands(oldest, frozenset(Topic(row.topic) for row in rows if not row.covers_unknown))


def are_good(conn: Connection, number: int, topics: Iterable[Topic]) -> bool:
    """Say whether consent in the words of this number would count now, for all of these topics."""
    needed = demands(conn)
    return all(needed.admit(topic, number) for topic in topics)


def current_topics(conn: Connection, subscriber_id: int) -> set[Topic]:
    """Give the topics for which a person's consent is current: confirmed, and in words that are still good."""
    return {Topic(row.topic) for row in conn.execute(_current_topics(), {"of": subscriber_id})}


@lru_cache(maxsize=1)  # to put it together takes four times as long as to run it
def _current_topics() -> Select[tuple[str]]:
    s = subscription.c
    good = or_(*(and_(s.topic == topic, is_covered(topic)) for topic in Topic))
    return select(s.topic).where(s.subscriber_id == bindparam("of"), s.state == SubscriptionState.CONFIRMED, good)


def _holds(topic: Topic, ahead: int = 0) -> ColumnElement[bool]:
    is_valid = renewal.c.valid_from <= this_moment()
    return and_(renewal.c.topic == topic, or_(is_valid, renewal.c.number <= ahead) if ahead else is_valid)

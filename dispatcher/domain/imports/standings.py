"""What we know of the addresses of a chunk, before its rows are judged."""

from collections import defaultdict

from sqlalchemy import Connection, select

from dispatcher.db.columns import one_of_many
from dispatcher.db.tables import subscription, suppression
from dispatcher.db.terms import SubscriptionState, SuppressionReason, Topic
from dispatcher.domain.imports.judging import Standing
from dispatcher.domain.people import restriction, subscribers


def standings(conn: Connection, hashes: list[bytes]) -> dict[bytes, Standing]:
    """Give what we know of those whom we know at all."""
    if not hashes:
        return {}
    t, n = subscription.c, suppression.c
    found: defaultdict[bytes, Standing] = defaultdict(Standing)
    by_id = {}
    for hashed, subscriber_id in subscribers.by_hashes(conn, hashes).items():
        by_id[subscriber_id] = found[hashed] = Standing(subscriber_id)
    for subscriber_id in restriction.among(conn, by_id):
        by_id[subscriber_id].is_restricted = True
    if by_id:  # not joined: of a table that has just grown PostgreSQL knows too little to join well
        who = one_of_many(conn, t.subscriber_id, by_id)
        stands = select(t.subscriber_id, t.topic, t.state, t.since, t.declaration_number).where(who)
        for subscriber_id, topic, state, since, number in conn.execute(stands):
            by_id[subscriber_id].topics[Topic(topic)] = (SubscriptionState(state), since)
            by_id[subscriber_id].numbers[Topic(topic)] = number
    listed = conn.execute(select(n.address_hash, n.scope, n.reason).where(one_of_many(conn, n.address_hash, hashes)))
    for hashed, scope, reason in listed:
        found[bytes(hashed)].forbidden[scope] = SuppressionReason(reason)
    return dict(found)

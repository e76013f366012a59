"""The append-only ledger: who agreed to what, when, in which words, from where.

What must stay true: an event is never changed (its personal fields may go, together and for good), and each is chained
to the one before; `subscription` says what the last event of a person and topic made of it, and is written in the same
transaction. Whoever wants to know whether a letter may go reads `permits_newsletter` or `permits_confirmation`.

    request -> (confirmation mail) -> confirm -> withdraw | object        double opt-in, and its end
    listed -> request ...                                                  imported without evidence
    imported                                                               imported with evidence
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, LargeBinary, Select, and_, any_, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from dispatcher.db.columns import given, one_of_given
from dispatcher.db.tables import consent_event, opt_in_request, subscriber, subscription, suppression
from dispatcher.db.terms import EVERY_TOPIC, ConsentKind, Errand, Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain.coverage import is_covered, is_to_be_renewed
from dispatcher.domain.programs import outbox
from dispatcher.domain.proof import chain, chain_head, consent_rows
from dispatcher.domain.proof.chain_head import Head
from dispatcher.domain.suppression import LIFTED_BY_OPT_IN, Entry, covers, enter, forbids, lift_withdrawals, suppress


class Evidence(NamedTuple):
    """Where and how an event came to us. Every field is proof; none is needed to send."""

    source: str
    ip: str | None = None
    user_agent: str | None = None
    language: Language | None = None
    declaration_id: int | None = None
    declaration_named: str | None = None
    privacy_sha256: bytes | None = None
    request_id: int | None = None
    given_at: datetime | None = None
    mail_template: str | None = None
    mail_sha256: bytes | None = None
    message_id: str | None = None
    relay_reply: str | None = None


class Event(NamedTuple):
    """One thing that happened to one person's consent for one topic, or (None) to the person as a whole."""

    subscriber_id: int
    topic: Topic | None
    kind: ConsentKind
    evidence: Evidence


def append(
    conn: Connection, events: Sequence[Event], now: datetime, taken: Head | None = None, *, are_new: bool = False
) -> list[int]:
    """Write events to the ledger, in order, and what they make of the subscriptions. Give the events' ids.

    Whoever appends holds the end of the chain until the transaction ends: others who append wait for it. `taken`: the
    end, if this transaction holds it already and has appended nothing since. `are_new`: these people were added in this
    transaction, and nothing was said of them yet.
    """
    if not events:
        return []
    end = taken or chain_head.take(conn, now)
    rows = list(chain.rows(end.head, _new(events, end.last_id + 1, now)))
    ids = list(range(end.last_id + 1, end.last_id + 1 + len(events)))
    consent_rows.write(conn, rows, ids[-1], rows[-1][-1])  # type: ignore[arg-type]
    pairs = {(event.topic, event.subscriber_id) for event in events}
    consent_rows.set_standings(conn, ids[0], ids[-1], has_pairs=len(pairs) < len(events), are_new=are_new)
    outbox.note_consent(conn, [(event.subscriber_id, event.topic, event.kind) for event in events], now)
    return ids


def forget_personal(conn: Connection, which: ColumnElement[bool]) -> None:
    """Blank what is personal in these events (a condition on consent_event), and the salt, for good: by which form or
    file, from where, with which program, by which mail. The chain still verifies.

    What happened, when, for which topic and in which words stays. To repeat it is harmless.
    """
    blank = dict(zip(chain.PERSONAL, chain.GONE, strict=True)) | {"salt": None}
    conn.execute(update(consent_event).where(which, consent_event.c.salt.is_not(None)).values(blank))


def withdraw(
    conn: Connection, subscriber_id: int, topics: Iterable[Topic], evidence: Evidence, now: datetime
) -> list[Topic]:
    """End a person's consent for these topics, at once; give those for which it was not ended already.

    The address goes on the never-mail list for them, so that no later import brings it back. To repeat it is harmless.
    """
    return withdraw_each(conn, [Leaving(subscriber_id, tuple(topics), evidence)], now)[0]


class Leaving(NamedTuple):
    """Somebody's word that they want nothing more on these topics."""

    subscriber_id: int
    topics: Sequence[Topic]
    evidence: Evidence


def withdraw_each(conn: Connection, leavings: Sequence[Leaving], now: datetime) -> list[list[Topic]]:
    """Do for dozens, one after the other, what `withdraw` does for one; give what it gives for each."""
    end = chain_head.take(conn, now)  # nobody appends between the look at what stands and what is made of it
    hashes, ended = _ended(conn, {leaving.subscriber_id for leaving in leavings})
    events, entries, given_up = list[Event](), dict[tuple[bytes, Topic], Entry](), list[list[Topic]]()
    for who, topics, evidence in leavings:
        open_topics = [topic for topic in topics if (who, topic) not in ended]
        given_up.append(open_topics)
        ended.update((who, topic) for topic in open_topics)
        events += [Event(who, topic, ConsentKind.WITHDRAWN, evidence) for topic in open_topics]
        # Those that ended by themselves, too: who never confirmed, and now says no, has said it for good.
        for topic in topics:
            entries[hashes[who], topic] = Entry(hashes[who], topic, SuppressionReason.WITHDRAWN, evidence.source)
    append(conn, events, now, end)
    enter(conn, list(entries.values()), now)
    return given_up


def _ended(conn: Connection, who: Collection[int]) -> tuple[dict[int, bytes], set[tuple[int, Topic]]]:
    """Give people's hashes, and which topics have ended for whom."""
    dialect = conn.dialect.name
    rows = conn.execute(_ended_of(dialect), {"who": given(dialect, subscriber.c.id, who)}).all()
    ended = {(row.id, Topic(row.topic)) for row in rows if row.topic is not None}
    return {row.id: bytes(row.address_hash) for row in rows}, ended


@lru_cache(maxsize=2)
def _ended_of(dialect: str) -> Select[tuple[int, bytes, str]]:
    """Give the SELECT of people with each topic that has ended for them; a row without topic, if none has."""
    has_ended = and_(
        subscription.c.subscriber_id == subscriber.c.id, subscription.c.state == SubscriptionState.WITHDRAWN
    )
    return (
        select(subscriber.c.id, subscriber.c.address_hash, subscription.c.topic)
        .outerjoin(subscription, has_ended)
        .where(one_of_given(dialect, subscriber.c.id, "who"))
    )


def object_to(
    conn: Connection, subscriber_id: int, topics: Sequence[Topic], evidence: Evidence, now: datetime
) -> list[Topic]:
    """Note that a person objects to being written to (Art. 21 GDPR) and end what stands of it, at once; give the topics
    that are new. Every topic: the entry on the never-mail list is for everything.

    No double opt-in lifts it, for whoever presses a button need not know of the objection. To repeat it is harmless.
    """
    hashed = conn.execute(select(subscriber.c.address_hash).where(subscriber.c.id == subscriber_id)).scalar_one()
    is_everything = set(topics) == set(Topic)
    noted = select(suppression.c.scope).where(
        suppression.c.address_hash == hashed, suppression.c.reason == SuppressionReason.OBJECTED
    )
    before = set(conn.execute(noted).scalars())
    if before >= ({EVERY_TOPIC} if is_everything else set(topics)) or EVERY_TOPIC in before:
        return []
    append(conn, [Event(subscriber_id, topic, ConsentKind.OBJECTED, evidence) for topic in topics], now)
    for scope in (None,) if is_everything else topics:
        suppress(conn, [hashed], scope, SuppressionReason.OBJECTED, evidence.source, now)
    return list(topics)


def topics_of_letter(conn: Connection, subscriber_id: int, topic: Topic | None, campaign_id: int) -> list[Topic]:
    """Give the topics that the unsubscribe link of a letter ends: its own; with a mail that asked to renew several, all
    of which it spoke; every one there is, if the link names none.
    """
    return topics_of_letters(conn, [Letter(subscriber_id, topic, campaign_id)])[0]


class Letter(NamedTuple):
    """Somebody's letter, by what its unsubscribe link says."""

    subscriber_id: int
    topic: Topic | None
    campaign_id: int


def topics_of_letters(conn: Connection, letters: Sequence[Letter]) -> list[list[Topic]]:
    """Do for dozens what `topics_of_letter` does for one."""
    dialect, spoken_of = conn.dialect.name, dict[tuple[int, int], Sequence[str]]()
    who = {letter.subscriber_id for letter in letters if letter.topic is not None}
    if who:
        rows = conn.execute(_spoken_of(dialect), {"who": given(dialect, opt_in_request.c.subscriber_id, who)})
        spoken_of = {(row.subscriber_id, row.campaign_id): row.topics for row in rows}
    return [
        [each for each in Topic if topic in (None, each) or each in spoken_of.get((who, campaign_id), ())]
        for who, topic, campaign_id in letters
    ]


@lru_cache(maxsize=2)
def _spoken_of(dialect: str) -> Select[tuple[int, int, list[str]]]:
    r = opt_in_request.c
    asked = select(r.subscriber_id, r.campaign_id, r.topics).where(r.renews.is_not(None))
    return asked.where(one_of_given(dialect, r.subscriber_id, "who"))


def confirm(conn: Connection, subscriber_id: int, topics: Sequence[Topic], evidence: Evidence, now: datetime) -> None:
    """Make consent current after the button was pressed. Lifts earlier withdrawals of these topics, no complaint.

    Whoever was erased is back with it.
    """
    was_erased = (subscriber.c.id == subscriber_id) & subscriber.c.erased_at.is_not(None)
    conn.execute(update(subscriber).where(was_erased).values(erased_at=None))
    append(conn, [Event(subscriber_id, topic, ConsentKind.CONFIRMED, evidence) for topic in topics], now)
    hashed = conn.execute(select(subscriber.c.address_hash).where(subscriber.c.id == subscriber_id)).scalar_one()
    lift_withdrawals(conn, hashed, topics)


def permits_newsletter(topic: Topic) -> Select[tuple[int, int]]:
    """Give the SELECT (subscriber_id, event_id) of everyone who may get a newsletter on this topic right now:
    consent for it is current, in words that are still good; there is an address, no pause and no restriction, and
    nothing forbids it.
    """
    return (
        select(subscription.c.subscriber_id, subscription.c.event_id)
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .where(subscription.c.topic == topic, is_permitted(topic))
    )


def is_permitted(topic: Topic) -> ColumnElement[bool]:
    """Give the condition (subscription joined with subscriber) that a newsletter on this topic may go to a person."""
    return and_(_is_wanted(topic), ~select(suppression.c.scope).where(covers(topic)).exists())


def permits_these(topic: Topic, renews: int | None, *theirs: ColumnElement[bool]) -> Select[tuple[int, int]]:
    """Give the same SELECT as `permits_newsletter`, or `permits_renewal` for the words numbered `renews`, of people of
    whom conditions say who they are; PostgreSQL's. Their hashes are looked up in the never-mail list all in one walk:
    one after the other, it took a fifth of the gate's statement.
    """
    wanted = _is_wanted(topic) if renews is None else _may_renew(topic, renews)
    these = (
        select(subscription.c.subscriber_id, subscription.c.event_id, subscriber.c.address_hash)
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .where(subscription.c.topic == topic, wanted, *theirs)
        .cte("these")
    )
    hashes = func.array(select(these.c.address_hash).scalar_subquery(), type_=ARRAY(LargeBinary))
    listed = select(suppression.c.address_hash).where(suppression.c.address_hash == any_(hashes), forbids(topic))
    return select(these.c.subscriber_id, these.c.event_id).where(these.c.address_hash.not_in(listed))


def _is_wanted(topic: Topic) -> ColumnElement[bool]:
    """Whatever else the never-mail list says."""
    return and_(
        subscription.c.state == SubscriptionState.CONFIRMED,
        is_covered(topic),
        subscriber.c.address.is_not(None),
        subscriber.c.paused_until.is_(None),  # whatever the day: the tick ends a pause, nobody asks for the time here
        subscriber.c.restricted_at.is_(None),
    )


def permits_confirmation(request_id: int) -> Select[tuple[int, int]]:
    """Give the SELECT (subscriber_id, event_id) of the person who made this request, while it is open.

    The event is the request itself: it is what allows this one mail; for the notice to a former address, the change of
    which it tells. A withdrawal or an erasure does not forbid it (they asked anew); an objection or a complaint
    does, and a restriction, and so does any entry for the new address that the mail would go to.
    """
    asked = (
        select(func.min(consent_event.c.id))
        .where(
            consent_event.c.subscriber_id == opt_in_request.c.subscriber_id,
            consent_event.c.request_id == opt_in_request.c.id,
        )
        .scalar_subquery()
    )
    changed = (
        select(func.max(consent_event.c.id))
        .where(
            opt_in_request.c.errand == Errand.MOVED,
            consent_event.c.subscriber_id == opt_in_request.c.subscriber_id,
            consent_event.c.kind == ConsentKind.ADDRESS_CHANGED,
        )
        .scalar_subquery()
    )
    # Spelt out: the gate's statement is compiled once, and a list is written out at each execution only.
    forbidden = and_(covers(None), *(suppression.c.reason != reason for reason in sorted(LIFTED_BY_OPT_IN)))
    not_there = (opt_in_request.c.errand == Errand.TAKE_ADDRESS) & (
        suppression.c.address_hash == opt_in_request.c.other_hash
    )
    return (
        select(opt_in_request.c.subscriber_id, func.coalesce(asked, changed).label("event_id"))
        .join(subscriber, subscriber.c.id == opt_in_request.c.subscriber_id)
        .where(
            opt_in_request.c.id == request_id,
            opt_in_request.c.used_at.is_(None),
            opt_in_request.c.erased_at.is_(None),
            subscriber.c.address.is_not(None),
            subscriber.c.restricted_at.is_(None),
            ~select(suppression.c.scope).where(forbidden | not_there).exists(),
        )
    )


def permits_renewal(topic: Topic, number: int) -> Select[tuple[int, int]]:
    """Give the SELECT (subscriber_id, event_id) of everyone who may be asked to renew their consent for this topic in
    the words of this number. The event is the consent under older words: it is what allows this one mail.
    """
    return (
        select(subscription.c.subscriber_id, subscription.c.event_id)
        .join(subscriber, subscriber.c.id == subscription.c.subscriber_id)
        .where(subscription.c.topic == topic, may_be_asked(topic, number))
    )


def may_be_asked(topic: Topic, number: int) -> ColumnElement[bool]:
    """Give the condition (subscription joined with subscriber) that a person may be asked to renew."""
    return and_(_may_renew(topic, number), ~select(suppression.c.scope).where(covers(topic)).exists())


def _may_renew(topic: Topic, number: int) -> ColumnElement[bool]:
    """Whatever else the never-mail list says."""
    return and_(
        is_to_be_renewed(topic, number),
        subscriber.c.address.is_not(None),
        subscriber.c.paused_until.is_(None),
        subscriber.c.restricted_at.is_(None),
    )


def renewable(conn: Connection, subscriber_id: int) -> set[Topic]:
    """Give the topics with a consent that can be renewed: it has not been ended, and nothing forbids to write."""
    s = subscription.c
    free = or_(*(and_(s.topic == topic, ~select(suppression.c.scope).where(covers(topic)).exists()) for topic in Topic))
    rows = conn.execute(
        select(s.topic)
        .join(subscriber, subscriber.c.id == s.subscriber_id)
        .where(s.subscriber_id == subscriber_id, s.state == SubscriptionState.CONFIRMED, free)
    )
    return {Topic(row.topic) for row in rows}


def with_request(evidence: Evidence, request_id: int) -> Evidence:
    """Give the same evidence, tied to a double opt-in."""
    return evidence._replace(request_id=request_id)


def standing(conn: Connection, subscriber_id: int) -> dict[Topic, tuple[SubscriptionState, datetime]]:
    """Give where a person stands with each topic they ever asked for, and since when."""
    rows = conn.execute(
        select(subscription.c.topic, subscription.c.state, subscription.c.since)
        .where(subscription.c.subscriber_id == subscriber_id)
        .limit(len(Topic))
    )
    return {Topic(r.topic): (SubscriptionState(r.state), r.since) for r in rows}


def _new(events: Sequence[Event], first_id: int, now: datetime) -> Iterator[chain.New]:
    """Give events as they are chained, each with a salt."""
    salts = secrets.token_bytes(16 * len(events))
    for place, (who, topic, kind, evidence) in enumerate(events):
        source, ip, agent, language, declared, named, notice, asked, given_at, template, mail, message, reply = evidence
        personal = (source, ip, agent, message, reply)
        number = first_id + place
        sealed = (number, who, topic, kind, now, given_at, language, declared, named, notice, asked, template, mail)
        yield salts[16 * place : 16 * place + 16], personal, sealed

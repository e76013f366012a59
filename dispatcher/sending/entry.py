"""A person entered by an operator: with evidence of consent it counts at once, without it a double opt-in begins.

What must stay true: suppression and withdrawal win, as over every import; only the person can lift a withdrawal; and
no consent takes the place of one in newer words.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from dispatcher.db.terms import EVERY_TOPIC, ConsentKind, SubscriptionState, Topic
from dispatcher.domain import consent, coverage, declarations, suppression
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.consent import Event
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Newcomer
from dispatcher.domain.proof import chain_head
from dispatcher.domain.tokens import Keyring
from dispatcher.sending.opt_in import Request


class Fate(StrEnum):
    """What became of a topic."""

    CONFIRMED = "confirmed"  # consent with evidence, now current
    OLDER = "older"  # consent with evidence, but under words that are not good any more: to be renewed
    UNCHANGED = "unchanged"  # consent was current before
    WITHDRAWN = "withdrawn"  # the person left, and stays away until they confirm anew
    SUPPRESSED = "suppressed"  # on the never-mail list
    RESTRICTED = "restricted"  # what is known of the person is only kept (Art. 18 GDPR)


def enter(
    conn: Connection, keyring: Keyring, wanted: Request, given_at: datetime, now: datetime
) -> Mapping[Topic, Fate]:
    """Enter consent that was given at a moment, by its evidence; say what became of each topic."""
    hashed = address_hash(keyring, wanted.address)
    listed = {entry.scope: entry.reason for entry in suppression.entries(conn, hashed)}
    if EVERY_TOPIC in listed:
        return dict.fromkeys(wanted.topics, Fate.SUPPRESSED)
    chain_head.take(conn, now)  # nobody leaves between the look at what stands and what is made of it
    person = subscribers.by_hash(conn, hashed)
    if person is not None and person.restricted_at is not None:
        return dict.fromkeys(wanted.topics, Fate.RESTRICTED)
    stands = coverage.words_of(conn, person.id) if person is not None else {}
    needed, number = coverage.demands(conn), _number(conn, wanted)
    fates, new = dict[Topic, Fate](), list[Topic]()
    for topic in wanted.topics:
        known = stands.get(topic, coverage.NOTHING)
        if known.state is SubscriptionState.WITHDRAWN or listed.get(topic) == "withdrawn":
            fates[topic] = Fate.WITHDRAWN
        elif topic in listed:
            fates[topic] = Fate.SUPPRESSED
        elif known.state is SubscriptionState.CONFIRMED and not needed.renew(topic, known.number, number):
            fates[topic] = Fate.UNCHANGED if needed.admit(topic, known.number) else Fate.OLDER
        else:
            fates[topic] = Fate.CONFIRMED if needed.admit(topic, number) else Fate.OLDER
            new.append(topic)
    if new:  # whom nothing is taken in of, nobody needs to know
        person = subscribers.ensure(conn, Newcomer(wanted.address, hashed, wanted.name, wanted.language), now)
        evidence = wanted.evidence._replace(given_at=given_at)
        consent.append(conn, [Event(person.id, topic, ConsentKind.IMPORTED, evidence) for topic in new], now)
    return fates


def _number(conn: Connection, wanted: Request) -> int | None:
    declaration_id = wanted.evidence.declaration_id
    return declarations.numbers(conn, [declaration_id])[declaration_id] if declaration_id is not None else None

"""A person entered by an operator: with evidence of consent it counts at once, without it a double opt-in begins.

What must stay true: suppression and withdrawal win, as over every import; only the person can lift a withdrawal.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from dispatcher.db.terms import EVERY_TOPIC, ConsentKind, SubscriptionState, Topic
from dispatcher.domain import chain_head, consent, coverage, subscribers, suppression
from dispatcher.domain.consent import Event
from dispatcher.domain.subscribers import Newcomer
from dispatcher.domain.tokens import Keyring
from dispatcher.sending.opt_in import Request


class Fate(StrEnum):
    """What became of a topic."""

    CONFIRMED = "confirmed"  # consent with evidence, now current
    UNCHANGED = "unchanged"  # consent was current before
    WITHDRAWN = "withdrawn"  # the person left, and stays away until they confirm anew
    SUPPRESSED = "suppressed"  # on the never-mail list


def enter(
    conn: Connection, keyring: Keyring, wanted: Request, given_at: datetime, now: datetime
) -> Mapping[Topic, Fate]:
    """Enter consent that was given at a moment, by its evidence; say what became of each topic."""
    hashed = suppression.address_hash(keyring, wanted.address)
    listed = {entry.scope: entry.reason for entry in suppression.entries(conn, hashed)}
    if EVERY_TOPIC in listed:
        return dict.fromkeys(wanted.topics, Fate.SUPPRESSED)
    person = subscribers.ensure(conn, Newcomer(wanted.address, hashed, wanted.name, wanted.language), now)
    chain_head.take(conn, now)  # nobody leaves between the look at what stands and what is made of it
    stands = {topic: state for topic, (state, _) in consent.standing(conn, person.id).items()}
    current = coverage.current_topics(conn, person.id)
    fates = {}
    for topic in wanted.topics:
        if stands.get(topic) is SubscriptionState.WITHDRAWN or listed.get(topic) == "withdrawn":
            fates[topic] = Fate.WITHDRAWN
        elif topic in listed:
            fates[topic] = Fate.SUPPRESSED
        else:
            fates[topic] = Fate.UNCHANGED if topic in current else Fate.CONFIRMED
    evidence = replace(wanted.evidence, given_at=given_at)
    new = [topic for topic, fate in fates.items() if fate is Fate.CONFIRMED]
    consent.append(conn, [Event(person.id, topic, ConsentKind.IMPORTED, evidence) for topic in new], now)
    return fates

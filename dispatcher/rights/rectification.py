"""A person's data is put right (Art. 16 GDPR): name, language, or a misspelt address.

What must stay true: nobody is written to at an address whose owner has not agreed there. A consent was proven for one
mailbox: somebody who could read its mail pressed the button. An operator who enters another address takes somebody's
word for it, and if that is wrong, in spelling or in intent, letters go to a stranger. So the former address ends at
once, for it is not the person's, and the new one is asked by a double opt-in for what was agreed to at the former.
Only another spelling of the same address (upper and lower case) keeps the consent, for it is the same mailbox.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, update

from dispatcher.db.tables import subscriber
from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import consent, subscribers
from dispatcher.domain.addresses import Address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.subscribers import Subscriber
from dispatcher.domain.suppression import address_hash
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused
from dispatcher.sending import opt_in


@dataclass(frozen=True, slots=True)
class Moved:
    """What a new address led to. `campaign_id` is the mail that asks there; None: only the spelling changed."""

    topics: tuple[Topic, ...]
    campaign_id: int | None


def rename(conn: Connection, person: Subscriber, name: str) -> None:
    """Write another name. Raises InputRefused for one that fits no header line."""
    cleaned = subscribers.clean_name(name)
    conn.execute(update(subscriber).where(subscriber.c.id == person.id).values(name=cleaned))


def readdress(
    conn: Connection, keyring: Keyring, person: Subscriber, new: Address, evidence: Evidence, now: datetime
) -> Moved:
    """Replace a misspelt address; the evidence holds the words that are shown at the new one. Raises InputRefused when
    nobody may be asked there.
    """
    if address_hash(keyring, new) == person.address_hash:
        conn.execute(update(subscriber).where(subscriber.c.id == person.id).values(address=new.mail))
        return Moved((), None)
    stands = consent.standing(conn, person.id)
    topics = tuple(topic for topic, (state, _) in stands.items() if state is not SubscriptionState.WITHDRAWN)
    consent.withdraw(conn, person.id, list(stands), Evidence(evidence.source, language=person.language), now)
    if not topics:
        raise InputRefused(
            "there is no consent that could go over to another address", "let the person sign up with the right one"
        )
    return Moved(topics, _ask(conn, keyring, person, topics, new, evidence, now))


def _ask(  # noqa: PLR0913  (all that one mail is about)
    conn: Connection, keyring: Keyring, person: Subscriber, topics: tuple[Topic, ...], new: Address, evidence: Evidence,
    now: datetime,
) -> int:  # fmt: skip
    """Begin a double opt-in at the new address for what was agreed to at the former."""
    language = Language(person.language)
    mail = opt_in.request(conn, keyring, opt_in.Request(new, person.name, language, topics, evidence), now)
    if mail is None:
        raise InputRefused(
            f"nobody can be asked at {new}: it is on the never-mail list, has these topics already, or was asked twice"
            " within a day",
            f"look: dispatcher subscribers show {new}",
        )
    return mail

"""A person's data is put right (Art. 16 GDPR): name, language, time zone, or a misspelt address.

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
from dispatcher.domain import consent, zones
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import Address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import holding, subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.typed import clean_name
from dispatcher.errors import InputRefused
from dispatcher.sending import opt_in


@dataclass(frozen=True, slots=True)
class Moved:
    """What a new address led to. `campaign_id` is the mail that asks there; None: only the spelling changed."""

    topics: tuple[Topic, ...]
    campaign_id: int | None


def hold(conn: Connection, subscriber_id: int, now: datetime, *, moves: bool) -> None:
    """Hold a person whose data is to be put right. Who moves loses every open link: it was sent to a stranger, perhaps.

    Raises InputRefused for somebody whose address is gone: nothing is written into what was erased; and for one who
    moves while their data is restricted, for the mail that asks at the new address would not go.
    """
    if moves:
        holding.hold(conn, subscriber_id, now)
    held = subscribers.held(conn, subscriber_id)
    if held is None or held.address is None:
        raise _erased()
    if moves and held.restricted_at is not None:
        raise InputRefused(
            "this person's data is restricted (Art. 18 GDPR): the mail that asks at the new address would not go",
            "put the name or the language right; the address after: dispatcher subscribers release",
        )


def rename(conn: Connection, subscriber_id: int, name: str) -> None:
    """Write another name. Raises InputRefused for one that fits no header line."""
    _put(conn, subscriber_id, name=clean_name(name))


def speak(conn: Connection, subscriber_id: int, language: Language) -> None:
    """Write to a person in another language from now on. Raises InputRefused."""
    _put(conn, subscriber_id, language=language)


def locate(conn: Connection, subscriber_id: int, zone: str) -> None:
    """Go by the clocks of another time zone from now on. Raises InputRefused."""
    zones.zone_of(zone)
    _put(conn, subscriber_id, zone=zone)


def readdress(
    conn: Connection, keyring: Keyring, person: Subscriber, new: Address, evidence: Evidence, now: datetime
) -> Moved:
    """Replace a misspelt address; the evidence holds the words that are shown at the new one. Raises InputRefused when
    nobody may be asked there.
    """
    if address_hash(keyring, new) == person.address_hash:
        _put(conn, person.id, address=new.mail)
        return Moved((), None)
    stands = consent.standing(conn, person.id)
    topics = tuple(topic for topic, (state, _) in stands.items() if state is not SubscriptionState.WITHDRAWN)
    if not topics:
        raise InputRefused(
            "there is no consent that could go over to another address", "let the person sign up with the right one"
        )
    mail = _ask(conn, keyring, person, topics, new, evidence, now)  # first: it holds the row of the new address
    consent.withdraw(conn, person.id, list(stands), Evidence(evidence.source, language=person.language), now)
    return Moved(topics, mail)


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


def _put(conn: Connection, subscriber_id: int, **right: str) -> None:
    s = subscriber.c
    put = update(subscriber).where(s.id == subscriber_id, s.address.is_not(None)).values(**right).returning(s.id)
    if conn.execute(put).one_or_none() is None:
        raise _erased()


def _erased() -> InputRefused:
    return InputRefused("this person's address is gone: they were erased, or have left", "let them sign up anew")

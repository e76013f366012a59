"""Mail that comes in: someone wrote to the address in List-Unsubscribe (RFC 2369).

The mail server pipes each message for the bounce domain into `dispatcher intake`. What must stay true: only an address
with our MAC in it has an effect; what the message says, and from whom it seems to come, has none.
"""

import email
import email.policy
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from email.utils import getaddresses

from sqlalchemy import Connection

from dispatcher.domain import consent, tokens
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import subscribers
from dispatcher.domain.tokens import Keyring, Purpose
from dispatcher.errors import TokenInvalid

_HEADERS = ("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To")
_UNSUBSCRIBE = re.compile(r"(u\+[0-9a-f]{38,50})@", re.ASCII | re.IGNORECASE)
_LONGEST_HEAD = 256 * 1024  # bytes; the body does not matter


def take(conn: Connection, keyring: Keyring, message: bytes, recipients: Iterable[str], now: datetime) -> int:
    """Act on one message: `recipients` are the envelope's, if the mail server names them. Give how many people left."""
    left = 0
    for local_part in dict.fromkeys(_local_parts(message, recipients)):
        try:
            link = tokens.read_local_part(keyring, Purpose.UNSUBSCRIBE, local_part)
        except TokenInvalid:
            continue
        person = subscribers.by_public_id(conn, link.public_id)
        if person is None:
            continue
        topics = consent.topics_of_letter(conn, person.id, link.topic, link.campaign_id)
        evidence = Evidence(source="mail to the List-Unsubscribe address")
        left += bool(consent.withdraw(conn, person.id, topics, evidence, now))
    return left


def _local_parts(message: bytes, recipients: Iterable[str]) -> Iterator[str]:
    head = email.message_from_bytes(message[:_LONGEST_HEAD], policy=email.policy.compat32)
    values = [str(value) for name in _HEADERS for value in head.get_all(name, [])]
    for _, address in getaddresses([*values, *recipients]):
        found = _UNSUBSCRIBE.match(address)
        if found is not None:
            yield found[1]

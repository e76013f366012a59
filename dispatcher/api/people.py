"""Which person a request means. An address stands in a body, never in a path."""

from sqlalchemy import Connection

from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import NotFound


def by_id(conn: Connection, public_id: str) -> Subscriber:
    """Find a person by public id. Raises NotFound."""
    person = subscribers.by_public_id(conn, bytes.fromhex(public_id))
    if person is None:
        raise NotFound(f"there is nobody with the id {public_id}", "POST /subscribers/lookup finds people by address")
    return person


def by_address(conn: Connection, keyring: Keyring, address: str) -> Subscriber:
    """Find a person by address. Raises NotFound, AddressInvalid."""
    person = subscribers.by_hash(conn, address_hash(keyring, parse_address(address)))
    if person is None:
        raise NotFound("nobody here has this address", "check the spelling")
    return person

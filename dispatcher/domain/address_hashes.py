"""How addresses are compared: by keyed hashes, which stand wherever somebody is known or is never to be written to.

Nothing here knows the database.
"""

from dispatcher.domain.addresses import Address
from dispatcher.domain.tokens import Keyring


def address_hash(keyring: Keyring, address: Address) -> bytes:
    """Give the 32 bytes under which an address is compared. Not to be guessed without the key (unlike a plain hash)."""
    return keyring.oldest.hmac_sha256(b"address\0" + address.canonical.encode())

"""Signed links and return-paths. What must stay true: a link never expires, survives a change of keys, and says
nothing to anyone but us; a token made for one purpose is refused for every other.

    token = base64url( public id (8) | topic code (1) | campaign (0 to 5) | MAC (10) )

The MAC is HMAC-SHA256 over purpose and payload, cut to 80 bits (RFC 2104, section 5). The key's name is not in it:
every key of the ring is tried, so the header line stays short. In a local part the same bytes stand in lower-case
base32, because some mail servers fold its case.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

from dispatcher.db.terms import TOPIC_CODES, Topic
from dispatcher.errors import TokenInvalid

_MAC = 10
_PUBLIC_ID = 8
_TOPICS = {code: topic for topic, code in TOPIC_CODES.items()}


class Purpose(StrEnum):
    """What a token may be used for; bound into its MAC."""

    UNSUBSCRIBE = "unsubscribe"
    PREFERENCES = "preferences"
    VIEW = "view"
    BOUNCE = "bounce"


_PREFIXES = {Purpose.BOUNCE: "b+", Purpose.UNSUBSCRIBE: "u+"}  # of the local parts that we hand out


@dataclass(frozen=True, slots=True)
class Key:
    """A secret of 32 bytes or more, and the name under which it is set."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id!r})"

    def fingerprint(self) -> bytes:
        """Give 16 bytes that tell this key from another and reveal nothing of it."""
        return hmac.digest(self.secret, b"fingerprint", "sha256")[:16]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The first key signs, all verify. The last is the oldest and hashes addresses: never remove it."""

    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        """Give the key that signs."""
        return self.keys[0]

    @property
    def oldest(self) -> Key:
        """Give the key that hashes addresses; suppressions are good only under it."""
        return self.keys[-1]


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says: whose, about which topic (None: all), from which campaign (0: none)."""

    public_id: bytes
    topic: Topic | None
    campaign_id: int = 0


def sign(keyring: Keyring, purpose: Purpose, link: Link) -> str:
    """Make the token of a link, 26 to 32 characters of base64url."""
    return base64.urlsafe_b64encode(_seal(keyring, purpose, link)).rstrip(b"=").decode()


def verify(keyring: Keyring, purpose: Purpose, token: str) -> Link:
    """Read a token back. Raises TokenInvalid, without saying why, for anything we did not make for this purpose."""
    try:
        sealed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise TokenInvalid("this link is not valid") from None
    if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != token:
        raise TokenInvalid("this link is not valid")  # one token, one spelling
    return _unseal(keyring, purpose, sealed)


def return_path(keyring: Keyring, link: Link, bounce_domain: str) -> str:
    """Make the envelope sender of one letter (VERP): it names the delivery to us, and the address to nobody."""
    return f"{_local_part(keyring, Purpose.BOUNCE, link)}@{bounce_domain}"


def unsubscribe_address(keyring: Keyring, link: Link, bounce_domain: str) -> str:
    """Make the address to which a mail means "unsubscribe" (RFC 2369)."""
    return f"{_local_part(keyring, Purpose.UNSUBSCRIBE, link)}@{bounce_domain}"


def read_local_part(keyring: Keyring, purpose: Purpose, local_part: str) -> Link:
    """Read the local part of such an address back, in any case. Raises TokenInvalid."""
    sealed = local_part.upper().removeprefix(_PREFIXES[purpose].upper())
    try:
        return _unseal(keyring, purpose, base64.b32decode(sealed + "=" * (-len(sealed) % 8)))
    except ValueError:  # not base32, or not even ASCII
        raise TokenInvalid("this address is not ours") from None


def message_id(keyring: Keyring, campaign_id: int, public_id: bytes, domain: str) -> str:
    """Give the Message-ID of a letter, without angle brackets: the same at every attempt, and telling nothing.

    The oldest key makes it, so that a letter tried again after a change of keys keeps its name.
    """
    name = hmac.digest(keyring.oldest.secret, b"message-id\0%d\0%b" % (campaign_id, public_id), "sha256")
    return f"{name[:12].hex()}@{domain}"


def new_public_id() -> bytes:
    """Make the random id under which a person is known outside."""
    return secrets.token_bytes(_PUBLIC_ID)


def opt_in_token(key: Key, nonce: bytes) -> str:
    """Derive the token of a confirmation link, 22 characters, from 16 random bytes and a key.

    The database holds the nonce and the token's hash; without the key neither gives the token.
    """
    return base64.urlsafe_b64encode(hmac.digest(key.secret, b"opt-in\0" + nonce, "sha256")[:16]).rstrip(b"=").decode()


def token_sha256(token: str) -> bytes:
    """Give the hash under which a random token is stored."""
    return hashlib.sha256(token.encode()).digest()


def _local_part(keyring: Keyring, purpose: Purpose, link: Link) -> str:
    return _PREFIXES[purpose] + base64.b32encode(_seal(keyring, purpose, link)).rstrip(b"=").lower().decode()


def _payload(link: Link) -> bytes:
    code = TOPIC_CODES[link.topic] if link.topic else 0
    campaign = link.campaign_id.to_bytes((link.campaign_id.bit_length() + 7) // 8, "big")
    return link.public_id + bytes((code,)) + campaign


def _mac(key: Key, purpose: Purpose, payload: bytes) -> bytes:
    return hmac.digest(key.secret, purpose.encode() + b"\0" + payload, "sha256")[:_MAC]


def _seal(keyring: Keyring, purpose: Purpose, link: Link) -> bytes:
    payload = _payload(link)
    return payload + _mac(keyring.signing, purpose, payload)


def _unseal(keyring: Keyring, purpose: Purpose, sealed: bytes) -> Link:
    payload, mac = sealed[:-_MAC], sealed[-_MAC:]
    good = any(hmac.compare_digest(_mac(key, purpose, payload), mac) for key in keyring.keys)
    if not good or len(payload) <= _PUBLIC_ID:
        raise TokenInvalid("this link is not valid")
    code = payload[_PUBLIC_ID]
    return Link(
        public_id=payload[:_PUBLIC_ID],
        topic=_TOPICS[code] if code else None,
        campaign_id=int.from_bytes(payload[_PUBLIC_ID + 1 :], "big"),
    )

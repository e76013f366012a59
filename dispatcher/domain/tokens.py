"""Signed links and return-paths. What must stay true: a link never expires, survives a change of keys, and says
nothing to anyone but us; a token made for one purpose is refused for every other.

    token = base64url( public id (8) | topic code (1) | campaign (0 to 5) | MAC (10) )

One keyed BLAKE2b (RFC 7693) of the payload gives 64 octets; each purpose has ten of its own among them as its MAC, so
that one hash serves all links of a letter. The key's name is not in the token: every key of the ring is tried, and the
header line stays short. In a local part the same bytes stand in hexadecimal, because some mail servers fold its case.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

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


# Where in the 64 octets of a digest the MAC of each purpose begins; the last 14 name a letter in its Message-ID.
_PLACES = {Purpose.UNSUBSCRIBE: 0, Purpose.PREFERENCES: 10, Purpose.VIEW: 20, Purpose.BOUNCE: 30}
_PREFIXES = {Purpose.BOUNCE: "b+", Purpose.UNSUBSCRIBE: "u+"}  # of the local parts that we hand out


@dataclass(frozen=True, slots=True)
class Key:
    """A secret of 32 bytes or more, and the name under which it is set."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id!r})"

    def hasher(self) -> blake2b:
        """Give the hash of links as it stands behind the key, to be copied."""
        key = self.secret if len(self.secret) <= blake2b.MAX_KEY_SIZE else hashlib.sha512(self.secret).digest()
        return blake2b(key=key, person=b"dispatcher link")

    def digest(self, payload: bytes) -> bytes:
        """Give the 64 octets that only this key makes of a payload."""
        return _digest(self.hasher(), payload)

    def hmac_sha256(self, message: bytes) -> bytes:
        """Give HMAC-SHA256 (RFC 2104) of a message, in half the time that `hmac.digest` takes for a short one."""
        inner, outer = _halves(self.secret)
        inner, outer = inner.copy(), outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

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


# Nobody's public id. A one-click POST for it is answered as every other and ends nothing: so it can be tried out.
DRY_RUN = b"dry run!"


class Link(NamedTuple):
    """What a token says: whose, about which topic (None: all), from which campaign (0: none)."""

    public_id: bytes
    topic: Topic | None
    campaign_id: int = 0


@dataclass(slots=True, init=False)  # its making is written out: a letter makes one (see "Compiled" in ARCHITECTURE.md)
class Tokens:
    """All that a letter to one person bears of ours: three tokens for links, two local parts, a name."""

    unsubscribe: str
    preferences: str
    view: str
    bounce_local_part: str
    unsubscribe_local_part: str
    name: str

    def __init__(self, links: tuple[str, str, str], local_parts: tuple[str, str], name: str) -> None:
        self.unsubscribe, self.preferences, self.view = links
        self.bounce_local_part, self.unsubscribe_local_part = local_parts
        self.name = name


class Signing:
    """What signs all letters of one topic and campaign: the keys at work, and the end of each payload."""

    def __init__(self, keyring: Keyring, topic: Topic | None, campaign_id: int) -> None:
        self._ending = _ending(topic, campaign_id)
        self._hasher = keyring.signing.hasher()
        self._namer = None if keyring.oldest is keyring.signing else keyring.oldest.hasher()
        length = _PUBLIC_ID + len(self._ending) + _MAC
        self._fill = bytes(-length % 3)
        self._spelled = (length * 4 + 2) // 3  # so many characters has a token, without "="
        self._step = (length + len(self._fill)) // 3 * 4

    def tokens(self, public_id: bytes) -> Tokens:
        """Make all tokens of a letter. `name` is the same at every attempt and tells nothing: the oldest key makes it,
        so that a letter tried again after a change of keys keeps its Message-ID.
        """
        payload, fill, step, spelled = public_id + self._ending, self._fill, self._step, self._spelled
        digest = _digest(self._hasher, payload)
        # The places and the spelling, written out: this runs for each letter. Three octets are four characters, so
        # all three are spelled at once, each filled up so that the next begins with a character of its own.
        sealed = payload + digest[:10] + fill + payload + digest[10:20] + fill + payload + digest[20:30]
        links = _base64(sealed).translate(_URL_SAFE).decode()
        whose, macs = payload.hex(), digest.hex()
        return Tokens(
            (links[:spelled], links[step : step + spelled], links[2 * step : 2 * step + spelled]),
            ("b+" + whose + macs[60:80], "u+" + whose + macs[:20]),
            (macs if self._namer is None else _digest(self._namer, payload).hex())[100:],
        )


def for_letter(keyring: Keyring, link: Link) -> Tokens:
    """Make all tokens of one letter; for many of a campaign, keep its Signing."""
    return Signing(keyring, link.topic, link.campaign_id).tokens(link.public_id)


def sign(keyring: Keyring, purpose: Purpose, link: Link) -> str:
    """Make the token of a link, 26 to 32 characters of base64url."""
    return _base64url(_seal(keyring, purpose, link))


def verify(keyring: Keyring, purpose: Purpose, token: str) -> Link:
    """Read a token back. Raises TokenInvalid, without saying why, for anything we did not make for this purpose."""
    try:
        sealed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise TokenInvalid("this link is not valid") from None
    if _base64url(sealed) != token:
        raise TokenInvalid("this link is not valid")  # one token, one spelling
    return _unseal(keyring, purpose, sealed)


def read_local_part(keyring: Keyring, purpose: Purpose, local_part: str) -> Link:
    """Read the local part of such an address back, in any case. Raises TokenInvalid."""
    sealed = local_part.lower().removeprefix(_PREFIXES[purpose])
    try:
        return _unseal(keyring, purpose, binascii.unhexlify(sealed))
    except ValueError:  # not hexadecimal, or not even ASCII
        raise TokenInvalid("this address is not ours") from None


def new_public_ids(count: int) -> list[bytes]:
    """Make the random ids under which so many people are known outside."""
    octets = secrets.token_bytes(_PUBLIC_ID * count)
    return [octets[start : start + _PUBLIC_ID] for start in range(0, len(octets), _PUBLIC_ID)]


def opt_in_token(key: Key, nonce: bytes) -> str:
    """Derive the token of a confirmation link, 22 characters, from 16 random bytes and a key.

    The database holds the nonce and the token's hash; without the key neither gives the token.
    """
    return base64.urlsafe_b64encode(hmac.digest(key.secret, b"opt-in\0" + nonce, "sha256")[:16]).rstrip(b"=").decode()


def token_sha256(token: str) -> bytes:
    """Give the hash under which a random token is stored."""
    return hashlib.sha256(token.encode()).digest()


@lru_cache(maxsize=16)
def _halves(secret: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """Give both hashes of an HMAC as they stand behind the key, to be copied."""
    key = (secret if len(secret) <= 64 else hashlib.sha256(secret).digest()).ljust(64, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))


def _payload(link: Link) -> bytes:
    return link.public_id + _ending(link.topic, link.campaign_id)


def _ending(topic: Topic | None, campaign_id: int) -> bytes:
    code = TOPIC_CODES[topic] if topic else 0
    return bytes((code,)) + campaign_id.to_bytes((campaign_id.bit_length() + 7) // 8, "big")


def _digest(hasher: blake2b, payload: bytes) -> bytes:
    started = hasher.copy()
    started.update(payload)
    return started.digest()


def _mac(key: Key, purpose: Purpose, payload: bytes) -> bytes:
    start = _PLACES[purpose]
    return key.digest(payload)[start : start + _MAC]


def _base64url(sealed: bytes) -> str:
    return binascii.b2a_base64(sealed, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


_base64: Final = binascii.b2a_base64
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


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

"""Secrets that must be read back one day: stored under a key that is not in the database (AES-GCM).

What must stay true: each use has a key of its own, and what was sealed for one thing opens for no other.
"""

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dispatcher.domain.tokens import Key, Keyring

_NONCE = 12


@dataclass(frozen=True, slots=True)
class Vault:
    """Where secrets of one use are kept."""

    use: bytes

    def seal(self, keyring: Keyring, bound_to: str, secret: str) -> str:
        """Encrypt a secret for this thing: `key id:base64`."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + AESGCM(self._key(keyring.signing)).encrypt(nonce, secret.encode(), bound_to.encode())
        return f"{keyring.signing.id}:{base64.b64encode(sealed).decode()}"

    def unseal(self, keyring: Keyring, bound_to: str, sealed: str) -> str | None:
        """Decrypt; None: it was not sealed by us for this thing."""
        key_id, _, text = sealed.partition(":")
        key = next((key for key in keyring.keys if key.id == key_id), None)
        try:
            octets = base64.b64decode(text.encode("ascii"), validate=True)
            if key is None or len(octets) <= _NONCE:
                return None
            return AESGCM(self._key(key)).decrypt(octets[:_NONCE], octets[_NONCE:], bound_to.encode()).decode()
        except (UnicodeEncodeError, binascii.Error, InvalidTag):
            return None

    def _key(self, key: Key) -> bytes:
        return hmac.digest(key.secret, self.use, "sha256")

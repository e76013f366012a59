"""DKIM keys: read from PEM, made anew, and as the DNS record that publishes the public half.

What must stay true: only keys that every verifier takes sign (RFC 8301 3.2, RFC 8463), and no text of a private key
leaves this file but by `make_pem`.
"""

import base64
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import assert_never

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from dispatcher.errors import InputRefused

RSA_BITS = 2048
_LONGEST_RSA = 4096  # verifiers need not take longer ones (RFC 8301 3.2)
_PADDING, _SHA256 = PKCS1v15(), hashes.SHA256()
_STRING = 255  # octets in one string of a TXT record (RFC 1035 3.3)
_ANOTHER = "make one with: dispatcher dkim new SELECTOR -o FILE"

Private = RSAPrivateKey | Ed25519PrivateKey


class Algorithm(StrEnum):
    """How a key signs, in the words of k= in its record (RFC 6376 3.6.1, RFC 8463 4)."""

    RSA = "rsa"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and where its public half stands: SELECTOR._domainkey.DOMAIN."""

    selector: str
    domain: str
    private: Private = field(repr=False)

    @property
    def algorithm(self) -> Algorithm:
        """Say how it signs."""
        return Algorithm.RSA if isinstance(self.private, RSAPrivateKey) else Algorithm.ED25519

    def sign(self, octets: bytes) -> bytes:
        """Sign the SHA-256 of `octets`: a=rsa-sha256 (RFC 6376 3.3.1) or a=ed25519-sha256 (RFC 8463 3)."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(octets, _PADDING, _SHA256)
        return self.private.sign(sha256(octets).digest())

    @property
    def name(self) -> str:
        """Give the name of its record in the DNS."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """Give the text of its record: RSA as SubjectPublicKeyInfo, Ed25519 as 32 bare octets."""
        public = base64.b64encode(_public(self.private)).decode("ascii")
        return f"v=DKIM1; h=sha256; k={self.algorithm}; p={public}"


def read_pem(pem: bytes) -> Private:
    """Read a private key. Raises InputRefused for what is none, is locked, or signs nothing that receivers trust."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise InputRefused("the key is locked with a passphrase", "unlock it: openssl pkey -in FILE -out NEW") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputRefused("holds no private key in PEM", f"name the private key's file, or {_ANOTHER}") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise InputRefused("the key is neither RSA nor Ed25519, and DKIM knows no other", _ANOTHER)
    if not RSA_BITS <= key.key_size <= _LONGEST_RSA:
        what = f"the RSA key has {key.key_size} bits; receivers trust {RSA_BITS} to {_LONGEST_RSA} (RFC 8301)"
        raise InputRefused(what, _ANOTHER)
    return key


def make_pem(algorithm: Algorithm) -> bytes:
    """Make a private key: PKCS#8, PEM, not locked."""
    private: Private
    match algorithm:
        case Algorithm.RSA:
            private = generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        case Algorithm.ED25519:
            private = Ed25519PrivateKey.generate()
        case _:
            assert_never(algorithm)
    form = serialization.PrivateFormat.PKCS8
    return private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def strings(record: str) -> list[str]:
    """Cut a record's text as a TXT record holds it; a reader puts the strings together again."""
    return [record[start : start + _STRING] for start in range(0, len(record), _STRING)]


def _public(private: Private) -> bytes:
    if isinstance(private, RSAPrivateKey):
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return private.public_key().public_bytes(encoding, form)
    return private.public_key().public_bytes_raw()

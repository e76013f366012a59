"""The house's seal: an Ed25519 key of its own that signs what must be proven later, and the check that needs no key.

What must stay true: the key signs nothing else than proofs, so it is neither a DKIM key nor one of the secret keys; it
is made once, for this user's eyes only, and never replaced; the private half never leaves its file. Whether it may be
made at all the caller knows (sending/notary.py): a key that was lost must be missed, not replaced.

One key signs several kinds of proofs. Whoever signs therefore begins the octets with words that say what they are, so
that no signature can be passed off as that of something else.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dispatcher import private_files
from dispatcher.errors import InputRefused, SettingInvalid

NAME = "DISPATCHER_SEAL_KEY"  # the setting
_PEM, _OPEN = serialization.Encoding.PEM, serialization.NoEncryption()
CURE = "make one with: openssl genpkey -algorithm ed25519 -out FILE"


@dataclass(frozen=True, slots=True)
class Seal:
    """The key that signs proofs."""

    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Sign these octets: 64 octets (RFC 8032). The same octets give the same signature."""
        return self._private.sign(data)

    @property
    def public_pem(self) -> str:
        """Give the verifying key: SubjectPublicKeyInfo in PEM (RFC 8410), which OpenSSL reads."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._private.public_key().public_bytes(_PEM, form).decode("ascii")

    @property
    def key_id(self) -> str:
        """Give the short name of the verifying key, to tell keys apart: see `key_id`."""
        return key_id(self.public_pem)


def load(path: Path) -> Seal | None:
    """Give the key in a file; None: there is no such file. Raises SettingInvalid."""
    try:
        return Seal(_read(path.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    except InputRefused as error:
        raise SettingInvalid(NAME, f"{path}: {error.what}", error.cure) from None


def make(path: Path) -> Seal:
    """Make the key, unless somebody makes it at this moment; give the one that is there. Raises SettingInvalid."""
    private = Ed25519PrivateKey.generate().private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _OPEN)
    try:
        private_files.make(path, private)
    except OSError as error:
        raise _unusable(path, error) from None
    made = load(path)
    assert made is not None
    return made


def is_exposed(path: Path) -> bool:
    """Claim that others than its owner can read the key's file. Compose mounts secrets out of a closed folder."""
    return not path.is_relative_to("/run/secrets") and bool(path.stat().st_mode & 0o044)


def verify(public_pem: str, data: bytes, signature: bytes) -> bool:
    """Claim that the holder of this key signed exactly these octets. Raises InputRefused if it is no Ed25519 key."""
    try:
        _public(public_pem).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def key_id(public_pem: str) -> str:
    """Give the first 16 hexadecimal digits of the SHA-256 of a verifying key's 32 octets. Raises InputRefused."""
    return sha256(_public(public_pem).public_bytes_raw()).hexdigest()[:16]


def is_same(public_pem: str, other_pem: str) -> bool:
    """Claim that two verifying keys are one, in all their octets. Raises InputRefused."""
    return _public(public_pem).public_bytes_raw() == _public(other_pem).public_bytes_raw()


@lru_cache(maxsize=16)
def _public(pem: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise InputRefused("holds no public key in PEM", "name what `dispatcher consent public-key` printed") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputRefused("the public key is not Ed25519", "name what `dispatcher consent public-key` printed")
    return key


def _read(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise InputRefused("the key is locked with a passphrase", "unlock it: openssl pkey -in FILE -out NEW") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputRefused("holds no private key in PEM", CURE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputRefused("the key is not Ed25519", CURE)
    return key


def _unusable(path: Path, error: OSError) -> SettingInvalid:
    what = f"{error.filename or path} cannot be used: {error.strerror}"
    return SettingInvalid(NAME, what, "check path and rights; this user must be able to read it")

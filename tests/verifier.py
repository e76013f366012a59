"""Two readers of DKIM signatures that share nothing with what makes them: dkimpy, and RFC 6376 word by word."""

import base64
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256

import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from dispatcher.compose.dkim import Signer
from dispatcher.compose.dkim_key import Algorithm, SigningKey, make_pem, read_pem

DOMAIN = "news.example.de"


@cache
def key(algorithm: Algorithm) -> SigningKey:
    """Give a key of this kind, the same for a whole run."""
    return SigningKey(f"s2026-{algorithm}", DOMAIN, read_pem(make_pem(algorithm)))


@cache
def signer() -> Signer:
    """Give who signs with RSA and Ed25519 side by side."""
    return Signer([key(Algorithm.RSA), key(Algorithm.ED25519)])


def signatures(letter: bytes) -> list[dict[str, str]]:
    """Give the tags of each signature, the first above all others."""
    return [_tags(value) for name, value in _fields(letter) if name == b"DKIM-Signature"]


def verified(letter: bytes, records: Mapping[str, str] | None = None) -> list[bool]:
    """Say of each signature whether dkimpy takes it. `records` stands for the DNS; without it, those of `signer`."""
    dns = records or records_of(*signer().keys)

    def answer(name: bytes, timeout: int = 5) -> bytes:
        return dns[name.decode().removesuffix(".")].encode()

    return [_takes(letter, at, answer) for at in range(len(signatures(letter)))]


def records_of(*keys: SigningKey) -> dict[str, str]:
    """Give the records of keys by name."""
    return {k.name: k.record for k in keys}


def _takes(letter: bytes, at: int, answer) -> bool:
    try:
        return bool(dkim.DKIM(letter).verify(at, dnsfunc=answer))
    except dkim.DKIMException:
        return False


def listed(tags: Mapping[str, str]) -> list[str]:
    """Give the names in a signature's h=, in lower case."""
    return tags["h"].lower().split(":")


def stands(letter: bytes, which: int, public: RSAPublicKey | Ed25519PublicKey) -> bool:
    """Verify a signature step by step as RFC 6376 3.4, 3.7 and 5.4.2 describe it."""
    fields = _fields(letter)
    name, value = [field for field in fields if field[0] == b"DKIM-Signature"][which]
    tags = _tags(value)
    body = _relaxed_body(letter.partition(b"\r\n\r\n")[2])
    if base64.b64encode(sha256(body).digest()).decode() != tags["bh"]:
        return False
    left, signed = list(fields), b""
    for wanted in listed(tags):
        found = [at for at, field in enumerate(left) if field[0].lower() == wanted.encode()]
        if found:
            signed += _relaxed_field(*left.pop(found[-1])) + b"\r\n"
    signed += _relaxed_field(name, re.sub(rb"(;\s*b=)[^;]*", rb"\1", value))
    return _is_by(public, base64.b64decode(tags["b"]), signed)


def public_half(of: SigningKey) -> RSAPublicKey | Ed25519PublicKey:
    """Read the public half out of the record, as a receiver does."""
    octets = base64.b64decode(of.record.rpartition("p=")[2])
    if of.algorithm is Algorithm.ED25519:
        return Ed25519PublicKey.from_public_bytes(octets)
    public = serialization.load_der_public_key(octets)
    assert isinstance(public, RSAPublicKey)
    return public


def _is_by(public: RSAPublicKey | Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        if isinstance(public, RSAPublicKey):
            public.verify(signature, signed, PKCS1v15(), hashes.SHA256())
        else:
            public.verify(signature, sha256(signed).digest())
    except InvalidSignature:
        return False
    return True


def _fields(letter: bytes) -> list[tuple[bytes, bytes]]:
    lines = letter.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            fields[-1] = (fields[-1][0], fields[-1][1] + b"\r\n" + line)
        else:
            name, _, value = line.partition(b":")
            fields.append((name, value))
    return fields


def _relaxed_field(name: bytes, value: bytes) -> bytes:
    unfolded = value.replace(b"\r\n", b"")
    return name.lower() + b":" + re.sub(rb"[ \t]+", b" ", unfolded).strip(b" ")


def _relaxed_body(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def _tags(value: bytes) -> dict[str, str]:
    pairs = (tag.partition("=") for tag in value.decode("ascii").split(";"))
    return {name.strip(): "".join(text.split()) for name, _, text in pairs}

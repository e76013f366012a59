"""DKIM keys: what can sign is read, what no receiver would trust is refused with a cure."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from dispatcher.compose.dkim_key import Algorithm, SigningKey, make_pem, read_pem, strings
from dispatcher.errors import InputRefused
from tests.verifier import key

PKCS8, PKCS1 = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
PEM, OPEN = serialization.Encoding.PEM, serialization.NoEncryption()


def _pem(private: PrivateKeyTypes, form: serialization.PrivateFormat = PKCS8, passphrase: bytes = b"") -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else OPEN
    return private.private_bytes(PEM, form, lock)


def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@pytest.mark.parametrize("form", [PKCS8, PKCS1])
def test_rsa_is_read_in_both_forms(form: serialization.PrivateFormat) -> None:
    private = key(Algorithm.RSA).private
    read = read_pem(_pem(private, form))
    assert isinstance(read, rsa.RSAPrivateKey)
    assert read.private_numbers() == private.private_numbers()


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_that_is_made_can_be_read_and_signs(algorithm: Algorithm) -> None:
    pem = make_pem(algorithm)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    made = SigningKey("s", "example.de", read_pem(pem))
    assert made.algorithm is algorithm
    assert made.sign(b"x") == made.sign(b"x")


def test_rsa_keys_have_as_many_bits_as_the_standard_asks_for() -> None:
    private = read_pem(make_pem(Algorithm.RSA))
    assert isinstance(private, rsa.RSAPrivateKey)
    assert (private.key_size, private.public_key().public_numbers().e) == (2048, 65537)


@pytest.mark.parametrize(
    ("pem", "what"),
    [
        (b"", "holds no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no private key in PEM"),
        (_pem(_rsa(1024)), "the RSA key has 1024 bits"),
        (_pem(Ed25519PrivateKey.generate(), passphrase=b"secret"), "locked with a passphrase"),
        (_pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
        (_pem(ed448.Ed448PrivateKey.generate()), "neither RSA nor Ed25519"),
    ],
    ids=["empty", "rubbish", "short", "locked", "P-256", "Ed448"],
)
def test_what_cannot_sign_is_refused_with_a_cure(pem: bytes, what: str) -> None:
    with pytest.raises(InputRefused, match=what) as caught:
        read_pem(pem)
    assert caught.value.cure


def test_the_public_half_alone_is_refused() -> None:
    public = key(Algorithm.RSA).private.public_key()
    with pytest.raises(InputRefused, match="holds no private key"):
        read_pem(public.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def test_the_record_of_rsa_has_the_public_half_in_two_strings() -> None:
    made = key(Algorithm.RSA)
    pieces = strings(made.record)
    assert made.name == "s2026-rsa._domainkey.news.example.de"
    assert made.record.startswith("v=DKIM1; h=sha256; k=rsa; p=MII")
    assert [len(piece) for piece in pieces] == [255, len(made.record) - 255]
    assert "".join(pieces) == made.record


def test_the_record_of_ed25519_has_32_bare_octets() -> None:
    record = key(Algorithm.ED25519).record
    assert record.startswith("v=DKIM1; h=sha256; k=ed25519; p=")
    assert len(base64.b64decode(record.partition("p=")[2])) == 32
    assert strings(record) == [record]


def test_the_standards_own_example_key_gives_the_standards_own_record() -> None:
    # RFC 8463 A.2: the private key is the base64 of its 32 octets.
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))
    record = SigningKey("brisbane", "football.example.com", private).record
    assert record.endswith("; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")


def test_no_repr_shows_a_private_key() -> None:
    assert "private" not in repr(key(Algorithm.RSA))
    assert "key" not in repr(key(Algorithm.ED25519)).removeprefix("SigningKey").lower()

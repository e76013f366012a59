"""The seal: made once, for one user alone; what it signed verifies with the public half, and nothing else does."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain import seal
from dispatcher.domain.seal import Seal
from dispatcher.errors import InputRefused, SettingInvalid
from dispatcher.settings import Settings, load

PEM, OPEN = serialization.Encoding.PEM, serialization.NoEncryption()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({}, tmp_path)


def _pem(private: PrivateKeyTypes, passphrase: bytes = b"") -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else OPEN
    return private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, lock)


def test_the_key_is_made_at_first_need_for_this_user_alone_and_stays(settings: Settings) -> None:
    made = seal.load_or_make(settings)
    assert settings.seal_key == settings.var / "seal_key.pem"
    assert stat.S_IMODE(settings.seal_key.stat().st_mode) == 0o600
    assert seal.load_or_make(settings).public_pem == made.public_pem
    assert [path.name for path in settings.var.glob("seal*")] == ["seal_key.pem"]


def test_of_many_who_need_it_at_once_all_get_the_same_key(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: seal.load_or_make(settings).public_pem, range(16)))
    assert len(set(made)) == 1


def test_a_key_of_ones_own_is_taken_from_where_the_setting_says(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    private = Ed25519PrivateKey.generate()
    own.write_bytes(_pem(private))
    settings = load({"DISPATCHER_SEAL_KEY": str(own)}, tmp_path)
    assert seal.load_or_make(settings).public_pem == Seal(private).public_pem


@given(st.binary(max_size=300), st.integers(0, 2400))
def test_what_was_signed_verifies_and_no_other_octets_do(data: bytes, place: int) -> None:
    key = Seal(Ed25519PrivateKey.from_private_bytes(b"1" * 32))
    signature = key.sign(data)
    assert seal.verify(key.public_pem, data, signature)
    altered = bytearray(data or b"\0")
    altered[place // 8 % len(altered)] ^= 1 << place % 8
    assert not seal.verify(key.public_pem, bytes(altered), signature)
    assert not seal.verify(key.public_pem, data, bytes(64))
    assert not seal.verify(Seal(Ed25519PrivateKey.from_private_bytes(b"2" * 32)).public_pem, data, signature)


@pytest.mark.parametrize(
    ("pem", "what"),
    [
        (b"", "holds no private key in PEM"),
        (_pem(Ed25519PrivateKey.generate(), b"secret"), "locked with a passphrase"),
        (_pem(ed448.Ed448PrivateKey.generate()), "the key is not Ed25519"),
    ],
    ids=["empty", "locked", "Ed448"],
)
def test_a_file_that_holds_another_key_is_refused_with_a_cure(settings: Settings, pem: bytes, what: str) -> None:
    settings.seal_key.write_bytes(pem)
    with pytest.raises(SettingInvalid, match=f"DISPATCHER_SEAL_KEY: .*{what}") as caught:
        seal.load_or_make(settings)
    assert caught.value.cure


def test_a_place_where_no_key_can_be_made_is_named(settings: Settings) -> None:
    with pytest.raises(SettingInvalid, match="cannot be used"):
        seal.load_or_make(replace(settings, seal_key=Path("/dev/null/seal.pem")))


def test_what_is_no_verifying_key_is_refused() -> None:
    other = ed448.Ed448PrivateKey.generate().public_key()
    for pem in ("", other.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()):
        with pytest.raises(InputRefused):
            seal.verify(pem, b"", bytes(64))


def test_no_repr_shows_the_private_half(settings: Settings) -> None:
    made = seal.load_or_make(settings)
    assert repr(made) == "Seal()"
    assert len(made.key_id) == 16

"""The seal: made once, for one user alone; what it signed verifies with the public half, and nothing else does."""

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.proof import seal
from dispatcher.domain.proof.seal import Seal
from dispatcher.errors import InputRefused, SettingInvalid

PEM, OPEN = serialization.Encoding.PEM, serialization.NoEncryption()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "seal_key.pem"


def _pem(private: PrivateKeyTypes, passphrase: bytes = b"") -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else OPEN
    return private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, lock)


def test_the_key_is_made_once_for_this_user_alone_and_stays(path: Path) -> None:
    assert seal.load(path) is None
    made = seal.make(path)
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    found = seal.load(path)
    assert found is not None
    assert found.public_pem == made.public_pem == seal.make(path).public_pem
    assert [each.name for each in path.parent.iterdir()] == ["seal_key.pem"]


def test_of_many_who_make_it_at_once_all_get_the_same_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: seal.make(path).public_pem, range(16)))
    assert len(set(made)) == 1


@pytest.mark.parametrize(("mode", "is_exposed"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_key_that_others_can_read_is_said_to_be_exposed(path: Path, mode: int, is_exposed: bool) -> None:
    seal.make(path)
    path.chmod(mode)
    assert seal.is_exposed(path) is is_exposed


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
def test_a_file_that_holds_another_key_is_refused_with_a_cure(path: Path, pem: bytes, what: str) -> None:
    path.parent.mkdir()
    path.write_bytes(pem)
    with pytest.raises(SettingInvalid, match=f"DISPATCHER_SEAL_KEY: .*{what}") as caught:
        seal.load(path)
    assert caught.value.cure


@pytest.mark.parametrize("do", [seal.load, seal.make])
def test_a_place_where_no_key_can_be_is_named(do: Callable[[Path], object]) -> None:
    with pytest.raises(SettingInvalid, match="cannot be used"):
        do(Path("/dev/null/seal.pem"))


def test_what_is_no_verifying_key_is_refused() -> None:
    other = ed448.Ed448PrivateKey.generate().public_key()
    for pem in ("", other.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()):
        with pytest.raises(InputRefused):
            seal.verify(pem, b"", bytes(64))


def test_no_repr_shows_the_private_half(path: Path) -> None:
    made = seal.make(path)
    assert repr(made) == "Seal()"
    assert len(made.key_id) == 16

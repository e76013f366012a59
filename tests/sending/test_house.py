"""Keys and relays, from the settings: a key that was in use never goes missing unnoticed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from dispatcher.compose.dkim_key import Algorithm, make_pem
from dispatcher.db.tables import secret_key
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import SettingInvalid
from dispatcher.sending import house
from dispatcher.settings import Settings, load

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
K1, K2, K3 = (Key(name, name.encode() * 16) for name in ("k1", "k2", "k3"))


def _remember(engine: Engine, *keys: Key) -> None:
    with engine.begin() as conn:
        house.remember_keys(conn, Keyring(keys), NOW)


def test_keys_are_remembered_by_fingerprint_alone(engine: Engine) -> None:
    _remember(engine, K1)
    _remember(engine, K1)
    with engine.begin() as conn:
        row = conn.execute(select(secret_key).where(secret_key.c.id == "k1")).one()
    assert (row.id, row.fingerprint, row.first_seen) == ("k1", K1.fingerprint(), NOW)
    assert K1.secret not in row.fingerprint


def test_new_keys_go_in_front_of_the_old_ones(engine: Engine) -> None:
    _remember(engine, K1)
    _remember(engine, K2, K1)
    _remember(engine, K3, K2, K1)
    with engine.begin() as conn:
        assert set(conn.execute(select(secret_key.c.id)).scalars()) == {"k1", "k2", "k3", "(oldest)"}


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ((K2,), "'k1' that this database was used with is missing"),
        ((K3,), "that this database was used with is missing"),
        ((K2, Key("k1", b"x" * 32)), "'k1' that this database was used with is other"),
        ((K2, K1, K3), "the key 'k3' stands last, where the oldest must stay"),
    ],
)
def test_a_key_that_is_gone_changed_or_appended_is_refused(engine: Engine, keys: tuple[Key, ...], what: str) -> None:
    _remember(engine, K1)
    _remember(engine, K2, K1)
    with pytest.raises(SettingInvalid) as caught:
        _remember(engine, *keys)
    assert caught.value.name == "DISPATCHER_SECRET_KEYS"
    assert what in caught.value.what
    assert caught.value.cure
    _remember(engine, K2, K1)


def test_what_the_house_works_with_follows_from_the_settings(tmp_path: Path) -> None:
    made = load({"DISPATCHER_SENDER": '"Edelmetalle" <news@news.example.de>'}, tmp_path)
    assert [relay.port for relay in house.relays(made)] == [8025]
    assert [key.id for key in house.keyring(made).keys] == ["k1"]
    assert house.stationery(made).sender_domain == "news.example.de"
    named = house.house(made)
    assert (named.sender_name, named.list_id_domain, named.feedback_sender_id) == (
        "Edelmetalle",
        "news.example.de",
        "news-example-de",
    )


def test_a_relay_that_cannot_be_read_is_a_wrong_setting(tmp_path: Path) -> None:
    made = load({"DISPATCHER_SMTP_URL": "smtp://127.0.0.1:8025?tls=never"}, tmp_path)
    with pytest.raises(SettingInvalid) as caught:
        house.relays(made)
    assert caught.value.name == "DISPATCHER_SMTP_URL"


def test_known_keys_in_another_order_are_refused_for_the_oldest_hashes_the_never_mail_list(engine: Engine) -> None:
    _remember(engine, K2, K1)
    _remember(engine, K3, K2, K1)
    with pytest.raises(SettingInvalid, match="stands last"):
        _remember(engine, K3, K1, K2)


def _signing(folder: Path, words: str) -> Settings:
    return load({"DISPATCHER_DKIM": words}, folder)


def test_without_keys_nobody_signs_but_the_relay(tmp_path: Path) -> None:
    assert house.signer(load({}, tmp_path)) is None
    assert house.stationery(load({}, tmp_path)).signer is None


def test_key_files_are_read_once_a_process(tmp_path: Path) -> None:
    for algorithm in Algorithm:
        (tmp_path / algorithm).write_bytes(make_pem(algorithm))
    made = _signing(tmp_path, f"r:news.example.de:{tmp_path}/rsa e:example.de:{tmp_path}/ed25519")
    signer = house.signer(made)
    assert signer is not None
    assert [(key.selector, key.domain, key.algorithm) for key in signer.keys] == [
        ("r", "news.example.de", "rsa"),
        ("e", "example.de", "ed25519"),
    ]
    (tmp_path / "rsa").unlink()
    assert house.stationery(made).signer is signer


@pytest.mark.parametrize(("content", "what"), [(None, "cannot be read: No such file"), (b"x", "holds no private key")])
def test_a_key_file_that_cannot_be_used_is_a_wrong_setting(tmp_path: Path, content: bytes | None, what: str) -> None:
    file = tmp_path / "dkim.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingInvalid) as caught:
        house.stationery(_signing(tmp_path, f"s:news.example.de:{file}"))
    assert caught.value.what.startswith(f"DISPATCHER_DKIM: {file}")
    assert what in caught.value.what
    assert caught.value.cure


def test_whoever_only_shows_letters_needs_no_key(tmp_path: Path) -> None:
    made = _signing(tmp_path, f"s:news.example.de:{tmp_path}/no.pem")
    assert house.stationery(made, signs=False).signer is None

"""Settings: each comes from where it should, and each that is wrong stops the start with its name and a cure."""

import stat
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from dispatcher import settings
from dispatcher.errors import SettingInvalid
from dispatcher.settings import DkimKey, Settings, load

KEY = "ab" * 32
PRODUCTION = {
    "DISPATCHER_DATABASE_URL": "postgresql://dispatcher:geheim-db@db.example.de/dispatcher",
    "DISPATCHER_BROKER_URL": "redis://:geheim-broker@broker.example.de:6379/0",
    "DISPATCHER_SMTP_URL": "smtp://news:geheim-smtp@smtp.example.de:587?tls=starttls&lanes=16",
    "DISPATCHER_PUBLIC_URL": "https://news.example.de",
    "DISPATCHER_SECRET_KEYS": f"k1:{KEY}",
    "DISPATCHER_SENDER": '"Beispiel Edelmetalle" <news@news.example.de>',
    "DISPATCHER_BOUNCE_DOMAIN": "bounce.example.de",
}


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    notice = tmp_path / "impressum.md"
    notice.write_text("Beispiel Edelmetalle GmbH\n", encoding="utf-8")
    return {**PRODUCTION, "DISPATCHER_IMPRESSUM": str(notice)}


def _refused(environ: dict[str, str], folder: Path) -> SettingInvalid:
    with pytest.raises(SettingInvalid) as caught:
        load(environ, folder)
    assert caught.value.cure
    return caught.value


def test_without_any_setting_the_embedded_parts_are_used_and_nothing_leaves_this_machine(tmp_path: Path) -> None:
    made = load({}, tmp_path)
    assert made.embedded == {"database", "broker", "smtp", "pages", "seal"}
    assert made.var == tmp_path / "var"
    assert made.database_url == f"sqlite:///{tmp_path}/var/dispatcher.db"
    assert made.broker_url == f"redis+socket://{tmp_path}/var/valkey.sock"
    assert settings.broker_socket(made) == tmp_path / "var" / "valkey.sock"
    assert [url.partition("&")[0] for url in made.smtp_urls] == ["smtp://127.0.0.1:8025?tls=none"]
    assert made.public_url == "http://127.0.0.1:8080"
    assert "Edelmetalle" in made.impressum


def test_a_whole_production_is_read(production: dict[str, str], tmp_path: Path) -> None:
    environ = {**production, "DISPATCHER_TRUSTED_PROXIES": "10.0.0.5 10.1.0.0/16 ::1", "DISPATCHER_LOG": "json"}
    made = load({**environ, "HOME": "/x", "PATH": "/bin"}, tmp_path)
    assert made.embedded == {"seal"}  # a key of its own, unless it is set
    assert (made.sender_name, made.sender_address) == ("Beispiel Edelmetalle", "news@news.example.de")
    assert made.secret_keys == (("k1", bytes.fromhex(KEY)),)
    assert made.trusted_proxies == tuple(map(ip_network, ["10.0.0.5/32", "10.1.0.0/16", "::1/128"]))
    assert made.impressum == "Beispiel Edelmetalle GmbH"
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    "missing",
    [f"DISPATCHER_{n}" for n in ("SENDER", "BOUNCE_DOMAIN", "IMPRESSUM", "PUBLIC_URL", "SECRET_KEYS")],
)
def test_half_a_production_is_refused(production: dict[str, str], tmp_path: Path, missing: str) -> None:
    del production[missing]
    error = _refused(production, tmp_path)
    assert error.name == missing
    assert "DISPATCHER_SMTP_URL leads out of this machine" in error.what
    assert error.cure.startswith("set it: ")


def test_one_relay_outside_among_those_on_this_machine_makes_it_a_production(tmp_path: Path) -> None:
    environ = {"DISPATCHER_SMTP_URL": "smtp://127.0.0.1:25?tls=none smtps://smtp.example.de"}
    assert _refused(environ, tmp_path).name == "DISPATCHER_SENDER"
    assert load({"DISPATCHER_SMTP_URL": "smtp://[::1]:25?tls=none smtp://localhost?tls=none"}, tmp_path)


def test_domains_are_looked_up_only_when_asked_for(tmp_path: Path) -> None:
    assert load({}, tmp_path).mx_lookup == "off"
    hosts = load({"DISPATCHER_INTERNAL_HOSTS": "Files.example.de [::1]:8080 192.0.2.5"}, tmp_path).internal_hosts
    assert hosts == {"files.example.de", "::1:8080", "192.0.2.5"}
    assert load({"DISPATCHER_SPAM_CHECK": "rspamd://127.0.0.1:11333"}, tmp_path).spam_check.startswith("rspamd:")
    for word in ("on", "192.0.2.53", "127.0.0.1:5353"):
        assert load({"DISPATCHER_MX_LOOKUP": word}, tmp_path).mx_lookup == word


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("SECRET_KEYS", "k1", "a key without an id, or shorter than 32 bytes"),
        ("SECRET_KEYS", KEY, "a key without an id"),
        ("SECRET_KEYS", f":{KEY}", "a key without an id"),
        ("SECRET_KEYS", "k1:abcd", "shorter than 32 bytes"),
        ("SECRET_KEYS", f"k1:{KEY} k2:{'xy' * 32}", "key number 2 is not hexadecimal"),
        ("SECRET_KEYS", f"{KEY}:k1", "key number 1 is not hexadecimal"),
        ("SECRET_KEYS", f"k1:{KEY} k1:{KEY}", "the key 'k1' stands there twice"),
        ("PUBLIC_URL", "http://news.example.de", "one-click unsubscribe needs https (RFC 8058)"),
        ("PUBLIC_URL", "news.example.de", "is no web address"),
        ("PUBLIC_URL", "ftp://news.example.de", "is no web address"),
        ("PUBLIC_URL", "https://", "is no web address"),
        ("PUBLIC_URL", "https://[::1", "is no web address"),
        ("PUBLIC_URL", "https://news.example.de:none", "is no web address"),
        ("PUBLIC_URL", "https://news example.de", "is no web address"),
        ("PUBLIC_URL", "https://news.example.de/?x=1", "is no web address"),
        ("PUBLIC_URL", "https://news.example.de/#x", "is no web address"),
        ("SENDER", "Beispiel Edelmetalle", "is no sender"),
        ("SENDER", "news@localhost", "is no sender"),
        ("SENDER", "@news.example.de", "is no sender"),
        ("SENDER", '"X" <news@news.example.de>\r\nBcc: y@example.de', "is no sender"),
        ("BOUNCE_DOMAIN", "bounce", "is no domain"),
        ("BOUNCE_DOMAIN", "bounce.example.de\nX: y", "is no domain"),
        ("BOUNCE_DOMAIN", "b@bounce.example.de", "is no domain"),
        ("BOUNCE_DOMAIN", "bücher.example.de", "is no domain"),
        ("BOUNCE_DOMAIN", "-bounce.example.de", "is no domain"),
        ("DKIM", "s2026", "'s2026' names no key"),
        ("DKIM", "s2026:/etc/dkim.pem", "names no key"),
        ("DKIM", "s2026:news.example.de:", "names no key"),
        ("DKIM", "s_2026:news.example.de:/etc/dkim.pem", "names no key"),
        ("DKIM", "s2026.:news.example.de:/etc/dkim.pem", "names no key"),
        ("DKIM", "s2026:de:/etc/dkim.pem", "names no key"),
        ("DKIM", "s2026:news.bücher.de:/etc/dkim.pem", "names no key"),
        ("DKIM", "s:news.example.de:/a.pem S:NEWS.example.de:/b.pem", "a selector stands there twice"),
        ("DKIM", "s2026:example.com:/etc/dkim.pem", "DMARC would not count the signature"),
        ("DKIM", "s2026:mail.example.de:/etc/dkim.pem", "neither the domain of news@news.example.de nor above it"),
        ("DKIM", "s2026:ample.de:/etc/dkim.pem", "nor above it"),
        ("DKIM", "s2026:mail.news.example.de:/etc/dkim.pem", "nor above it"),
        ("BROKER_URL", "amqp://broker.example.de", "begins with none of redis://"),
        ("TRUSTED_PROXIES", "10.0.0.300", "10.0.0.300"),
        ("TRUSTED_PROXIES", "10.0.0.5, 10.0.0.6", "10.0.0.5,"),
        ("MX_LOOKUP", "yes", "is no resolver"),
        ("INTERNAL_HOSTS", "files.intern.example.de http://x", "'http://x' is no host"),
        ("INTERNAL_HOSTS", "user@host", "is no host"),
        ("FOUR_EYES", "yes", "'yes' is neither on nor off"),
        ("SPAM_CHECK", "spamd://127.0.0.1", "names no filter"),
        ("SPAM_CHECK", "http://127.0.0.1:783", "names no filter"),
        ("MX_LOOKUP", "192.0.2.53:dns", "is no resolver"),
        ("MX_LOOKUP", "192.0.2.53:70000", "is no resolver"),
        ("LOG", "xml", "'xml' is no format"),
        ("IMPRESSUM", "/nowhere/impressum.md", "/nowhere/impressum.md cannot be read"),
        ("CONFIG", "/nowhere/dispatcher.toml", "cannot be read"),
        ("VAR", "v" * 120, "is too long for a socket"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_a_cure(tmp_path: Path, name: str, value: str, what: str) -> None:
    error = _refused({f"DISPATCHER_{name}": value}, tmp_path)
    assert error.name == f"DISPATCHER_{name}"
    assert what in error.what
    assert error.what.startswith(f"DISPATCHER_{name}: ")


def test_letters_may_be_signed_as_the_senders_domain_and_as_one_above_it(tmp_path: Path) -> None:
    assert load({}, tmp_path).dkim == ()
    words = "s2026:News.Example.de:/etc/dkim:2026.pem a.b:example.de:ed25519.pem"
    assert load({"DISPATCHER_DKIM": words}, tmp_path).dkim == (
        DkimKey("s2026", "news.example.de", Path("/etc/dkim:2026.pem")),
        DkimKey("a.b", "example.de", Path("ed25519.pem")),
    )
    (tmp_path / "words").write_text(words, encoding="utf-8")
    assert len(load({"DISPATCHER_DKIM_FILE": str(tmp_path / "words")}, tmp_path).dkim) == 2


def test_no_error_about_a_secret_repeats_it(production: dict[str, str], tmp_path: Path) -> None:
    for wrong in (KEY, f"{KEY}:k1", f":{KEY}", f"k1:{KEY}xy", f"k1:{KEY[:-1]}"):
        error = _refused({**production, "DISPATCHER_SECRET_KEYS": wrong}, tmp_path)
        assert KEY[:20] not in f"{error.what} {error.cure}"
    error = _refused({"DISPATCHER_BROKER_URL": "amqp://:geheim@broker.example.de"}, tmp_path)
    assert "geheim" not in f"{error.what} {error.cure}"


def test_what_is_shown_of_the_settings_holds_no_secret(production: dict[str, str], tmp_path: Path) -> None:
    shown = repr(load(production, tmp_path))
    assert "geheim" not in shown
    assert KEY[:16] not in shown
    assert repr(bytes.fromhex(KEY))[2:20] not in shown
    assert "news@news.example.de" in shown


@pytest.mark.parametrize(
    ("variable", "cure"),
    [
        ("DISPATCHER_PUBLIK_URL", "did you mean DISPATCHER_PUBLIC_URL?"),
        ("DISPATCHER_SMTPURL", "did you mean DISPATCHER_SMTP_URL?"),
        ("DISPATCHER_QQQQ", "there are: DISPATCHER_DATABASE_URL, "),
        ("DISPATCHER_QQQQ_FILE", "there are: DISPATCHER_DATABASE_URL, "),
    ],
)
def test_a_setting_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path, variable: str, cure: str) -> None:
    error = _refused({variable: "x"}, tmp_path)
    assert error.what == f"{variable}: there is no such setting"
    assert error.cure.startswith(cure)


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    empty = {f"DISPATCHER_{name}": " " for name in settings.NAMES if name != "CONFIG"}
    assert load({**empty, "DISPATCHER_CONFIG": "", "DISPATCHER_SMTP_URL_FILE": ""}, tmp_path).embedded


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"k2:{'cd' * 32}\nk1:{KEY}\n", encoding="utf-8")
    made = load({"DISPATCHER_SECRET_KEYS_FILE": str(tmp_path / "keys")}, tmp_path)
    assert [key_id for key_id, _ in made.secret_keys] == ["k2", "k1"]


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_secret_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "database_url"
    if content is not None:
        path.write_bytes(content)
    error = _refused({"DISPATCHER_DATABASE_URL_FILE": str(path)}, tmp_path)
    assert error.name == "DISPATCHER_DATABASE_URL_FILE"
    assert str(path) in error.what


def test_a_variable_goes_before_its_file_and_both_before_the_toml_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:////from-file.db", encoding="utf-8")
    (tmp_path / "dispatcher.toml").write_text(
        'database_url = "sqlite:////from-toml.db"\nlog = "json"\n', encoding="utf-8"
    )
    assert load({}, tmp_path).database_url == "sqlite:////from-toml.db"
    environ = {"DISPATCHER_DATABASE_URL_FILE": str(tmp_path / "url")}
    assert load(environ, tmp_path).database_url == "sqlite:////from-file.db"
    for both in (
        {**environ, "DISPATCHER_DATABASE_URL": "sqlite:////v.db"},
        {"DISPATCHER_DATABASE_URL": "sqlite:////v.db", **environ},
    ):
        assert load(both, tmp_path).database_url == "sqlite:////v.db"
    assert load(environ, tmp_path).log == "json"


def test_another_toml_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "dispatcher.toml").write_text('log = "json"\n', encoding="utf-8")
    (tmp_path / "other.toml").write_text('public_url = "http://localhost:81"\nsmtp_url = " "\n', encoding="utf-8")
    made = load({"DISPATCHER_CONFIG": "other.toml"}, tmp_path)
    assert (made.public_url, made.log) == ("http://localhost:81", "auto")
    assert made.smtp_urls  # an empty one counts as not set here too


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("log = json", "is not TOML"),
        ('publik_url = "x"', "publik_url in dispatcher.toml: there is no such setting"),
        ("log = 1", "log in dispatcher.toml: is not a text"),
        ("[log]\nx = 1", "is not a text"),
        ('log = "xml"', "DISPATCHER_LOG: 'xml' is no format"),
    ],
)
def test_a_wrong_toml_file_is_refused_with_a_cure(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "dispatcher.toml").write_text(text, encoding="utf-8")
    assert what in _refused({}, tmp_path).what


def test_a_toml_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dispatcher.toml").write_bytes('log = "jön"'.encode("latin-1"))
    assert "is not TOML" in _refused({}, tmp_path).what


@pytest.mark.parametrize("content", [b"", "Müller".encode("latin-1")])
def test_an_impressum_that_says_nothing_readable_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "impressum.md").write_bytes(content)
    environ = {"DISPATCHER_IMPRESSUM": str(tmp_path / "impressum.md")}
    assert _refused(environ, tmp_path).name == "DISPATCHER_IMPRESSUM"


def test_a_var_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file", encoding="utf-8")
    error = _refused({}, tmp_path)
    assert error.name == "DISPATCHER_VAR"
    assert str(tmp_path / "var") in error.what


def test_a_path_too_long_for_a_socket_does_no_harm_where_the_broker_is_elsewhere(tmp_path: Path) -> None:
    environ = {"DISPATCHER_VAR": "v" * 120, "DISPATCHER_BROKER_URL": "redis://127.0.0.1:6379/0"}
    assert load(environ, tmp_path).broker_url == "redis://127.0.0.1:6379/0"


def test_keys_are_made_once_for_this_users_eyes_only(tmp_path: Path) -> None:
    first = load({}, tmp_path).secret_keys
    path = tmp_path / "var" / "secret_keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load({}, tmp_path).secret_keys == first
    ((key_id, secret),) = first
    assert (key_id, len(secret)) == ("k1", 32)
    assert [p.name for p in path.parent.iterdir()] == ["secret_keys"]
    assert load({}, tmp_path / "elsewhere").secret_keys != first


def test_processes_that_start_at_once_make_one_key(tmp_path: Path) -> None:
    program = "from dispatcher.settings import load; print(load({}).secret_keys[0][1].hex())"
    started = [
        subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    keys = {process.communicate(timeout=60)[0] for process in started}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64
    assert [p.name for p in (tmp_path / "var").iterdir()] == ["secret_keys"]


def test_the_settings_cannot_be_changed(tmp_path: Path) -> None:
    made = load({}, tmp_path)
    with pytest.raises(AttributeError):
        made.log = "json"  # type: ignore[misc]
    assert isinstance(made, Settings)


def test_a_child_gets_our_environment_or_one_configuration_and_nothing_else_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPATCHER_LOG", "json")
    monkeypatch.setenv("UNRELATED", "x")
    assert settings.environment()["DISPATCHER_LOG"] == "json"
    child = settings.environment(Path("/etc/d.toml"))
    assert {name: value for name, value in child.items() if name.startswith("DISPATCHER_")} == {
        "DISPATCHER_CONFIG": "/etc/d.toml"
    }
    assert child["UNRELATED"] == "x"


def test_only_true_means_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert settings.in_ci()
    monkeypatch.setenv("CI", "")
    assert not settings.in_ci()

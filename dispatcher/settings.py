"""The settings: frozen, read once, checked at start. Nothing else reads the environment.

A setting comes from the variable DISPATCHER_<NAME>, else from the file that DISPATCHER_<NAME>_FILE names (for secrets),
else from a TOML file (DISPATCHER_CONFIG, or dispatcher.toml in the current folder; keys in lower case, without the
prefix). Without any of them the embedded parts under `var/` are used, which talk to this machine only.
"""

import difflib
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dispatcher import private_files
from dispatcher.assets import templates
from dispatcher.errors import SettingInvalid

PREFIX = "DISPATCHER_"
NAMES: dict[str, str] = {
    "DATABASE_URL": "sqlite:////path/file.db or postgresql://user:password@host/name",
    "BROKER_URL": "redis://:password@host:6379/0",
    "SMTP_URL": "smtp://user:password@host:port?tls=starttls&lanes=16; several, in order of preference, by blanks",
    "PUBLIC_URL": "where recipients reach the pages, https://news.example.de",
    "SECRET_KEYS": "id:hex, several by blanks; the first signs, the last must stay for ever",
    "SENDER": 'From: "Beispiel Edelmetalle" <news@news.example.de>',
    "BOUNCE_DOMAIN": "the domain of return-paths, bounce.example.de",
    "DKIM": "selector:domain:file.pem, several by blanks: letters are signed with each; without it the relay signs",
    "SEAL_KEY": "a PEM file with the Ed25519 key that signs proofs of consent; default: seal_key.pem under var, made",
    "ENDINGS": "the file of what must outlive a restore, best on another disk; default: endings.jsonl under var",
    "IMPRESSUM": "a Markdown file with the legal notice that stands in every letter",
    "TRUSTED_PROXIES": "addresses or networks of proxies whose X-Forwarded-For is believed, by blanks",
    "MX_LOOKUP": "on, or the address of a resolver: whose mail servers take a domain's mail is looked up; default: off",
    "RETENTION": "periods other than the usual, by blanks: unconfirmed=7d; `dispatcher retention plan` shows all",
    "VAR": "folder of the embedded parts; default: var",
    "CONFIG": "a TOML file with settings; default: dispatcher.toml, if there is one",
    "LOG": "text or json; default: text on a terminal, else json",
}
_DEMO_SENDER = '"Beispiel Edelmetalle" <news@news.example.de>'
_EMBEDDED = {
    "database": "DATABASE_URL",
    "broker": "BROKER_URL",
    "smtp": "SMTP_URL",
    "pages": "PUBLIC_URL",
    "seal": "SEAL_KEY",
}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_BROKERS = ("redis://", "rediss://", "redis+socket://")
_DOMAIN = re.compile(r"(?i)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")
_SELECTOR = re.compile(r"(?i)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")  # RFC 6376 3.1


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key to sign letters with: its names in the DNS, and the file in which it lies."""

    selector: str
    domain: str
    file: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. `embedded` names the parts that run, or lie, under `var`."""

    var: Path
    database_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    smtp_urls: tuple[str, ...] = field(repr=False)
    public_url: str
    secret_keys: tuple[tuple[str, bytes], ...] = field(repr=False)
    sender_name: str
    sender_address: str
    bounce_domain: str
    dkim: tuple[DkimKey, ...]
    seal_key: Path
    endings: Path
    impressum: str = field(repr=False)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    mx_lookup: str
    retention: str
    log: str
    embedded: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the embedded parts listen, on this machine only; each command can be told otherwise."""

    web: int = 8080
    mail: int = 8081
    smtp: int = 8025


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read and check the settings. Raises SettingInvalid, which names the variable and the cure.

    `environ` and `folder` stand in for the process's own environment and current folder.
    """
    given = _gather(os.environ if environ is None else environ, folder or Path.cwd())
    var = ((folder or Path.cwd()) / given.get("VAR", "var")).resolve()
    embedded = frozenset(part for part, name in _EMBEDDED.items() if name not in given)
    sender_name, sender_address = _sender(given.get("SENDER", _DEMO_SENDER))
    settings = Settings(
        var=var,
        database_url=given.get("DATABASE_URL", f"sqlite:///{var / 'dispatcher.db'}"),
        broker_url=_broker(given["BROKER_URL"]) if "BROKER_URL" in given else f"redis+socket://{_socket(var)}",
        smtp_urls=tuple(given.get("SMTP_URL", "smtp://127.0.0.1:8025?tls=none&lanes=16").split()),
        public_url=_public_url(given.get("PUBLIC_URL", "http://127.0.0.1:8080")),
        secret_keys=_keys(given["SECRET_KEYS"] if "SECRET_KEYS" in given else _own_keys(var)),
        sender_name=sender_name,
        sender_address=sender_address,
        bounce_domain=_domain(given.get("BOUNCE_DOMAIN", "bounce.example.de")),
        dkim=_dkim(given.get("DKIM", ""), sender_address),
        seal_key=Path(given["SEAL_KEY"]) if "SEAL_KEY" in given else var / "seal_key.pem",
        endings=Path(given["ENDINGS"]).resolve() if "ENDINGS" in given else var / "endings.jsonl",
        impressum=_impressum(given.get("IMPRESSUM")),
        trusted_proxies=_networks(given.get("TRUSTED_PROXIES", "")),
        mx_lookup=_mx_lookup(given.get("MX_LOOKUP", "off")),
        retention=given.get("RETENTION", ""),
        log=_log(given.get("LOG")),
        embedded=embedded,
    )
    _refuse_half_a_production(settings, given)
    return settings


def broker_socket(settings: Settings) -> Path:
    """Give the socket of the embedded broker."""
    return _socket(settings.var)


def dkim_key(word: str) -> DkimKey:
    """Read selector:domain:file. Raises SettingInvalid."""
    selector, _, rest = word.partition(":")
    domain, _, file = rest.partition(":")
    if not (_SELECTOR.fullmatch(selector) and _DOMAIN.fullmatch(domain) and file) or len(selector + domain) > 230:
        cure = "write selector:domain:file, as s2026:news.example.de:/etc/dispatcher/dkim.pem"
        raise SettingInvalid(f"{PREFIX}DKIM", f"{word!r} names no key", cure)
    return DkimKey(selector.lower(), domain.lower(), Path(file))


def is_aligned(domain: str, sender: str) -> bool:
    """Claim that DMARC takes a signature of `domain` for the sender's: it is the same domain, or one above it."""
    return f".{sender.rpartition('@')[2].lower()}".endswith(f".{domain.lower()}")


def environment(config: Path | None = None, **also: str) -> dict[str, str]:
    """Give the process's environment for a child: as ours is, or with nothing of ours but this configuration file.

    `also` are settings by name (NAMES) that are set for the child besides.
    """
    if config is None:
        return {**os.environ, **{PREFIX + name: value for name, value in also.items()}}
    bare = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**bare, f"{PREFIX}CONFIG": str(config)}


def in_ci() -> bool:
    """Say whether this runs in continuous integration, where nothing may be skipped."""
    return os.environ.get("CI") == "true"


def _gather(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    variables, files = dict[str, str](), dict[str, str]()
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or not value.strip():
            continue
        name = variable.removeprefix(PREFIX)
        if name in NAMES:
            variables[name] = value.strip()
        elif name.endswith("_FILE") and name.removesuffix("_FILE") in NAMES:
            files[name.removesuffix("_FILE")] = _from_file(variable, value)
        else:
            raise SettingInvalid(variable, "there is no such setting", _nearest(name))
    return _from_toml(environ, folder) | files | variables


def _from_toml(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    named = environ.get(f"{PREFIX}CONFIG")
    path = folder / (named or "dispatcher.toml")
    if not named and not path.is_file():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingInvalid(f"{PREFIX}CONFIG", f"{path} cannot be read: {error.strerror}", "name another") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"{PREFIX}CONFIG", f"{path} is not TOML: {error}", "mend that line") from None
    given = {}
    for key, value in entries.items():
        if key.upper() not in NAMES:
            raise SettingInvalid(f"{key} in {path.name}", "there is no such setting", _nearest(key.upper()))
        if not isinstance(value, str):
            raise SettingInvalid(f"{key} in {path.name}", "is not a text", "put it in quotes")
        if value.strip():
            given[key.upper()] = value.strip()
    return given


def _from_file(variable: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingInvalid(variable, f"{path} cannot be read: {error.strerror}", "check path and rights") from None
    except UnicodeDecodeError:
        raise SettingInvalid(variable, f"{path} is not UTF-8", "write it anew as plain text") from None
    if not text:
        raise SettingInvalid(variable, f"{path} is empty", "write the value into it")
    return text


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, NAMES, n=1)
    known = ", ".join(PREFIX + n for n in NAMES)
    return f"did you mean {PREFIX}{close[0]}?" if close else f"there are: {known}"


def _socket(var: Path) -> Path:
    socket = var / "valkey.sock"
    if len(str(socket).encode()) > 100:  # sun_path holds 108 bytes, 104 on macOS
        raise SettingInvalid(
            f"{PREFIX}VAR",
            f"the path {socket} is too long for a socket",
            f"set {PREFIX}VAR to a shorter path, or {PREFIX}BROKER_URL to a broker of your own",
        )
    return socket


def _own_keys(var: Path) -> str:
    """Read the keys under `var`; make one at first start, for this user's eyes only."""
    path = var / "secret_keys"
    try:
        if not path.exists():
            private_files.make(path, f"k1:{secrets.token_hex(32)}\n".encode())
        return path.read_text(encoding="utf-8")
    except OSError as error:
        what = f"{error.filename or var} cannot be used: {error.strerror}"
        raise SettingInvalid(f"{PREFIX}VAR", what, "name a folder that this user may write to") from None


def _keys(text: str) -> tuple[tuple[str, bytes], ...]:
    name = f"{PREFIX}SECRET_KEYS"
    cure = "write id:hex with at least 64 hex digits; `openssl rand -hex 32` makes them"
    keys: dict[str, bytes] = {}
    for place, word in enumerate(text.split(), 1):
        key_id, colon, digits = word.partition(":")
        try:
            secret = bytes.fromhex(digits)
        except ValueError:  # not named by its id: who swaps the two would see the secret
            raise SettingInvalid(name, f"key number {place} is not hexadecimal", cure) from None
        if not colon or not key_id.isalnum() or len(secret) < 32:
            raise SettingInvalid(name, "a key without an id, or shorter than 32 bytes", cure)
        if key_id in keys:
            raise SettingInvalid(name, f"the key {key_id!r} stands there twice", "give each key its own id")
        keys[key_id] = secret
    if not keys:
        raise SettingInvalid(name, "holds no key", cure)
    return tuple(keys.items())


def _sender(text: str) -> tuple[str, str]:
    display, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if not local or "." not in domain or any(ord(ch) < 32 for ch in text):
        raise SettingInvalid(f"{PREFIX}SENDER", f"{text!r} is no sender", f"write it as {_DEMO_SENDER}")
    return display or address, address


def _public_url(text: str) -> str:
    name = f"{PREFIX}PUBLIC_URL"
    url = _split(text)
    if not url or url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise SettingInvalid(name, f"{text!r} is no web address", "write it as https://news.example.de")
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise SettingInvalid(name, "one-click unsubscribe needs https (RFC 8058)", f"use https://{url.netloc}")
    return text.rstrip("/")


def _split(text: str) -> SplitResult | None:
    """Take a web address apart; None: it is none."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return None if any(ch.isspace() for ch in text) else url


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text) or len(text) > 200:
        name = f"{PREFIX}BOUNCE_DOMAIN"
        raise SettingInvalid(name, f"{text!r} is no domain", "write it as bounce.example.de, in A-labels (xn--)")
    return text.lower()


def _dkim(text: str, sender: str) -> tuple[DkimKey, ...]:
    keys = tuple(dkim_key(word) for word in text.split())
    if len({(key.selector, key.domain) for key in keys}) < len(keys):
        raise SettingInvalid(f"{PREFIX}DKIM", "a selector stands there twice", "give each key a selector of its own")
    for key in keys:
        if not is_aligned(key.domain, sender):
            what = f"{key.domain} is neither the domain of {sender} nor above it: DMARC would not count the signature"
            raise SettingInvalid(f"{PREFIX}DKIM", what, f"sign as {sender.rpartition('@')[2]}")
    return keys


def _broker(text: str) -> str:
    if not text.startswith(_BROKERS):
        name = f"{PREFIX}BROKER_URL"
        raise SettingInvalid(name, f"it begins with none of {', '.join(_BROKERS)}", f"write {NAMES['BROKER_URL']}")
    return text


def _impressum(path: str | None) -> str:
    name = f"{PREFIX}IMPRESSUM"
    source = Path(path) if path else templates() / "mail" / "_base" / "impressum.sample.md"
    try:
        text = source.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(name, f"{source} cannot be read: {error}", "name a Markdown file in UTF-8") from None
    if not text:
        raise SettingInvalid(name, f"{source} is empty", "write name, address, representatives, contact, register")
    return text


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(word, strict=False) for word in text.split())
    except ValueError as error:
        raise SettingInvalid(f"{PREFIX}TRUSTED_PROXIES", str(error), "write 10.0.0.5 or 10.0.0.0/24") from None


def _mx_lookup(text: str) -> str:
    address, _, port = text.partition(":")
    try:
        if text not in {"on", "off"}:
            ip_address(address)
            if port and not 0 < int(port) < 65_536:
                raise ValueError
    except ValueError:
        name = f"{PREFIX}MX_LOOKUP"
        raise SettingInvalid(name, f"{text!r} is no resolver", "write on, off, 192.0.2.53 or 192.0.2.53:5353") from None
    return text


def _log(text: str | None) -> str:
    if text not in {None, "text", "json"}:
        raise SettingInvalid(f"{PREFIX}LOG", f"{text!r} is no format", "use text or json")
    return text or "auto"


def _refuse_half_a_production(settings: Settings, given: Mapping[str, str]) -> None:
    """A relay of one's own with a made-up sender or a made-up Impressum would send both to real people."""
    relays = [_split(url) for url in settings.smtp_urls]
    if all(relay and relay.hostname in _LOOPBACK for relay in relays):
        return
    for name in ("SENDER", "BOUNCE_DOMAIN", "IMPRESSUM", "PUBLIC_URL", "SECRET_KEYS"):
        if name not in given:
            raise SettingInvalid(
                PREFIX + name,
                f"is not set, and {PREFIX}SMTP_URL leads out of this machine",
                f"set it: {NAMES[name]}",
            )

"""What a setting may say: each text is checked and becomes a value. Raises SettingInvalid: what, and the cure."""

import re
import secrets
from dataclasses import dataclass
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dispatcher import private_files
from dispatcher.assets import templates
from dispatcher.errors import SettingInvalid
from dispatcher.settings.sources import NAMES, PREFIX

DEMO_SENDER = '"Beispiel Edelmetalle" <news@news.example.de>'
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MOST_MEGABYTES = 10_000
_BROKERS = ("redis://", "rediss://", "redis+socket://")
_DOMAIN = re.compile(r"(?i)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")
_SELECTOR = re.compile(r"(?i)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")  # RFC 6376 3.1


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key to sign letters with: its names in the DNS, and the file in which it lies."""

    selector: str
    domain: str
    file: Path


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


def own_keys(var: Path) -> str:
    """Read the keys under `var`; make one at first start, for this user's eyes only."""
    path = var / "secret_keys"
    try:
        if not path.exists():
            private_files.make(path, f"k1:{secrets.token_hex(32)}\n".encode())
        return path.read_text(encoding="utf-8")
    except OSError as error:
        what = f"{error.filename or var} cannot be used: {error.strerror}"
        raise SettingInvalid(f"{PREFIX}VAR", what, "name a folder that this user may write to") from None


def keys(text: str) -> tuple[tuple[str, bytes], ...]:
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


def sender(text: str) -> tuple[str, str]:
    display, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if not local or "." not in domain or any(ord(ch) < 32 for ch in text):
        raise SettingInvalid(f"{PREFIX}SENDER", f"{text!r} is no sender", f"write it as {DEMO_SENDER}")
    return display or address, address


def public_url(text: str) -> str:
    name = f"{PREFIX}PUBLIC_URL"
    url = split(text)
    if not url or url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise SettingInvalid(name, f"{text!r} is no web address", "write it as https://news.example.de")
    if url.scheme == "http" and url.hostname not in LOOPBACK:
        raise SettingInvalid(name, "one-click unsubscribe needs https (RFC 8058)", f"use https://{url.netloc}")
    return text.rstrip("/")


def split(text: str) -> SplitResult | None:
    """Take a web address apart; None: it is none."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return None if any(ch.isspace() for ch in text) else url


def domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text) or len(text) > 200:
        name = f"{PREFIX}BOUNCE_DOMAIN"
        raise SettingInvalid(name, f"{text!r} is no domain", "write it as bounce.example.de, in A-labels (xn--)")
    return text.lower()


def dkim_keys(text: str, sender: str) -> tuple[DkimKey, ...]:
    keys = tuple(dkim_key(word) for word in text.split())
    if len({(key.selector, key.domain) for key in keys}) < len(keys):
        raise SettingInvalid(f"{PREFIX}DKIM", "a selector stands there twice", "give each key a selector of its own")
    for key in keys:
        if not is_aligned(key.domain, sender):
            what = f"{key.domain} is neither the domain of {sender} nor above it: DMARC would not count the signature"
            raise SettingInvalid(f"{PREFIX}DKIM", what, f"sign as {sender.rpartition('@')[2]}")
    return keys


def broker(text: str) -> str:
    if not text.startswith(_BROKERS):
        name = f"{PREFIX}BROKER_URL"
        raise SettingInvalid(name, f"it begins with none of {', '.join(_BROKERS)}", f"write {NAMES['BROKER_URL']}")
    return text


def impressum(path: str | None) -> str:
    name = f"{PREFIX}IMPRESSUM"
    source = Path(path) if path else templates() / "mail" / "_base" / "impressum.sample.md"
    try:
        text = source.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(name, f"{source} cannot be read: {error}", "name a Markdown file in UTF-8") from None
    if not text:
        raise SettingInvalid(name, f"{source} is empty", "write name, address, representatives, contact, register")
    return text


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(word, strict=False) for word in text.split())
    except ValueError as error:
        raise SettingInvalid(f"{PREFIX}TRUSTED_PROXIES", str(error), "write 10.0.0.5 or 10.0.0.0/24") from None


def mx_lookup(text: str) -> str:
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


def four_eyes(text: str) -> bool:
    if text not in {"on", "off"}:
        raise SettingInvalid(f"{PREFIX}FOUR_EYES", f"{text!r} is neither on nor off", "write on or off")
    return text == "on"


def console_totp(text: str) -> str:
    if text not in {"off", "senders", "everyone"}:
        name = f"{PREFIX}CONSOLE_TOTP"
        raise SettingInvalid(name, f"{text!r} says nothing about who", "write off, senders or everyone")
    return text


def megabytes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_MEGABYTES):
        cure = f"write a whole number of megabytes, from 1 to {_MOST_MEGABYTES}"
        raise SettingInvalid(f"{PREFIX}UPLOAD_LIMIT", f"{text!r} is no such size", cure)
    return int(text) * 1_000_000


def hosts(text: str) -> frozenset[str]:
    known = set()
    for word in text.split():
        url = split(f"//{word}")
        if not url or not url.hostname or url.netloc.rpartition("@")[0] or url.path:
            cure = "write host or host:port, as files.intern.example.de or 192.0.2.5:8080"
            raise SettingInvalid(f"{PREFIX}INTERNAL_HOSTS", f"{word!r} is no host", cure)
        known.add(f"{url.hostname}:{url.port}" if url.port else url.hostname)
    return frozenset(known)


def spam_check(text: str) -> str:
    url = split(text)
    if text and (not url or url.scheme not in {"spamd", "rspamd"} or not url.hostname or not url.port):
        cure = "write spamd://127.0.0.1:783 or rspamd://127.0.0.1:11333"
        raise SettingInvalid(f"{PREFIX}SPAM_CHECK", f"{text!r} names no filter", cure)
    return text


def log(text: str | None) -> str:
    if text not in {None, "text", "json"}:
        raise SettingInvalid(f"{PREFIX}LOG", f"{text!r} is no format", "use text or json")
    return text or "auto"


def socket_under(var: Path) -> Path:
    socket = var / "valkey.sock"
    if len(str(socket).encode()) > 100:  # sun_path holds 108 bytes, 104 on macOS
        raise SettingInvalid(
            f"{PREFIX}VAR",
            f"the path {socket} is too long for a socket",
            f"set {PREFIX}VAR to a shorter path, or {PREFIX}BROKER_URL to a broker of your own",
        )
    return socket

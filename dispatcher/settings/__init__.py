"""The settings: frozen, read once, checked at start. Nothing else reads the environment.

A setting comes from the variable DISPATCHER_<NAME>, else from the file that DISPATCHER_<NAME>_FILE names (for secrets),
else from a TOML file (DISPATCHER_CONFIG, or dispatcher.toml in the current folder; keys in lower case, without the
prefix). Without any of them the embedded parts under `var/` are used, which talk to this machine only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from dispatcher.errors import SettingInvalid
from dispatcher.settings import values
from dispatcher.settings.sources import NAMES as NAMES
from dispatcher.settings.sources import PREFIX as PREFIX
from dispatcher.settings.sources import environment as environment
from dispatcher.settings.sources import gather
from dispatcher.settings.sources import in_ci as in_ci
from dispatcher.settings.values import LOOPBACK as LOOPBACK
from dispatcher.settings.values import DkimKey as DkimKey
from dispatcher.settings.values import dkim_key as dkim_key
from dispatcher.settings.values import is_aligned as is_aligned

_EMBEDDED = {
    "database": "DATABASE_URL",
    "broker": "BROKER_URL",
    "smtp": "SMTP_URL",
    "pages": "PUBLIC_URL",
    "seal": "SEAL_KEY",
}


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
    internal_hosts: frozenset[str]
    spam_check: str
    caniemail: Path | None
    four_eyes: bool
    retention: str
    console_totp: str
    uploads: Path
    upload_limit: int  # octets
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
    given = gather(environ, folder or Path.cwd())
    var = ((folder or Path.cwd()) / given.get("VAR", "var")).resolve()
    embedded = frozenset(part for part, name in _EMBEDDED.items() if name not in given)
    sender_name, sender_address = values.sender(given.get("SENDER", values.DEMO_SENDER))
    settings = Settings(
        var=var,
        database_url=given.get("DATABASE_URL", f"sqlite:///{var / 'dispatcher.db'}"),
        broker_url=values.broker(given["BROKER_URL"])
        if "BROKER_URL" in given
        else f"redis+socket://{values.socket_under(var)}",
        smtp_urls=tuple(given.get("SMTP_URL", "smtp://127.0.0.1:8025?tls=none&lanes=16").split()),
        public_url=values.public_url(given.get("PUBLIC_URL", "http://127.0.0.1:8080")),
        secret_keys=values.keys(given["SECRET_KEYS"] if "SECRET_KEYS" in given else values.own_keys(var)),
        sender_name=sender_name,
        sender_address=sender_address,
        bounce_domain=values.domain(given.get("BOUNCE_DOMAIN", "bounce.example.de")),
        dkim=values.dkim_keys(given.get("DKIM", ""), sender_address),
        seal_key=Path(given["SEAL_KEY"]) if "SEAL_KEY" in given else var / "seal_key.pem",
        endings=Path(given["ENDINGS"]).resolve() if "ENDINGS" in given else var / "endings.jsonl",
        impressum=values.impressum(given.get("IMPRESSUM")),
        trusted_proxies=values.networks(given.get("TRUSTED_PROXIES", "")),
        mx_lookup=values.mx_lookup(given.get("MX_LOOKUP", "off")),
        internal_hosts=values.hosts(given.get("INTERNAL_HOSTS", "")),
        spam_check=values.spam_check(given.get("SPAM_CHECK", "")),
        caniemail=Path(given["CANIEMAIL"]) if "CANIEMAIL" in given else None,
        four_eyes=values.four_eyes(given.get("FOUR_EYES", "off")),
        retention=given.get("RETENTION", ""),
        console_totp=values.console_totp(given.get("CONSOLE_TOTP", "senders")),
        uploads=Path(given["UPLOADS"]).resolve() if "UPLOADS" in given else var / "uploads",
        upload_limit=values.megabytes(given.get("UPLOAD_LIMIT", "256")),
        log=values.log(given.get("LOG")),
        embedded=embedded,
    )
    _refuse_half_a_production(settings, given)
    return settings


def broker_socket(settings: Settings) -> Path:
    """Give the socket of the embedded broker."""
    return values.socket_under(settings.var)


def _refuse_half_a_production(settings: Settings, given: Mapping[str, str]) -> None:
    """A relay of one's own with a made-up sender or a made-up Impressum would send both to real people."""
    relays = [values.split(url) for url in settings.smtp_urls]
    if all(relay and relay.hostname in values.LOOPBACK for relay in relays):
        return
    for name in ("SENDER", "BOUNCE_DOMAIN", "IMPRESSUM", "PUBLIC_URL", "SECRET_KEYS"):
        if name not in given:
            raise SettingInvalid(
                PREFIX + name,
                f"is not set, and {PREFIX}SMTP_URL leads out of this machine",
                f"set it: {NAMES[name]}",
            )

"""The mailbox providers: whom an address belongs to, by its domain or by the domain's mail servers, and at what rate
letters go there.

The table of presets below is the whole knowledge; `mailbox_provider` holds what the operator set otherwise. A domain
belongs to one provider: the one that names it, else the one whose mail servers take its mail, else `other`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

from sqlalchemy import Connection, delete, func, select

from dispatcher.db.columns import insert_or
from dispatcher.db.tables import mailbox_provider, subscriber
from dispatcher.errors import InputRefused

UNTIL_RESUMED = datetime(9999, 1, 1, tzinfo=UTC)  # the end of a pause that has none
HIGHEST_RATE = 10_000_000  # letters a minute


class Provider(StrEnum):
    """Who keeps the mailboxes. Stored as its value, so a word is never renamed; a new one needs no migration."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"
    YAHOO = "yahoo"
    GMX_WEBDE = "gmx-webde"
    APPLE = "apple"
    T_ONLINE = "t-online"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Preset:
    """What is known of a provider.

    `families` are names it has under many countries (yahoo.de, yahoo.co.uk); `servers` the ends of its mail servers'
    names; `rate_per_min` the letters a minute that go there over one relay unless the operator says otherwise. Who
    sends over a relay has that relay's operator to keep the rates: so none is set here.
    """

    provider: Provider
    title: str
    domains: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    rate_per_min: int | None = None


PRESETS: dict[Provider, Preset] = {
    preset.provider: preset
    for preset in (
        Preset(
            Provider.GOOGLE,
            "Google (Gmail, Workspace)",
            domains=("gmail.com", "googlemail.com"),
            servers=("google.com", "googlemail.com"),
        ),
        Preset(
            Provider.MICROSOFT,
            "Microsoft (Outlook.com, Microsoft 365)",
            domains=("msn.com", "passport.com", "windowslive.com"),
            families=("outlook", "hotmail", "live"),
            servers=("outlook.com", "hotmail.com", "mx.microsoft"),
        ),
        Preset(
            Provider.YAHOO,
            "Yahoo and AOL",
            domains=("ymail.com", "rocketmail.com", "aim.com", "verizon.net", "netscape.net"),
            families=("yahoo", "aol"),
            servers=("yahoodns.net",),
        ),
        Preset(
            Provider.GMX_WEBDE,
            "GMX and WEB.DE",
            domains=("web.de", "email.de"),
            families=("gmx",),
            servers=("gmx.net", "web.de"),
        ),
        Preset(
            Provider.APPLE,
            "Apple (iCloud)",
            domains=("icloud.com", "me.com", "mac.com"),
            servers=("icloud.com",),
        ),
        Preset(
            Provider.T_ONLINE,
            "T-Online (Telekom)",
            domains=("t-online.de", "magenta.de"),
            servers=("t-online.de",),
        ),
        Preset(Provider.OTHER, "everybody else"),
    )
}
_BY_DOMAIN = {domain: preset.provider for preset in PRESETS.values() for domain in preset.domains}
_BY_FAMILY = {name: preset.provider for preset in PRESETS.values() for name in preset.families}
_BY_SERVER = {end: preset.provider for preset in PRESETS.values() for end in preset.servers}
# A family's name counts under a country or one of these, not before a name of somebody's own (live.example.de).
_GENERIC = {"com", "net", "org", "info", "biz"}
_SECOND_LEVEL = {"co", "com", "net", "org"}  # as in co.uk, com.br


@dataclass(frozen=True, slots=True)
class Setting:
    """How letters go to a provider now. `is_preset`: the rate is the preset's, not the operator's."""

    provider: Provider
    rate_per_min: int | None  # over each relay; None: no limit
    paused_until: datetime | None
    is_preset: bool = True


@lru_cache(maxsize=65_536)
def by_domain(domain: str) -> Provider:
    """Give the provider that names this domain (in lower-case A-labels); OTHER if none does."""
    if domain in _BY_DOMAIN:
        return _BY_DOMAIN[domain]
    name, _, under = domain.partition(".")
    if name in _BY_FAMILY and _is_suffix(under):
        return _BY_FAMILY[name]
    return Provider.OTHER


def by_servers(servers: Iterable[str]) -> Provider:
    """Give the provider whose mail servers these are, in their order of preference; OTHER if they are nobody's."""
    for server in servers:
        labels = server.lower().rstrip(".").split(".")
        ends = (".".join(labels[start:]) for start in range(len(labels) - 1))
        for end in ends:
            if end in _BY_SERVER:
                return _BY_SERVER[end]
    return Provider.OTHER


def read(word: str) -> Provider:
    """Read a provider's key. Raises InputRefused naming those there are."""
    if word not in set(Provider):
        raise InputRefused(f"there is no mailbox provider {word!r}", f"use one of: {', '.join(Provider)}")
    return Provider(word)


def settings(conn: Connection) -> dict[Provider, Setting]:
    """Give how letters go to each provider: the operator's word, else the preset's."""
    found = {p: Setting(p, preset.rate_per_min, None) for p, preset in PRESETS.items()}
    m = mailbox_provider.c
    for row in conn.execute(select(m.key, m.is_rate_set, m.rate_per_min, m.paused_until).limit(100)):
        if row.key in found:
            key = Provider(row.key)
            rate = row.rate_per_min if row.is_rate_set else PRESETS[key].rate_per_min
            found[key] = Setting(key, rate, row.paused_until, is_preset=not row.is_rate_set)
    return found


def people(conn: Connection) -> dict[str, int]:
    """Count the people whose mailbox each provider keeps."""
    counted = select(subscriber.c.provider, func.count()).where(subscriber.c.address.is_not(None))
    return dict(conn.execute(counted.group_by(subscriber.c.provider)).all())


def set_rate(conn: Connection, provider: Provider, rate_per_min: int | None) -> None:
    """Let at most this many letters a minute go to a provider, over each relay; None: as many as can."""
    _set(conn, provider, is_rate_set=True, rate_per_min=checked_rate(rate_per_min))


def pause(conn: Connection, provider: Provider, until: datetime) -> None:
    """Let no letter go to a provider until a moment."""
    _set(conn, provider, paused_until=until)


def resume(conn: Connection, provider: Provider) -> None:
    """End a pause."""
    _set(conn, provider, paused_until=None)


def reset(conn: Connection, provider: Provider) -> None:
    """Forget what the operator set: the preset counts again."""
    conn.execute(delete(mailbox_provider).where(mailbox_provider.c.key == provider))


def checked_rate(rate_per_min: int | None) -> int | None:
    """Give the rate back if one can send at it. Raises InputRefused."""
    if rate_per_min is not None and not 1 <= rate_per_min <= HIGHEST_RATE:
        raise InputRefused(f"{rate_per_min} letters a minute is no rate", f"give 1 to {HIGHEST_RATE}, or none")
    return rate_per_min


def _set(conn: Connection, provider: Provider, **values: object) -> None:
    statement = insert_or(conn.dialect.name, mailbox_provider).values(key=provider, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["key"], set_=values))


def _is_suffix(under: str) -> bool:
    first, _, second = under.partition(".")
    if second:
        return first in _SECOND_LEVEL and _is_country(second)
    return first in _GENERIC or _is_country(first)


def _is_country(label: str) -> bool:
    return len(label) == 2 and label.isalpha()

"""All that limits sending at a moment, in one look: what each key's rate is, and what is paused.

    relay:NAME            the relay's `rate=`
    provider:KEY@NAME     the operator's or the preset's rate, what the provider's answers made of it, the warm-up's day
    campaign:ID           the campaign's own rate

What must stay true: of several limits the lowest holds; what is not limited has no key.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection

from dispatcher.domain.delivery.batches import Closed
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.rates import providers, relay_days, slowdowns
from dispatcher.domain.rates.providers import Provider, Setting
from dispatcher.domain.rates.relay_days import Counted
from dispatcher.domain.rates.slowdowns import Place, Slowdown
from dispatcher.sending import warmup
from dispatcher.smtp.relays import Relay


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates, in permits a second by key (for `Pacer.set_rates`), and what is paused, until when."""

    rates: Mapping[str, float]
    paused: Mapping[Place, datetime] = field(default_factory=dict)
    usual: Mapping[str, int | None] = field(default_factory=dict)  # letters a minute by provider, for `slowdowns.heed`

    def is_open(self, relay: str, provider: str, now: datetime) -> bool:
        """Say whether letters may go to a provider over a relay."""
        until = self.paused.get(Place(relay, provider))
        return until is None or until <= now

    def closed(self, relays: Sequence[Relay], now: datetime) -> Closed:
        """Give the providers that no relay may send to now, for `batches.claim` to pass over."""
        return Closed(frozenset(p for p in Provider if not any(self.is_open(r.name, p, now) for r in relays)))


def keys(relay: str, provider: str, campaign_id: int) -> tuple[str, str, str]:
    """Give the keys under which a letter takes its permits."""
    return f"relay:{relay}", _at(relay, provider), f"campaign:{campaign_id}"


def load(conn: Connection, relays: Sequence[Relay], now: datetime) -> Limits:
    """Look at all limits: a handful of rows of small tables, cheap enough for every claim and heartbeat."""
    set_ = providers.settings(conn)
    slowed = slowdowns.everywhere(conn)
    warming = [relay for relay in relays if relay.warmup is not None]
    days = _days(conn, warming)
    rates = {f"relay:{r.name}": r.rate_per_min / 60 for r in relays if r.rate_per_min is not None}
    rates |= {f"campaign:{campaign}": rate / 60 for campaign, rate in campaigns.rates(conn).items()}
    paused = {}
    for relay in relays:
        for provider, setting in set_.items():
            place = Place(relay.name, provider)
            of_all = list(_rates_at(relay, setting, slowed.get(place), days.get(place, {}), now))
            if of_all:
                rates[_at(relay.name, provider)] = min(of_all)
            until = _paused_until(setting, slowed.get(place))
            if until is not None and until > now:
                paused[place] = until
    return Limits(rates, paused, {p: setting.rate_per_min for p, setting in set_.items()})


def _days(conn: Connection, warming: Sequence[Relay]) -> dict[Place, dict[date, Counted]]:
    if not warming:
        return {}
    first = min(relay.warmup.first_day for relay in warming if relay.warmup is not None)
    return relay_days.history(conn, [relay.name for relay in warming], first)


def _rates_at(
    relay: Relay, setting: Setting, slowed: Slowdown | None, days: Mapping[date, Counted], now: datetime
) -> Iterator[float]:
    rate = slowed.rate(setting.rate_per_min, now) if slowed else setting.rate_per_min
    if rate is not None:
        yield rate / 60
    allowance = warmup.allowance(relay.warmup, days, now.date()) if relay.warmup else None
    if allowance is not None:
        yield warmup.rate_per_s(allowance)


def _paused_until(setting: Setting, slowed: Slowdown | None) -> datetime | None:
    ends = [end for end in (setting.paused_until, slowed.paused_until if slowed else None) if end is not None]
    return max(ends, default=None)


def _at(relay: str, provider: str) -> str:
    return f"provider:{provider}@{relay}"

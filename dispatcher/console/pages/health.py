"""Is everything well: parts, relays, mailbox providers, and what waits. Rates and pauses are set here.

What must stay true: nothing is asked of the network while a page is made; it is found out beside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dispatcher.console.ailments import ailment
from dispatcher.console.declare import Mend, Moment, Values, act, area, live, look
from dispatcher.console.pages import workers
from dispatcher.console.visit import Visit
from dispatcher.domain.rates import providers, relay_days, slowdowns
from dispatcher.domain.rates.providers import PRESETS, UNTIL_RESUMED, Provider, Setting
from dispatcher.domain.rates.relay_days import Counted
from dispatcher.domain.rates.slowdowns import Place, Slowdown
from dispatcher.domain.staff.roles import Permission
from dispatcher.errors import InputRefused, SettingInvalid
from dispatcher.sending import house, warmup
from dispatcher.smtp.relays import Relay

_LONGEST_PAUSE = 7 * 24 * 60  # minutes


@dataclass(frozen=True, slots=True)
class Slowed:
    """A provider over a relay that is slowed down or paused now. `free_at`: when it has recovered, if nothing more is
    deferred; None: an operator ends it.
    """

    place: Place
    rate: int | None
    paused_until: datetime | None
    free_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """A relay as it is set, what it took today (UTC), and how many letters its warm-up allows to whom."""

    relay: Relay
    today: Counted
    allowed: Mapping[Provider, int]


@dataclass(frozen=True, slots=True)
class Line:
    """A mailbox provider: how letters go there, and what its answers made of that."""

    setting: Setting
    people: int | None
    paused_until: datetime | None  # by an operator, with its end
    is_paused: bool
    slowed: Sequence[Slowed]


def show(visit: Visit) -> Values:
    """Give the whole page."""
    return poll(Moment(visit.desk, visit.conn, visit.now, {}))


def poll(moment: Moment) -> Values:
    """Give everything that renews itself."""
    desk = moment.desk
    health, workload = desk.health.known(), desk.workload.known()
    try:
        relays: Sequence[Relay] | None = house.relays(desk.settings)
    except SettingInvalid:
        relays = None
    return {
        "now": moment.now,
        "ailment": ailment,
        "wrong": [finding for finding in health.value if not finding.is_well] if health else None,
        "workload": workload.value if workload else None,
        "routes": [_route(moment.conn, relay, moment.now.date()) for relay in relays] if relays is not None else None,
        "lines": lines(moment),
        "doctor": desk.doctor.last,
        "is_examined": desk.doctor.is_under_way,
        "database": moment.conn.dialect.name,
        **workers.values(moment),
    }


def examine(visit: Visit) -> Response:
    """Look at every part."""
    if not visit.desk.doctor.find_out():
        raise Mend({"": "health.is_examined"})
    return visit.go("/health")


def lines(moment: Moment) -> list[Line]:
    """Give every provider."""
    known = moment.desk.mailboxes.known()
    everywhere = slowdowns.everywhere(moment.conn).values()
    return [
        Line(
            setting,
            known.value.get(provider, 0) if known else None,
            setting.paused_until if setting.paused_until != UNTIL_RESUMED else None,
            setting.paused_until is not None and setting.paused_until > moment.now,
            [s for each in everywhere if each.place.provider == provider and (s := _slowed(each, setting, moment.now))],
        )
        for provider, setting in providers.settings(moment.conn).items()
    ]


def provider(visit: Visit) -> Values:
    """Show what can be set about a provider."""
    key = _provider(visit)
    moment = Moment(visit.desk, visit.conn, visit.now, {})
    line = next(line for line in lines(moment) if line.setting.provider is key)
    return {"line": line, "preset": PRESETS[key].rate_per_min}


def set_rate(visit: Visit) -> Response:
    """Let at most so many letters a minute go to a provider, over each relay; an empty field: as many as can."""
    key, rate = _provider(visit), _number(visit, "rate", "health.rate_wrong")
    try:
        providers.set_rate(visit.conn, key, rate)
    except InputRefused:
        raise Mend({"rate": "health.rate_wrong"}) from None
    return _done(visit, key, "health.rate_is_set", rate=rate)


def pause(visit: Visit) -> Response:
    """Let nothing more go to a provider, for so many minutes or until somebody lets it."""
    key, minutes = _provider(visit), _number(visit, "minutes", "health.minutes_wrong")
    if minutes is not None and not 1 <= minutes <= _LONGEST_PAUSE:
        raise Mend({"minutes": "health.minutes_wrong"})
    providers.pause(visit.conn, key, visit.now + timedelta(minutes=minutes) if minutes else UNTIL_RESUMED)
    return _done(visit, key, "health.is_paused", minutes=minutes)


def resume(visit: Visit) -> Response:
    """End a pause, an operator's or one that the provider asked for."""
    key = _provider(visit)
    providers.resume(visit.conn, key)
    slowdowns.resume(visit.conn, key, visit.now)
    return _done(visit, key, "health.is_resumed")


def reset(visit: Visit) -> Response:
    """Forget rate and pause that were set, and what the provider's answers made of the rate."""
    key = _provider(visit)
    providers.reset(visit.conn, key)
    slowdowns.forget(visit.conn, key)
    return _done(visit, key, "health.is_reset")


def _done(visit: Visit, key: Provider, notice: str, **facts: int | None) -> Response:
    visit.note("provider", None, provider=key, **facts)
    return visit.go(f"/health/provider?key={key}", notice)


def _provider(visit: Visit) -> Provider:
    said = visit.said("provider") or visit.asked("key") or Provider.GOOGLE
    if said not in list(Provider):
        raise HTTPException(404)
    return Provider(said)


def _number(visit: Visit, field: str, wrong: str) -> int | None:
    said = visit.said(field).replace(".", "").replace(",", "")
    if said and not (said.isascii() and said.isdigit() and len(said) < 10):
        raise Mend({field: wrong})
    return int(said) if said else None


def _slowed(of: Slowdown, setting: Setting, now: datetime) -> Slowed | None:
    """Say how a provider's answers slow it down now; None once it has recovered."""
    is_paused = of.paused_until is not None and of.paused_until > now
    rate = of.rate(setting.rate_per_min, now)
    if not is_paused and rate == setting.rate_per_min:
        return None
    return Slowed(of.place, rate, of.paused_until if is_paused else None, of.free_at(setting.rate_per_min), of.reason)


def _route(conn: Connection, relay: Relay, today: date) -> Route:
    plan = relay.warmup
    days = relay_days.history(conn, [relay.name], min(plan.first_day, today) if plan else today)
    counted = [theirs[today] for theirs in days.values() if today in theirs]
    allowed: dict[Provider, int] = {}
    if plan is not None:
        for key in Provider:
            letters = warmup.allowance(plan, days.get(Place(relay.name, key), {}), today)
            allowed |= {key: letters} if letters is not None else {}
    return Route(relay, sum(counted, Counted(Place(relay.name, ""))), allowed)


_P = Permission
_ONE = "/health/provider"
PAGES = area(
    "health",
    look("/health", _P.SEE_HEALTH, "health", show),
    live("/health/live", _P.SEE_HEALTH, "health_live", poll, every=5),
    act("/health/examine", _P.EDIT_HEALTH, "health.examined", examine, mends="/health", alone=True),
    look(_ONE, _P.SEE_HEALTH, "health_provider", provider),
    act(f"{_ONE}/rate", _P.EDIT_HEALTH, "health.rate", set_rate, mends=_ONE),
    act(f"{_ONE}/pause", _P.EDIT_HEALTH, "health.paused", pause, mends=_ONE),
    act(f"{_ONE}/resume", _P.EDIT_HEALTH, "health.resumed", resume, mends=_ONE),
    act(f"{_ONE}/reset", _P.EDIT_HEALTH, "health.reset", reset, mends=_ONE),
)

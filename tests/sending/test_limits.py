"""All limits in one look: of several the lowest holds, and what is paused is passed over."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from dispatcher.db.tables import campaign
from dispatcher.domain.delivery.batches import Closed
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.rates import providers, relay_days, slowdowns
from dispatcher.domain.rates.providers import UNTIL_RESUMED, Provider
from dispatcher.domain.rates.relay_days import Counted
from dispatcher.domain.rates.slowdowns import Advice, Place
from dispatcher.errors import InputRefused, MoveRefused, NotFound
from dispatcher.sending import limits, warmup
from dispatcher.sending.limits import Limits
from dispatcher.smtp.relays import Relay, Warmup, parse_relay
from tests import builders

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OLD = parse_relay("smtp://127.0.0.1:2525?tls=none")
NEW = parse_relay("smtp://127.0.0.1:2526?tls=none&rate=6000&warmup=2026-11-22:50")
AT_OLD, AT_NEW = Place(OLD.name, "google"), Place(NEW.name, "google")
DAY = date(2026, 11, 22)
PLAN = Warmup(DAY, 50)


def _load(engine: Engine, *relays: Relay, at: timedelta = timedelta(0)) -> Limits:
    with engine.begin() as conn:
        return limits.load(conn, relays, NOW + at)


def test_where_nothing_is_limited_there_is_nothing_to_hold_to(engine: Engine) -> None:
    found = _load(engine, OLD)
    assert (found.rates, found.paused) == ({}, {})
    assert found.closed([OLD], NOW) == Closed()


def test_a_letter_takes_its_permits_of_relay_provider_and_campaign() -> None:
    assert limits.keys("r:25", "google", 7) == ("relay:r:25", "provider:google@r:25", "campaign:7")


def test_each_limit_stands_under_its_key_in_letters_a_second(engine: Engine) -> None:
    with engine.begin() as conn:
        providers.set_rate(conn, Provider.GOOGLE, 600)
        campaign_id = builders.create_campaign(conn, NOW)
        campaigns.set_rate(conn, campaign_id, 120)
    assert f"campaign:{campaign_id}" not in _load(engine, OLD).rates  # it does not send yet
    with engine.begin() as conn:
        conn.execute(update(campaign).values(state="sending"))
    assert _load(engine, OLD).rates == {f"provider:google@{OLD.name}": 10.0, f"campaign:{campaign_id}": 2.0}


def test_what_a_provider_said_counts_over_that_relay_alone_and_recovers(engine: Engine) -> None:
    other = parse_relay("smtp://127.0.0.1:2527?tls=none&rate=600")
    with engine.begin() as conn:
        providers.set_rate(conn, Provider.GOOGLE, 600)
        slowdowns.heed(conn, AT_OLD, Advice("slower"), 600, NOW)
    found = _load(engine, OLD, other)
    assert found.rates == {
        f"provider:google@{OLD.name}": 5.0, f"provider:google@{other.name}": 10.0, f"relay:{other.name}": 10.0,
    }  # fmt: skip
    assert found.usual["google"] == 600
    assert _load(engine, OLD, at=5 * MINUTE).rates == {f"provider:google@{OLD.name}": 10.0}


def test_a_provider_is_closed_when_no_relay_may_send_to_it(engine: Engine) -> None:
    with engine.begin() as conn:
        slowdowns.heed(conn, AT_OLD, Advice("stop", stop=30 * MINUTE), None, NOW)
        providers.pause(conn, Provider.YAHOO, UNTIL_RESUMED)
    found = _load(engine, OLD, NEW)
    assert not found.is_open(OLD.name, "google", NOW)
    assert found.is_open(NEW.name, "google", NOW)
    assert found.closed([OLD, NEW], NOW) == Closed(frozenset({"yahoo"}))
    assert found.closed([OLD], NOW) == Closed(frozenset({"google", "yahoo"}))
    assert found.is_open(OLD.name, "google", NOW + 30 * MINUTE)
    assert _load(engine, OLD, at=30 * MINUTE).closed([OLD], NOW + 30 * MINUTE) == Closed(frozenset({"yahoo"}))


def test_a_relay_that_is_warmed_up_gets_its_days_letters_spread_over_the_day(engine: Engine) -> None:
    assert _load(engine, NEW).rates[f"provider:google@{NEW.name}"] == pytest.approx(50 / 86_400)
    with engine.begin() as conn:
        relay_days.count(conn, [Counted(AT_NEW, sent=50)], NOW - timedelta(days=1))
        relay_days.count(conn, [Counted(AT_NEW, sent=50)], NOW)
    found = _load(engine, NEW, OLD)
    assert found.rates[f"provider:google@{NEW.name}"] == pytest.approx(100 / 86_400)
    assert found.rates[f"provider:yahoo@{NEW.name}"] == pytest.approx(50 / 86_400)
    assert f"provider:google@{OLD.name}" not in found.rates


@pytest.mark.parametrize(
    ("days", "today", "allowed"),
    [
        ([], 0, 50),
        ([], 5, 50),
        ([], -1, None),
        ([(50, 0)], 1, 100),
        ([(5, 0)], 1, 100),
        ([(4, 0)], 1, 50),
        ([(47, 3)], 1, 50),
        ([(50, 0), (100, 0), (200, 0)], 3, 400),
        ([(50, 0), (80, 20), (100, 0)], 3, 200),
        ([(50, 0), (100, 0)], 1, 100),
        ([(10**6, 0)] * 10, 10, 51_200),
        ([(10**6, 0)] * 11, 11, None),
    ],
)
def test_the_allowance_doubles_after_each_day_that_went_well_and_ends_when_the_relay_is_warm(
    days: list[tuple[int, int]], today: int, allowed: int | None
) -> None:
    counted = {
        DAY + timedelta(days=n): Counted(AT_NEW, sent=sent, deferred=deferred)
        for n, (sent, deferred) in enumerate(days)
    }
    assert warmup.allowance(PLAN, counted, DAY + timedelta(days=today)) == allowed


def test_a_campaigns_rate_can_be_changed_until_it_is_over(engine: Engine) -> None:
    with engine.begin() as conn:
        campaign_id = builders.create_campaign(conn, NOW)
        campaigns.set_rate(conn, campaign_id, 600)
        assert campaigns.get(conn, campaign_id).rate_per_min == 600
        campaigns.set_rate(conn, campaign_id, None)
        assert campaigns.get(conn, campaign_id).rate_per_min is None
        with pytest.raises(InputRefused):
            campaigns.set_rate(conn, campaign_id, 0)
        with pytest.raises(NotFound):
            campaigns.set_rate(conn, 4711, 1)
        conn.execute(update(campaign).values(state="cancelled"))
        with pytest.raises(MoveRefused):
            campaigns.set_rate(conn, campaign_id, 1)

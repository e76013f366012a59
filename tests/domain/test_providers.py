"""Whose mailbox it is, and at what rate letters go there."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, select

from dispatcher.db import clock
from dispatcher.db.tables import subscriber
from dispatcher.domain.rates import providers
from dispatcher.domain.rates.providers import PRESETS, UNTIL_RESUMED, Provider, Setting
from dispatcher.domain.tokens import Keyring
from dispatcher.errors import InputRefused
from tests import builders

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        ("gmail.com", "google"),
        ("googlemail.com", "google"),
        ("outlook.de", "microsoft"),
        ("hotmail.co.uk", "microsoft"),
        ("live.nl", "microsoft"),
        ("msn.com", "microsoft"),
        ("yahoo.com.br", "yahoo"),
        ("aol.com", "yahoo"),
        ("gmx.net", "gmx-webde"),
        ("gmx.at", "gmx-webde"),
        ("web.de", "gmx-webde"),
        ("me.com", "apple"),
        ("t-online.de", "t-online"),
        ("magenta.de", "t-online"),
        ("example.de", "other"),
        ("live.example.de", "other"),
        ("outlook.firma.de", "other"),
        ("gmx.example", "other"),
        ("notgmail.com", "other"),
        ("mail.gmail.com", "other"),
        ("xn--strae-oqa.de", "other"),
        ("gmx", "other"),
        ("", "other"),
    ],
)
def test_a_domain_belongs_to_the_provider_that_names_it_and_else_to_the_others(domain: str, provider: str) -> None:
    assert providers.by_domain(domain) == provider


@pytest.mark.parametrize(
    ("servers", "provider"),
    [
        (["aspmx.l.google.com.", "alt1.aspmx.l.google.com."], "google"),
        (["example-de.mail.protection.outlook.com."], "microsoft"),
        (["mta5.am0.yahoodns.net"], "yahoo"),
        (["mx00.emig.gmx.net"], "gmx-webde"),
        (["MX-HA02.WEB.DE."], "gmx-webde"),
        (["mx01.mail.icloud.com."], "apple"),
        (["mx02.t-online.de"], "t-online"),
        (["mail.example.de", "mx00.emig.gmx.net"], "gmx-webde"),
        (["mail.example.de"], "other"),
        (["notgoogle.com"], "other"),
        (["."], "other"),
        ([], "other"),
    ],
)
def test_a_domain_whose_mail_a_providers_servers_take_is_that_providers(servers: list[str], provider: str) -> None:
    assert providers.by_servers(servers) == provider


def test_every_provider_has_its_preset_and_no_domain_has_two() -> None:
    assert set(PRESETS) == set(Provider)
    domains = [domain for preset in PRESETS.values() for domain in preset.domains]
    assert len(domains) == len(set(domains))
    assert all(providers.by_domain(domain) == p for p, preset in PRESETS.items() for domain in preset.domains)


def test_whoever_comes_in_is_sorted_by_domain(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        addresses = ["anna@gmail.com", "b@GMX.de", "jörg@example.de", "c@bücher.de"]
        builders.add_people(conn, keyring, addresses, clock.now(conn))
        rows = conn.execute(select(subscriber.c.provider).order_by(subscriber.c.id)).scalars().all()
    assert rows == ["google", "gmx-webde", "other", "other"]


def test_the_operators_word_wins_over_the_preset_until_it_is_taken_back(engine: Engine) -> None:
    with engine.begin() as conn:
        assert providers.settings(conn)[Provider.GOOGLE] == Setting(Provider.GOOGLE, None, None)
        providers.set_rate(conn, Provider.GOOGLE, 600)
        providers.pause(conn, Provider.YAHOO, NOW)
        providers.pause(conn, Provider.GOOGLE, UNTIL_RESUMED)
        stands = providers.settings(conn)
        assert stands[Provider.GOOGLE] == Setting(Provider.GOOGLE, 600, UNTIL_RESUMED, is_preset=False)
        assert stands[Provider.YAHOO] == Setting(Provider.YAHOO, None, NOW)
        assert set(stands) == set(Provider)
        providers.resume(conn, Provider.GOOGLE)
        providers.set_rate(conn, Provider.GOOGLE, None)
        assert providers.settings(conn)[Provider.GOOGLE] == Setting(Provider.GOOGLE, None, None, is_preset=False)
        providers.reset(conn, Provider.GOOGLE)
        assert providers.settings(conn)[Provider.GOOGLE].is_preset


@pytest.mark.parametrize("rate", [0, -1, 10_000_001])
def test_a_rate_at_which_nobody_can_send_is_refused(engine: Engine, rate: int) -> None:
    with engine.begin() as conn, pytest.raises(InputRefused) as caught:
        providers.set_rate(conn, Provider.GOOGLE, rate)
    assert caught.value.what == f"{rate} letters a minute is no rate"


def test_a_provider_nobody_knows_is_refused_with_those_there_are() -> None:
    assert providers.read("t-online") is Provider.T_ONLINE
    with pytest.raises(InputRefused) as caught:
        providers.read("gmail")
    assert "google" in caught.value.cure

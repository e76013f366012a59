"""Whether everything is well, at the console: in words, and what can be set about mailbox providers."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from dispatcher import broker
from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.terms import Role
from dispatcher.domain.rates import providers, relay_days, slowdowns
from dispatcher.domain.rates.providers import UNTIL_RESUMED, Provider
from dispatcher.domain.rates.relay_days import Counted
from dispatcher.domain.rates.slowdowns import Advice, Place
from tests.console.office import Browser, Office, on_sqlite, text_of

RELAY = "127.0.0.1:1025"


@pytest.fixture
def sender(office: Office) -> Browser:
    return office.browser_of(Role.SENDER)


def setting(engine: Engine, key: Provider) -> tuple[int | None, object]:
    with engine.connect() as conn:
        found = providers.settings(conn)[key]
    return found.rate_per_min, found.paused_until


@pytest.mark.both_databases
def test_rates_slowdowns_and_what_went_today_are_said_in_words(office_of: Callable[..., Office]) -> None:
    office = office_of(smtp_url=f"smtp://{RELAY}?tls=none&rate=600")
    sender = office.browser_of(Role.SENDER)
    office.subscribe("maria@example.com")
    with office.engine.begin() as conn:
        now = clock.now(conn)
        slowdowns.heed(conn, Place(RELAY, "gmx-webde"), Advice("450 slow down"), None, now)
        slowdowns.heed(conn, Place(RELAY, "t-online"), Advice("421 stop", stop=timedelta(minutes=15)), None, now)
        relay_days.count(conn, [Counted(Place(RELAY, "google"), 1200, 3, 1)], now)
    says = text_of(sender.get("/health"))
    assert f"über {RELAY}: verlangsamt auf 3.000 je Minute" in says
    assert f"über {RELAY}: der Anbieter will eine Pause, bis" in says
    assert "450 slow down" in says
    assert "1.200 3 1" in says
    assert "Der Broker antwortet nicht" in says


def test_limits_and_pauses_of_a_provider_are_set_and_undone(office: Office, sender: Browser) -> None:
    t_online = {"provider": "t-online"}
    for path, data, stands in (
        ("rate", {"rate": "6.000"}, (6000, None)),
        ("pause", {"minutes": ""}, (6000, UNTIL_RESUMED)),
        ("resume", {}, (6000, None)),
        ("rate", {"rate": ""}, (None, None)),
        ("reset", {}, (None, None)),
    ):
        assert sender.post(f"/health/provider/{path}", {**t_online, **data}).status_code == 303, path
        assert setting(office.engine, Provider.T_ONLINE) == stands, path
    sender.post("/health/provider/pause", {**t_online, "minutes": "90"})
    assert "angehalten bis" in text_of(sender.get("/health/provider?key=t-online"))
    assert office.deeds() == ["health.rate", "health.paused", "health.resumed", "health.rate", "health.reset",
                              "health.paused"]  # fmt: skip


@on_sqlite
@pytest.mark.parametrize(
    ("path", "data"),
    [("rate", {"rate": "viel"}), ("rate", {"rate": "0"}), ("pause", {"minutes": "20000"}), ("pause", {"minutes": "x"})],
)
def test_what_is_no_number_is_said_beside_its_field(sender: Browser, path: str, data: dict[str, str]) -> None:
    answer = sender.post(f"/health/provider/{path}", {"provider": "apple", **data})
    assert answer.status_code == 422
    assert "Bitte eine Zahl von 1 bis" in text_of(answer)
    assert "Apple" in text_of(answer)
    assert sender.post(f"/health/provider/{path}", {"provider": "nobody", **data}).status_code == 404


@on_sqlite
def test_every_part_is_looked_at_on_somebodys_word(office_of: Callable[..., Office]) -> None:
    office = office_of(smtp_url="smtp://127.0.0.1:9?tls=none&connect=1")
    sender = office.browser_of(Role.SENDER)
    assert "Geprüft am" not in text_of(sender.get("/health"))
    assert sender.post("/health/examine").status_code == 303
    end = steady() + 30
    while "Geprüft am" not in (says := text_of(sender.get("/health"))):
        assert steady() < end
    assert "Datenbank: in Ordnung" in says
    assert "Relay 127.0.0.1:9: nicht in Ordnung" in says
    assert "Andere Relays übernehmen" in says


@on_sqlite
def test_to_ask_a_broker_that_is_not_there_takes_no_time(office: Office) -> None:
    assert broker.answers(office.settings) is not None
    begun = steady()
    assert broker.answers(office.settings) is not None
    assert broker.lengths(office.settings) is None
    assert steady() - begun < 1.9  # it waited for two seconds before it asked again

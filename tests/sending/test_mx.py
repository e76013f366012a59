"""Look-ups: whose mail servers take a domain's mail decides about its people; silence costs little and moves nobody."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from dispatcher.db import clock
from dispatcher.db.clock import steady
from dispatcher.db.tables import mailbox_domain, subscriber
from dispatcher.domain.rates import mailbox_domains
from dispatcher.domain.tokens import Keyring
from dispatcher.sending.mx import Lookup, resolver
from tests import builders
from tests.dns_server import DnsServer, running_dns


def _add(engine: Engine, keyring: Keyring, *addresses: str) -> None:
    with engine.begin() as conn:
        builders.add_people(conn, keyring, list(addresses), clock.now(conn))


def _providers(engine: Engine) -> dict[str, str]:
    with engine.begin() as conn:
        return {row.address: row.provider for row in conn.execute(select(subscriber.c.address, subscriber.c.provider))}


def _domains(engine: Engine) -> dict[str, str | None]:
    with engine.begin() as conn:
        rows = conn.execute(select(mailbox_domain.c.domain, mailbox_domain.c.mx))
        return {row.domain: row.mx for row in rows}


def _lookup(engine: Engine, server: DnsServer, patience: float = 20.0) -> Lookup:
    return Lookup(engine, resolver(server.place), patience)


def test_people_go_to_the_provider_whose_servers_take_their_domains_mail(engine: Engine, keyring: Keyring) -> None:
    _add(engine, keyring, "anna@firma.example.de", "b@firma.example.de", "c@gmail.com", "d@own.example.de", "e@none.de")
    answers = {
        "firma.example.de": ["20 mail.firma.example.de.", "10 firma-de.mail.protection.outlook.com."],
        "own.example.de": ["10 mail.own.example.de."],
    }
    with running_dns(answers) as server:
        lookup = _lookup(engine, server)
        assert [lookup.step() for _ in range(4)] == [3, 0, 0, 0]
        assert sorted(server.asked) == ["firma.example.de", "none.de", "own.example.de"]
        _add(engine, keyring, "f@firma.example.de")
        assert lookup.step() == 0
    assert _providers(engine) == {
        "anna@firma.example.de": "microsoft",
        "b@firma.example.de": "microsoft",
        "c@gmail.com": "google",
        "d@own.example.de": "other",
        "e@none.de": "other",
        "f@firma.example.de": "microsoft",
    }


def test_of_many_domains_a_few_are_looked_up_at_a_time(engine: Engine, keyring: Keyring) -> None:
    _add(engine, keyring, *(f"p@d{number}.example.de" for number in range(40)))
    with running_dns({}) as server:
        lookup = _lookup(engine, server)
        assert [lookup.step() for _ in range(4)] == [16, 16, 8, 0]


def test_silence_costs_a_tick_no_more_than_its_patience_and_moves_nobody(engine: Engine, keyring: Keyring) -> None:
    _add(engine, keyring, *(f"p@silent{number}.example.de" for number in range(10)))
    with engine.begin() as conn:  # as an earlier look-up found it
        conn.execute(update(subscriber).values(provider="google"))
    with running_dns({f"silent{number}.example.de": None for number in range(10)}) as server:
        lookup = _lookup(engine, server, patience=0.3)
        began = steady()
        assert lookup.step() == 10
        assert steady() - began < 3.0  # what they would cost one after the other
        assert [lookup.step() for _ in range(3)] == [0, 0, 0]
    assert set(_providers(engine).values()) == {"google"}
    assert set(_domains(engine).values()) == {None}
    with engine.begin() as conn:
        mailbox_domains.forget_old(conn, clock.now(conn) + timedelta(hours=23))
    assert len(_domains(engine)) == 10
    with engine.begin() as conn:
        mailbox_domains.forget_old(conn, clock.now(conn) + timedelta(hours=25))
    assert _domains(engine) == {}


def test_what_was_looked_up_is_forgotten_after_a_month_and_asked_for_again_while_somebody_has_it(
    engine: Engine, keyring: Keyring
) -> None:
    _add(engine, keyring, "anna@stays.example.de", "b@goes.example.de")
    with running_dns({"stays.example.de": ["10 mx1.mail.icloud.com."]}) as server:
        _lookup(engine, server).step()
        with engine.begin() as conn:
            month = clock.now(conn) - mailbox_domains.KEPT - timedelta(seconds=1)
            conn.execute(update(mailbox_domain).values(looked_up_at=month))
            conn.execute(update(subscriber).where(subscriber.c.address.like("b@%")).values(address=None))
        later = _lookup(engine, server)
        assert later.step() == 1
        assert [later.step() for _ in range(3)] == [0, 0, 0]
    assert _domains(engine) == {"stays.example.de": "mx1.mail.icloud.com"}
    assert _providers(engine)["anna@stays.example.de"] == "apple"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_unreachable_resolver_stops_nothing(engine: Engine, keyring: Keyring) -> None:
    _add(engine, keyring, "anna@firma.example.de")
    assert Lookup(engine, resolver("127.0.0.1:9"), patience=0.3).step() == 1
    assert _providers(engine) == {"anna@firma.example.de": "other"}

"""Workers at the console: who lives, who is silent, which relay is off and why; it is tried again on a word."""

import pytest
from sqlalchemy import select

from dispatcher.console.steps import step
from dispatcher.db import clock
from dispatcher.db.tables import relay_wish
from dispatcher.db.terms import Role
from dispatcher.domain.delivery import workers
from tests.builders import away, report
from tests.console.office import Office, text_of

RELAY = "relay.example.de"


@pytest.mark.both_databases
def test_who_lives_who_is_silent_and_which_relay_is_off_is_said_in_words(office: Office) -> None:
    sender = office.browser_of(Role.SENDER)
    assert "Noch kein Worker hat sich gemeldet" in text_of(sender.get("/health"))
    office.liven()
    says = text_of(sender.get("/health"))
    assert "Kein Zeichen seit 3 Minuten von mail-1:4711:bulk (Newsletter)" in says
    assert f"Über das Relay {RELAY} geht seit" in says
    assert "Es war nicht zu erreichen. Nächster Versuch:" in says
    assert "dauerte 41 ms" in says
    english = text_of(office.browser_of(Role.VIEWER, language="en").get("/health"))
    assert f"Nothing has gone over relay {RELAY} since" in english
    assert "There is no connection (Connection refused)" in english


def test_a_relay_is_tried_again_on_a_word_that_stands_in_the_audit_log(office: Office) -> None:
    with office.engine.begin() as conn:
        workers.write(conn, report("bulk", clock.now(conn), away(RELAY, clock.now(conn)), is_sending=True))
    sender, viewer = office.browser_of(Role.SENDER), office.browser_of(Role.VIEWER)
    path = f"/health/relay?name={RELAY}"
    assert "Jetzt noch einmal versuchen" in text_of(sender.get(path))
    assert "Jetzt noch einmal versuchen" not in text_of(viewer.get(path))
    assert sender.post("/health/relay/try", {"relay": "nobody"}).status_code == 404
    assert sender.post("/health/relay/try", {"relay": RELAY}).status_code == 303
    with office.engine.begin() as conn:
        assert conn.execute(select(relay_wish.c.relay)).scalars().all() == [RELAY]
    assert office.deeds() == ["workers.tried"]


@pytest.mark.parametrize(
    ("why", "named"),
    [
        ("the connection: [Errno 111] Connection refused", "connection"),
        ("the TLS handshake: no answer within 30 s", "tls"),
        ("the TLS handshake: its certificate is not trusted for relay.example.de: expired", "certificate"),
        ("relay a offers no STARTTLS; nothing was sent in plain text", "tls"),
        ("relay a answered the banner with: 554 5.3.2 not today", "greeting"),
        ("relay a answered AUTH PLAIN with: 535 5.7.8 wrong", "log_in"),
        ("MAIL FROM: 530 5.7.0 authentication required", "log_in"),
        ("MAIL FROM: 550 5.7.1 sender blocked", "sender"),
        ("the final dot: not an SMTP reply", "letter"),
        ("something else", "other"),
    ],
)
def test_the_step_at_which_a_relay_failed_is_named(why: str, named: str) -> None:
    assert step(why) == named

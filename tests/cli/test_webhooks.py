"""`dispatcher webhooks`, against a receiver behind real TLS."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher.domain.programs import webhooks
from dispatcher.domain.tokens import Keyring
from tests.certificates import Certificate
from tests.cli.conftest import Run
from tests.receivers import Receiver, trusted
from tests.web_server import Says, running_web

ADD = ("webhooks", "add", "https://hooks.example.de/a", "--type", "consent.given", "--type", "campaign.moved")


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    return trusted(tmp_path, monkeypatch)


def test_an_endpoint_is_entered_tested_switched_off_and_told_again(
    dispatcher: Run, engine: Engine, keyring: Keyring, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_web({"/hooks": Says(204, b"")}, certificate.server_context()) as web:
        monkeypatch.setenv("DISPATCHER_INTERNAL_HOSTS", f"127.0.0.1:{web.port}")
        made = dispatcher(
            "webhooks", "add", web.url("/hooks"), "--type", "consent.given", "--by", "Anna", "--json"
        ).json
        assert (made["id"], made["kinds"], made["created_by"], made["is_on"]) == (1, ["consent.given"], "Anna", True)
        receiver = Receiver(web, engine, keyring, 1, made["secret"])
        assert "it answered 204" in dispatcher("webhooks", "test", 1).out
        assert [one["type"] for one in receiver.told()] == ["webhook.test"]
        listed = dispatcher("webhooks", "list")
        assert made["secret"] not in listed.out + dispatcher("webhooks", "list", "--json").out
        for word in (web.url("/hooks"), "consent.given", "on"):
            assert word in listed.out
        (message,) = dispatcher("webhooks", "log", 1, "--json").json["messages"]
        assert (message["state"], message["answer"], message["message_id"]) == ("delivered", "204", receiver.ids()[0])
        assert receiver.ids()[0] in dispatcher("webhooks", "log", 1).out
        assert "off since" in dispatcher("webhooks", "off", 1).out
        assert dispatcher("webhooks", "test", 1).error == (
            "endpoint 1 is off",
            "switch it on first: dispatcher webhooks on 1",
        )
        assert dispatcher("webhooks", "on", 1, "--json").json["off_at"] is None
        assert dispatcher("webhooks", "replay", 1, "--json").json["messages"] == 0
        assert dispatcher("webhooks", "replay", 1, "--since", "2026-01-01").out.startswith("1 messages go")
        receiver.deliver()
        assert len(set(receiver.ids())) == 1
        web.pages["/hooks"] = Says(500)
        what, cure = dispatcher("webhooks", "test", 1).error
        assert what.endswith(": 500")
        assert "webhooks log 1" in cure


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_receiver_that_was_given_up_is_named_by_doctor(
    dispatcher: Run, engine: Engine, keyring: Keyring, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_web({"/hooks": Says(410)}, certificate.server_context()) as web:
        monkeypatch.setenv("DISPATCHER_INTERNAL_HOSTS", f"127.0.0.1:{web.port}")
        dispatcher("webhooks", "add", web.url("/hooks"), "--type", "consent.given")
        assert "410" in dispatcher("webhooks", "test", 1).error[0]
    (part,) = [p for p in dispatcher("doctor", "--json").json["parts"] if p["part"] == "webhooks"]
    assert not part["well"]
    assert part["says"].endswith("it said 410: it wants nothing more")
    assert "dispatcher webhooks on 1" in part["cure"]
    dispatcher("webhooks", "off", 1)  # somebody knows
    with engine.begin() as conn:
        assert webhooks.require_taken(conn) == "no endpoint is told anything"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_cannot_be_is_refused_with_what_to_do(dispatcher: Run) -> None:
    assert dispatcher("webhooks", "list").out.startswith("no endpoints yet")
    assert "http://" in dispatcher("webhooks", "add", "http://hooks.example.de", "--type", "consent.given").error[0]
    assert dispatcher(*ADD[:3], "--type", "letter.sent").error[0] == "there is no type 'letter.sent'"
    assert dispatcher("webhooks", "test", 7).error[0] == "there is no endpoint 7"
    shown = dispatcher(*ADD).out
    assert "whsec_" in shown
    assert "endpoint 1 is told: campaign.moved, consent.given" in shown

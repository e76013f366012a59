"""The scripted relay itself: a witness must be beyond doubt. It is asked by the standard library's client."""

import smtplib
from pathlib import Path

import pytest

from dispatcher.smtp.relays import Tls, parse_relay
from tests.certificates import make_certificate
from tests.relay import Act, Ask, RelayProcess, ScriptedRelay, accept_then_drop, drop, read_record, say

LETTER = b"Message-ID: <1@news.example.de>\r\nSubject: x\r\n\r\n.\r\n..two\r\nend\r\n"


def _send(port: int, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        for recipient in recipients:
            client.sendmail("news@example.de", [recipient], LETTER)


def test_a_letter_is_kept_without_the_dots_that_were_stuffed() -> None:
    with ScriptedRelay() as relay:
        _send(relay.port, "anna@example.de")
        (taken,) = relay.accepted
    assert taken.raw == LETTER
    assert (taken.message_id, taken.sender, taken.recipient) == (
        "<1@news.example.de>",
        "news@example.de",
        "anna@example.de",
    )
    assert (taken.accepted_at > 0, taken.wall > 1.7e9, taken.connection) == (True, True, 1)


def test_the_record_holds_what_was_accepted_and_survives_a_line_half_written(tmp_path: Path) -> None:
    record = tmp_path / "accepted.jsonl"
    with ScriptedRelay(record=record) as relay:
        _send(relay.port, "anna@example.de", "bert@example.de")
        assert read_record(record) == relay.accepted
    with record.open("ab") as file:
        file.write(b'{"message_id": "<half')
    assert [taken.recipient for taken in read_record(record)] == ["anna@example.de", "bert@example.de"]


def test_in_a_process_of_its_own_it_records_the_same(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "accepted.jsonl", "--raw") as relay:
        assert parse_relay(relay.url(lanes=3)).lanes == 3
        _send(relay.port, "anna@example.de")
        assert [(taken.recipient, taken.raw) for taken in relay.accepted()] == [("anna@example.de", LETTER)]


def test_in_a_process_of_its_own_it_loses_the_share_that_was_asked_for(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "accepted.jsonl", "--lose-reply", "1.0") as relay:
        with pytest.raises(smtplib.SMTPServerDisconnected):
            _send(relay.port, "anna@example.de")
        assert len(relay.accepted()) == 1


def test_a_list_in_a_script_serves_each_act_once_and_then_the_usual() -> None:
    script = {"RCPT": [say("450 4.2.1 later"), say("550 5.1.1 no")]}
    with ScriptedRelay(script=script) as relay, smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as client:
        client.ehlo()
        client.mail("a@example.de")
        assert [client.rcpt("b@example.de")[0] for _ in range(3)] == [450, 550, 250]


def test_the_recipients_own_entry_goes_before_the_verbs() -> None:
    script = {("RCPT", "anna@example.de"): say("550 5.1.1 no"), "RCPT": say("450 4.2.1 later")}
    with ScriptedRelay(script=script) as relay, smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as client:
        client.ehlo()
        client.mail("a@example.de")
        assert client.rcpt("anna@example.de")[0] == 550
        assert client.rcpt("bert@example.de")[0] == 450


def test_a_callable_is_told_who_is_meant_at_the_dot() -> None:
    asked: list[Ask] = []
    with ScriptedRelay(script=asked.append) as relay:
        _send(relay.port, "anna@example.de")
    (dot,) = [ask for ask in asked if ask.verb == "DOT"]
    assert (dot.sender, dot.recipient, dot.connection, dot.letter) == ("news@example.de", "anna@example.de", 1, 1)


@pytest.mark.parametrize(("act", "taken"), [(drop(), 0), (accept_then_drop(), 1)])
def test_dropping_before_and_after_acceptance_differ_only_in_the_record(act: Act, taken: int) -> None:
    with ScriptedRelay(script={"DOT": act}) as relay:
        with pytest.raises(smtplib.SMTPServerDisconnected):
            _send(relay.port, "anna@example.de")
        assert len(relay.accepted) == taken


def test_a_relay_with_users_refuses_mail_from_strangers_and_logs_in_the_others() -> None:
    with ScriptedRelay(users={"news": "secret"}) as relay:
        with pytest.raises(smtplib.SMTPSenderRefused):
            _send(relay.port, "anna@example.de")
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as client:
            client.login("news", "secret")
            client.sendmail("news@example.de", ["anna@example.de"], LETTER)
        assert len(relay.accepted) == 1


@pytest.mark.parametrize("tls", list(Tls))
def test_its_url_is_one_that_settings_can_read(tls: Tls, tmp_path: Path) -> None:
    certificate = None if tls is Tls.NONE else make_certificate(tmp_path, "localhost")
    with ScriptedRelay(tls=tls, certificate=certificate) as relay:
        read = parse_relay(relay.url(lanes=2))
        assert (read.host, read.port, read.tls, read.ca_file) == (
            relay.relay().host, relay.port, tls, relay.relay().ca_file,
        )  # fmt: skip

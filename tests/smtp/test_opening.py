"""How a connection is opened: certificates, log-in, and every way in which a relay can turn us away."""

import asyncio
import socket
import ssl
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import RelayDown
from dispatcher.smtp.connect import trusted
from dispatcher.smtp.lane import Lane
from dispatcher.smtp.opening import greet
from dispatcher.smtp.relays import Relay, Timeouts, Tls
from dispatcher.smtp.reply import Reply
from dispatcher.smtp.verdict import Sent, Verdict
from tests.certificates import Certificate, make_certificate
from tests.relay import Act, ScriptedRelay, drop, say, stall
from tests.smtp.conftest import Run

Send = Callable[..., list[Verdict]]

ANNA, BERT = "anna@example.de", "bert@example.de"
SECRET = "Kein#Geheimnis+ist:sicher"  # a made-up password that must not be shown
SHORT = Timeouts(connect=0.3, banner=0.3, command=0.3)
PATIENT = Timeouts()  # for whatever is answered: a busy machine may be late


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("stranger"), "other.example.com")


def _refused(run: Run, relay: Relay) -> RelayDown:
    lane = Lane(relay)
    with pytest.raises(RelayDown) as caught:
        run(lane.open())
    assert not lane.is_open
    assert relay.name in caught.value.what
    assert caught.value.cure
    return caught.value


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
def test_letters_travel_over_a_verified_line(send: Send, certificate: Certificate, tls: Tls) -> None:
    users = {"news": SECRET}
    with ScriptedRelay(tls=tls, certificate=certificate, users=users) as relay:
        verdicts = send(relay.relay(user="news", password=SECRET), ANNA, BERT, size=100_000)
        assert [type(verdict) for verdict in verdicts] == [Sent, Sent]
        assert [taken.recipient for taken in relay.accepted] == [ANNA, BERT]


def test_what_was_offered_before_tls_is_forgotten(send: Send, certificate: Certificate) -> None:
    script = {"EHLO": [say("250-relay.example.com\r\n250-STARTTLS\r\n250-DSN\r\n250 AUTH PLAIN")]}
    with ScriptedRelay(tls=Tls.STARTTLS, certificate=certificate, script=script, extensions=("PIPELINING",)) as relay:
        send(relay.relay(), ANNA)
        assert [line.split(" ")[0] for line in relay.lines[:3]] == ["EHLO", "STARTTLS", "EHLO"]
        assert "RET=HDRS" not in relay.lines[3]


@pytest.mark.parametrize("extra", [b"250 HELP\r\n", b"2", b"220 twice\r\n", b"\x16\x03"])
def test_bytes_slipped_in_behind_the_220_to_starttls_end_the_connection(
    run: Run, certificate: Certificate, extra: bytes
) -> None:
    script = {"STARTTLS": say(b"220 go ahead\r\n" + extra)}
    with ScriptedRelay(tls=Tls.STARTTLS, certificate=certificate, script=script) as relay:
        error = _refused(run, relay.relay(user="news", password=SECRET))
        assert "more came than the reply to STARTTLS" in error.what
        assert relay.lines == ["EHLO localhost", "STARTTLS"]


def test_starttls_that_is_not_offered_is_not_done_without(run: Run) -> None:
    with ScriptedRelay() as relay:
        error = _refused(run, relay.relay(tls=Tls.STARTTLS, user="news", password=SECRET))
        assert "offers no STARTTLS" in error.what
        assert relay.lines == ["EHLO localhost"]


def test_starttls_that_is_refused_is_not_done_without(run: Run, certificate: Certificate) -> None:
    script = {"STARTTLS": say("454 4.7.0 TLS not available")}
    with ScriptedRelay(tls=Tls.STARTTLS, certificate=certificate, script=script) as relay:
        assert "STARTTLS with: 454 4.7.0" in _refused(run, relay.relay()).what
        assert relay.lines == ["EHLO localhost", "STARTTLS"]


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
def test_a_certificate_for_another_name_is_not_trusted(run: Run, stranger: Certificate, tls: Tls) -> None:
    with ScriptedRelay(tls=tls, certificate=stranger) as relay:
        error = _refused(run, relay.relay())
        assert "certificate is not trusted for localhost" in error.what
        assert "by a name that is in its certificate" in error.cure


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
@pytest.mark.parametrize("other_ca", [True, False])
def test_a_certificate_of_an_unknown_authority_is_not_trusted(
    run: Run, certificate: Certificate, stranger: Certificate, tls: Tls, other_ca: bool
) -> None:
    with ScriptedRelay(tls=tls, certificate=certificate) as relay:
        error = _refused(run, relay.relay(ca_file=stranger.ca_file if other_ca else None))
        assert "certificate is not trusted" in error.what
        assert "ca=FILE" in error.cure


def test_a_certificate_for_the_address_serves_a_relay_named_by_its_address(send: Send, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "127.0.0.1")
    with ScriptedRelay(tls=Tls.TLS, certificate=certificate) as relay:
        assert [type(v) for v in send(relay.relay(host="127.0.0.1"), ANNA)] == [Sent]


def test_the_line_is_tls_1_2_or_newer_and_always_verified(certificate: Certificate) -> None:
    for ca_file in (None, certificate.ca_file):
        context = trusted(Relay(name="r", host="relay.example.com", port=465, tls=Tls.TLS, ca_file=ca_file))
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_tls_from_the_first_byte_against_a_plain_port_tells_what_to_try(run: Run) -> None:
    with ScriptedRelay() as relay:
        error = _refused(run, relay.relay(tls=Tls.TLS, host="localhost"))
        assert "tls=starttls" in error.cure


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(run: Run, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    relay = Relay(name="r", host="localhost", port=1, tls=Tls.TLS, ca_file=str(path))
    assert str(path) in _refused(run, relay).what


@pytest.mark.parametrize("log_ins", ["PLAIN LOGIN", "PLAIN", "LOGIN", "CRAM-MD5 LOGIN"])
@pytest.mark.parametrize("user", ["news", "jörg@example.de"])
def test_the_log_in_uses_what_is_offered(send: Send, log_ins: str, user: str) -> None:
    with ScriptedRelay(users={user: SECRET}, log_ins=log_ins) as relay:
        assert [type(v) for v in send(relay.relay(user=user, password=SECRET), ANNA)] == [Sent]


@pytest.mark.parametrize("log_ins", ["PLAIN", "LOGIN"])
def test_a_refused_log_in_names_the_user_and_never_the_password(run: Run, log_ins: str) -> None:
    with ScriptedRelay(users={"news": "another"}, log_ins=log_ins) as relay:
        error = _refused(run, relay.relay(user="news", password=SECRET))
        assert "535 5.7.8" in error.what
        assert "news" in error.cure
        shown = "".join(traceback.format_exception(error)) + repr(relay.relay(user="news", password=SECRET))
        assert SECRET not in shown


def test_a_relay_that_repeats_the_password_does_not_get_it_into_an_error(run: Run) -> None:
    token = "AG5ld3MAS2VpbiNHZWhlaW1uaXMraXN0OnNpY2hlcg=="
    script = {"AUTH": say(f"535 5.7.8 bad AUTH PLAIN {token} password {SECRET}")}
    with ScriptedRelay(users={"news": "another"}, script=script) as relay:
        error = _refused(run, relay.relay(user="news", password=SECRET))
        assert relay.lines[1] == f"AUTH PLAIN {token}"
        assert error.what.endswith("535 5.7.8 bad AUTH PLAIN *** password ***")


def test_a_relay_that_offers_no_log_in_we_know_says_which_it_offers(run: Run) -> None:
    with ScriptedRelay(users={"news": SECRET}, log_ins="CRAM-MD5 GSSAPI") as relay:
        assert "(it offers: CRAM-MD5, GSSAPI)" in _refused(run, relay.relay(user="news", password=SECRET)).what


@pytest.mark.parametrize(
    ("verb", "act", "told"),
    [
        ("BANNER", say("554 5.7.1 blocked: bad reputation"), "the banner with: 554 5.7.1 blocked: bad reputation"),
        ("BANNER", say("421 4.3.2 too many connections"), "the banner with: 421"),
        ("BANNER", drop(), "the banner: the relay closed the connection"),
        ("BANNER", stall(), "the banner: no reply within 0.3 s"),
        ("BANNER", Act(reply=b"SSH-2.0-OpenSSH_9\r\n"), "not an SMTP reply"),
        ("BANNER", Act(reply=b"220 " + b"x" * 10_000_000), "a reply line without an end"),
        ("EHLO", say("502 5.5.1 unknown"), "EHLO with: 502 5.5.1 unknown"),
        ("EHLO", drop(), "EHLO: the relay closed the connection"),
        ("EHLO", stall(), "EHLO: no reply within 0.3 s"),
        ("EHLO", Act(reply=b"250-PIPELINING\r\n" * 1000 + b"250 DSN\r\n"), "a reply without an end"),
        ("EHLO", Act(reply=b"250-one\r\n251 two\r\n"), "bear different codes"),
        ("EHLO", Act(reply=b"250 one\r\n250 two\r\n"), "more came than the reply to EHLO"),
    ],
)
def test_every_way_of_being_turned_away_names_its_step(run: Run, verb: str, act: Act, told: str) -> None:
    with ScriptedRelay(script={verb: act}) as relay:
        assert told in _refused(run, relay.relay(timeouts=SHORT if act.silent else PATIENT)).what
        assert relay.wait_until(lambda it: it.open_connections == 0 or verb in ("BANNER", "EHLO"))


def test_a_554_in_the_banner_blames_no_address(run: Run) -> None:
    with ScriptedRelay(script={"BANNER": say("554 5.7.1 go away")}) as relay:
        assert "no address is to blame" in _refused(run, relay.relay()).cure


def test_a_port_where_nobody_listens_is_a_relay_that_is_down(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = _refused(run, Relay(name="r", host="127.0.0.1", port=port, tls=Tls.NONE))
    assert "the connection" in error.what


def test_a_relay_that_does_not_take_part_in_the_handshake_costs_one_limit(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        relay = Relay(name="r", host="localhost", port=silent.getsockname()[1], tls=Tls.TLS, timeouts=SHORT)
        assert "no answer within 0.3 s" in _refused(run, relay).what


def test_an_opening_that_is_cancelled_leaves_no_connection_behind(run: Run) -> None:
    async def play(lane: Lane) -> None:
        task = asyncio.create_task(lane.open())
        assert await asyncio.to_thread(relay.wait_until, lambda it: it.lines != [])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ScriptedRelay(script={"EHLO": stall(), "QUIT": drop()}) as relay:
        lane = Lane(relay.relay())
        run(play(lane))
        assert not lane.is_open
        assert relay.wait_until(lambda it: it.open_connections == 0)


def test_a_log_in_is_never_begun_over_a_plain_line_to_elsewhere() -> None:
    relay = Relay(name="r", host="127.0.0.1", port=25, tls=Tls.NONE, user="news", password=SECRET)
    object.__setattr__(relay, "host", "192.0.2.1")  # as if somebody had found a way around the check
    opening = greet(relay)
    turns: list[Any] = [next(opening)]
    turns.append(opening.send(Reply(220, None, "ready")))
    with pytest.raises(RelayDown, match="plain text"):
        opening.send(Reply(250, None, "hello AUTH PLAIN", ("hello", "AUTH PLAIN")))
    assert all(SECRET not in repr(turn) for turn in turns)

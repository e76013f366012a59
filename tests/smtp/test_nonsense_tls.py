"""Relays whose TLS is nonsense: plain text instead of it, bytes slipped in, old certificates, lines cut anywhere."""

from pathlib import Path

import pytest

from dispatcher.errors import RelayDown
from dispatcher.smtp.relays import Tls
from dispatcher.smtp.verdict import NotSent, Sent, Unknown
from tests.certificates import Certificate, make_certificate
from tests.cutting_proxy import CuttingProxy
from tests.raw_server import Close, Drip, Flood, Hear, Move, Shake
from tests.relay import ScriptedRelay
from tests.smtp.conftest import Run
from tests.smtp.nonsense import (
    BANNER,
    COMMAND,
    DOT,
    END,
    ENVELOPE,
    HELLO,
    NONSENSE,
    OPENING,
    SOON,
    play,
    relay_at,
    send_one,
)
from tests.stories import is_at_length

STARTTLS_HELLO = b"250-relay.example.com\r\n250 STARTTLS\r\n"
TO_STARTTLS: tuple[Move, ...] = (BANNER, Hear(b"EHLO"), STARTTLS_HELLO, Hear(b"STARTTLS\r\n"))
GO = b"220 go ahead\r\n"

# What a server may send where a TLS handshake is due.
NO_HANDSHAKE: dict[str, tuple[Move, ...]] = {
    "plain text": (Hear(b"\x16\x03"), b"250-relay.example.com\r\n250 PIPELINING\r\n"),
    "an SMTP error": (Hear(b"\x16\x03"), b"500 5.5.1 what\r\n"),
    "an alert": (Hear(b"\x16\x03"), b"\x15\x03\x03\x00\x02\x02\x28"),
    "a record without an end": (Hear(b"\x16\x03"), b"\x16\x03\x03\x40\x00" + b"x" * 100),
    "a record of the wrong kind": (Hear(b"\x16\x03"), b"\x17\x03\x03\x00\x10" + b"x" * 16),
    "a flood": (Hear(b"\x16\x03"), Flood(b"\xff" * 65536)),
    "a flood of empty records": (Hear(b"\x16\x03"), Flood(b"\x16\x03\x03\x00\x00" * 1000)),
    "single octets": (Hear(b"\x16\x03"), Drip(b"\x16\x03\x03\x40\x00" + b"x" * 1000, 0.02)),
    "silence": (Hear(b"\x16\x03"),),
    "a close": (Hear(b"\x16\x03"), Close()),
    "a close at once": (Close(),),
    "a reset": (Hear(b"\x16\x03"), Close(reset=True)),
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.mark.parametrize("kind", NO_HANDSHAKE)
@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
def test_whatever_comes_instead_of_a_handshake_the_relay_is_down_and_nothing_was_said(
    run: Run, tls: Tls, kind: str
) -> None:
    before = (*TO_STARTTLS, GO) if tls is Tls.STARTTLS else ()
    step = "the TLS handshake" if tls is Tls.STARTTLS else "the connection"
    script, log_in = (*before, *NO_HANDSHAKE[kind]), {"user": "news", "password": "geheim"}
    seen, heard = play(run, *script, tls=tls, host="localhost", timeouts=OPENING, **log_in)
    assert isinstance(seen.end, RelayDown)
    assert seen.end.what.startswith(f"relay nonsense, {step}: ")
    assert seen.end.what.isprintable()
    assert seen.end.cure
    assert seen.seconds < SOON
    plain = heard.partition(b"STARTTLS\r\n")[0] if tls is Tls.STARTTLS else b""
    assert plain.count(b"\r\n") == (1 if tls is Tls.STARTTLS else 0)  # EHLO
    assert b"MAIL" not in heard
    assert b"AUTH" not in heard


def test_plain_text_behind_the_220_to_starttls_is_told_apart_from_a_wrong_port(run: Run) -> None:
    seen, _ = play(run, *TO_STARTTLS, GO, *NO_HANDSHAKE["plain text"], tls=Tls.STARTTLS, host="localhost")
    assert isinstance(seen.end, RelayDown)
    assert "said it would speak TLS and did not" in seen.end.cure


@pytest.mark.parametrize("extra", [b"250 x\r\n", b"\r\n", b"2", b"250-a\r\n", b"\x16\x03\x03\x40\x00"])
def test_bytes_behind_the_220_to_starttls_end_the_connection_before_tls(run: Run, extra: bytes) -> None:
    seen, heard = play(run, *TO_STARTTLS, GO + extra, tls=Tls.STARTTLS, host="localhost")
    assert isinstance(seen.end, RelayDown)
    assert seen.end.what.startswith("relay nonsense, STARTTLS: more came than the reply to STARTTLS")
    assert "interfere" in seen.end.cure
    assert b"\x16\x03" not in heard.partition(b"STARTTLS\r\n")[2]


@pytest.mark.parametrize("early", [b"2", b"nonsense\r\n"])  # what could be the answer itself cannot be told apart
def test_what_is_said_within_tls_before_it_was_asked_ends_the_connection(
    run: Run, certificate: Certificate, early: bytes
) -> None:
    # Mostly it lies there when the second EHLO is due. Where it arrives behind EHLO it cannot be told from an answer,
    # and the answer that comes then is one too many, or that to MAIL; what is certain is that nothing is sent.
    script = (*TO_STARTTLS, GO, Shake(certificate.server_context()), early, Hear(b"EHLO"), HELLO)
    seen, heard = play(run, *script, tls=Tls.STARTTLS, host="localhost", ca_file=certificate.ca_file)
    assert isinstance(seen.end, RelayDown | NotSent)
    assert END not in heard


@pytest.mark.parametrize("kind", [kind for kind in NONSENSE if "drip" not in kind and "half" not in kind])
@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
def test_nonsense_within_tls_has_the_class_of_its_moment(
    run: Run, certificate: Certificate, tls: Tls, kind: str
) -> None:
    before = (*TO_STARTTLS, GO) if tls is Tls.STARTTLS else ()
    hello = (Shake(certificate.server_context()), *(() if before else (BANNER,)), Hear(b"EHLO"))
    letter: tuple[Move, ...] = (HELLO, Hear(b"DATA\r\n"), ENVELOPE, Hear(END))
    known = {"tls": tls, "host": "localhost", "ca_file": certificate.ca_file}
    found = []
    for orderly, limits in ((hello, OPENING), ((*hello, *letter[:2]), COMMAND), ((*hello, *letter), DOT)):
        seen, _ = play(run, *before, *orderly, *NONSENSE[kind], timeouts=limits, **known)
        assert seen.seconds < SOON
        found.append(type(seen.end))
    assert found == [RelayDown, NotSent, Unknown]


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
@pytest.mark.parametrize(
    ("days", "why"), [((-10, -1), "certificate has expired"), ((1, 10), "certificate is not yet valid")]
)
def test_an_old_and_a_premature_certificate_are_named_as_what_they_are(
    run: Run, tmp_path: Path, tls: Tls, days: tuple[int, int], why: str
) -> None:
    old = make_certificate(tmp_path, "localhost", days=days)
    with ScriptedRelay(tls=tls, certificate=old) as relay:
        seen = run(send_one(relay.relay()))
        assert isinstance(seen.end, RelayDown)
        assert seen.end.what.startswith("relay witness, ")
        assert why in seen.end.what
        assert "renew" in seen.end.cure
        assert not any(line.startswith("MAIL") for line in relay.lines)


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
@pytest.mark.parametrize(
    ("run", "reset", "first"),
    [("asyncio", False, 1), ("asyncio", True, 12), ("uvloop", False, 23), ("uvloop", True, 34)],
    indirect=["run"],
)
def test_a_tls_line_cut_off_anywhere_goes_through_the_classes_in_their_order(
    run: Run, certificate: Certificate, tls: Tls, reset: bool, first: int
) -> None:
    # Each costs a handshake: the four share the places out among themselves, unless there is time.
    places = range(1, 2600, 11) if is_at_length() else range(first, 2600, 44)
    order = [RelayDown, NotSent, Unknown, Sent]
    scripted = ScriptedRelay(tls=tls, certificate=certificate, extensions=("PIPELINING",))
    with scripted as relay, CuttingProxy(relay.port) as proxy:
        found = []
        for octets in [*places, 10_000]:
            taken = len(relay.accepted)
            proxy.cut_after(octets, reset=reset)
            seen = run(send_one(relay_at(proxy.port, tls=tls, host="localhost", ca_file=certificate.ca_file)))
            found.append(order.index(type(seen.end)))
            assert seen.seconds < SOON
            # What is Sent was taken, what is NotSent was not.
            assert not isinstance(seen.end, Sent) or len(relay.accepted) == taken + 1
            assert not isinstance(seen.end, NotSent | RelayDown) or len(relay.accepted) == taken
    assert found == sorted(found)
    assert {order[place] for place in found} >= {RelayDown, Sent}

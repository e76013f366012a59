"""Relays as URLs."""

from datetime import date

import pytest

from dispatcher.errors import InputRefused
from dispatcher.smtp.relays import Relay, Timeouts, Tls, Warmup, parse_relay

HOST = "smtp.example.de"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtp://smtp.example.de", HOST, 587, Tls.STARTTLS),
        ("smtp://smtp.example.de/", HOST, 587, Tls.STARTTLS),
        (" smtp://smtp.example.de:25 ", HOST, 25, Tls.STARTTLS),
        ("SMTP://SMTP.Example.DE?tls=tls", HOST, 465, Tls.TLS),
        ("smtps://smtp.example.de", HOST, 465, Tls.TLS),
        ("smtps://smtp.example.de:2465?tls=tls", HOST, 2465, Tls.TLS),
        ("smtp://127.0.0.1:1025?tls=none", "127.0.0.1", 1025, Tls.NONE),
        ("smtp://127.9.9.9?tls=none", "127.9.9.9", 25, Tls.NONE),
        ("smtp://localhost?tls=none", "localhost", 25, Tls.NONE),
        ("smtp://[::1]:1025?tls=none", "::1", 1025, Tls.NONE),
    ],
)
def test_scheme_and_options_give_host_port_and_protection(url: str, host: str, port: int, tls: Tls) -> None:
    relay = parse_relay(url)
    assert (relay.host, relay.port, relay.tls) == (host, port, tls)


def test_everything_that_is_not_said_has_its_default() -> None:
    assert parse_relay("smtp://smtp.example.de") == Relay(
        name="smtp.example.de:587", host=HOST, port=587, tls=Tls.STARTTLS, user=None, password=None, lanes=16,
        hello="localhost", letters_per_connection=1000, ca_file=None, timeouts=Timeouts(30, 60, 300, 180, 600),
    )  # fmt: skip


def test_every_option_is_taken_and_the_log_in_is_percent_decoded() -> None:
    relay = parse_relay(
        "smtp://news%40example.de:p%3A%2F%3F%23%40%C3%A4+1@smtp.example.de"
        "?lanes=4&letters=0&hello=news.example.de&ca=certs%2Four%20ca.pem"
    )
    assert (relay.user, relay.password) == ("news@example.de", "p:/?#@ä+1")
    assert (relay.lanes, relay.letters_per_connection) == (4, 0)
    assert (relay.hello, relay.ca_file) == ("news.example.de", "certs/our ca.pem")
    assert parse_relay("smtp://[::1]:25?tls=none").name == "[::1]:25"


def test_a_relay_may_have_a_rate_and_a_warm_up() -> None:
    relay = parse_relay("smtp://smtp.example.de?rate=6000&warmup=2026-12-01:50")
    assert (relay.rate_per_min, relay.warmup) == (6000, Warmup(date(2026, 12, 1), 50))


@pytest.mark.parametrize(
    "host", ["smtp.example.de", "10.0.0.1", "0.0.0.0", "[::]", "localhost.example.de", "128.0.0.1"]
)
def test_no_tls_is_for_loopback_alone(host: str) -> None:
    with pytest.raises(InputRefused) as caught:
        parse_relay(f"smtp://{host}?tls=none")
    assert "plain text" in caught.value.what
    assert "tls=starttls" in caught.value.cure


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "neither smtp:// nor smtps://"),
        ("http://smtp.example.de", "neither smtp:// nor smtps://"),
        ("smtp.example.de:25", "neither smtp:// nor smtps://"),
        ("smtp://", "names no host"),
        ("smtp://:25", "names no host"),
        ("smtp://smtp.exam ple.de", "names no host"),
        ("smtp://smtp..example.de", "names no host"),
        ("smtp://.smtp.example.de", "names no host"),
        (f"smtp://{'a' * 64}.example.de", "names no host"),
        (f"smtp://{'a.' * 127}de", "names no host"),
        ("smtp://a'b.example.de", "names no host"),
        ("smtp://[::1", "cannot be read"),
        ("smtp://smtp.example.de:0", "port"),
        ("smtp://smtp.example.de:99999", "port"),
        ("smtp://smtp.example.de/inbox", "behind host and port"),
        ("smtp://smtp.example.de#x", "behind host and port"),
        ("smtp://smtp.example.de?lane=4", "unknown option 'lane'"),
        ("smtp://smtp.example.de?lanes=0", "lanes"),
        ("smtp://smtp.example.de?lanes=-1", "lanes"),
        ("smtp://smtp.example.de?lanes=1001", "lanes"),
        ("smtp://smtp.example.de?lanes=٣", "lanes"),
        ("smtp://smtp.example.de?lanes=4&lanes=5", "twice"),
        ("smtp://smtp.example.de?letters=many", "letters"),
        ("smtp://smtp.example.de?connect=0", "connect"),
        ("smtp://smtp.example.de?connect=301", "connect"),
        ("smtp://smtp.example.de?command=0.5", "command"),
        ("smtp://smtp.example.de?command=301", "command"),
        ("smtp://smtp.example.de?dot=0", "dot"),
        ("smtp://smtp.example.de?dot=601", "dot"),
        ("smtp://smtp.example.de?tls=maybe", "tls=maybe"),
        ("smtps://smtp.example.de?tls=starttls", "contradict"),
        ("smtp://smtp.example.de?hello=a%20b", "hello"),
        ("smtp://smtp.example.de?hello=a%0D%0AMAIL", "hello"),
        ("smtp://smtp.example.de?ca=", "ca"),
        ("smtp://smtp.example.de?ca", "cannot be read"),
        ("smtp://smtp.example.de?rate=0", "rate"),
        ("smtp://smtp.example.de?rate=fast", "rate"),
        ("smtp://smtp.example.de?warmup=50", "warmup"),
        ("smtp://smtp.example.de?warmup=2026-12-01", "warmup"),
        ("smtp://smtp.example.de?warmup=2026-13-01:50", "warmup"),
        ("smtp://smtp.example.de?warmup=2026-12-01:0", "warmup"),
        ("smtp://news@smtp.example.de", "only one of user and password"),
        ("smtp://:x@smtp.example.de", "only one of user and password"),
        ("smtp://news:%FF@smtp.example.de", "not UTF-8"),
        ("smtp://news:a%00b@smtp.example.de", "NUL"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_cure(url: str, told: str) -> None:
    with pytest.raises(InputRefused) as caught:
        parse_relay(url)
    assert told in caught.value.what
    assert caught.value.cure


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ("connect=5", Timeouts(connect=5, banner=5)),
        ("command=20", Timeouts(command=20, data_block=20)),
        ("dot=300", Timeouts(dot=300)),
        ("connect=300&command=300&dot=600", Timeouts(300, 300, 300, 300, 600)),
    ],
)
def test_the_waits_of_a_relay_can_be_set(options: str, limits: Timeouts) -> None:
    assert parse_relay(f"smtp://smtp.example.de?{options}").timeouts == limits


@pytest.mark.parametrize(
    "option", ["tls", "lanes", "ca", "letters", "hello", "rate", "warmup", "connect", "command", "dot"]
)
def test_an_unknown_option_is_told_all_that_exist(option: str) -> None:
    with pytest.raises(InputRefused) as caught:
        parse_relay("smtp://smtp.example.de?speed=1")
    assert f"{option}=" in caught.value.cure


@pytest.mark.parametrize("mark", ["/", "?", "#", "[", ":", "@", "%FF", "%00", "\u2100"])
def test_a_password_that_was_not_encoded_is_never_shown(mark: str) -> None:
    url = f"smtp://news:geheim{mark}zeichen@smtp.example.de:x?tls=none"
    with pytest.raises(InputRefused) as caught:
        parse_relay(url)
    told = f"{caught.value.what} {caught.value.cure} {caught.value.__cause__}"
    assert "geheim" not in told
    assert "zeichen" not in told
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_relay_does_not_show_its_password() -> None:
    assert "geheim" not in repr(parse_relay("smtp://news:geheim@smtp.example.de"))

"""Requests that we make go to the internet and nowhere else, end in time, and read no more than was asked for."""

import asyncio
from ipaddress import ip_address
from time import monotonic

import pytest

from dispatcher.outgoing import Answer, Outgoing, Passport, Trouble, Unanswered, fetch, is_public
from tests.web_server import Says, WebServer, running_web


def ask(wanted: Outgoing, passport: Passport | None = None) -> Answer | Unanswered:
    return asyncio.run(fetch(wanted, passport or Passport()))


def named(web: WebServer) -> Passport:
    return Passport(frozenset({f"127.0.0.1:{web.port}"}))


def trouble(url: str) -> Trouble:
    answer = ask(Outgoing(url))
    assert isinstance(answer, Unanswered)
    return answer.trouble


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "192.0.2.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_internet_is_known_in_any_clothes(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_nothing_is_sent_to_a_private_address_unless_the_operator_named_the_host() -> None:
    with running_web({"/": Says()}) as web:
        port = f"127.0.0.1:{web.port}"
        by_number = Passport(frozenset({f"localhost:{web.port}"}))  # another name for the same place is not named
        answers = [ask(Outgoing(web.url()), passport) for passport in (Passport(), by_number)]
        assert [a.trouble for a in answers if isinstance(a, Unanswered)] == [Trouble.ADDRESS, Trouble.ADDRESS]
        assert web.asked == []
        assert isinstance(ask(Outgoing(web.url()), Passport(frozenset({port}))), Answer)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "2130706433", "[::ffff:7f00:1]"]
)
def test_a_host_of_the_inside_is_refused_however_it_is_written(host: str) -> None:
    assert trouble(f"http://{host}/") in {Trouble.NOT_PUBLIC, Trouble.NO_NAME}


@pytest.mark.parametrize(
    "url", ["ftp://example.de/", "https://", "//example.de/", "https://example.de:22/", "https://[::1/", "javascript:x"]
)
def test_what_is_no_web_address_is_not_asked(url: str) -> None:
    assert trouble(url) is Trouble.ADDRESS


def test_a_name_that_nobody_knows_is_told() -> None:
    assert trouble("https://gibtsnicht.invalid/") is Trouble.NO_NAME


def test_a_redirect_is_given_back_and_not_followed() -> None:
    with running_web({"/a": Says(302, b"", {"Location": "/b"}), "/b": Says()}) as web:
        answer = ask(Outgoing(web.url("/a")), named(web))
        assert isinstance(answer, Answer)
        assert (answer.status, answer.headers["location"]) == (302, "/b")
        assert [path for _, path, _ in web.asked] == ["/a"]


def test_no_more_is_read_than_was_asked_for_and_the_size_is_told() -> None:
    with running_web({"/": Says(body=b"x" * 3_000_000)}) as web:
        answer = ask(Outgoing(web.url(), keep=1000), named(web))
        assert isinstance(answer, Answer)
        assert (len(answer.body), answer.size) == (1000, 3_000_000)


def test_a_server_that_says_nothing_is_left_when_patience_ends() -> None:
    with running_web({"/": Says(after_s=20)}) as web:
        began = monotonic()
        answer = ask(Outgoing(web.url(), patience=0.2), named(web))
        assert isinstance(answer, Unanswered)
        assert answer.trouble is Trouble.TIME
        assert monotonic() - began < 5


def test_what_a_post_says_arrives() -> None:
    with running_web({"/u": Says()}) as web:
        answer = ask(Outgoing(web.url("/u"), "POST", {"Content-Type": "text/plain"}, b"hello"), named(web))
        assert isinstance(answer, Answer)
        assert web.asked == [("POST", "/u", b"hello")]


def test_a_letter_that_is_not_ascii_is_asked_for_as_a_browser_does() -> None:
    with running_web({"/gr%C3%BC%C3%9Fe": Says()}) as web:
        answer = ask(Outgoing(web.url("/grüße")), named(web))
        assert isinstance(answer, Answer)
        assert answer.status == 200

"""The pages over real sockets: broken, slow and oversized requests, and what the server says of itself."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dispatcher.db.terms import Topic
from dispatcher.domain.tokens import Purpose
from dispatcher.errors import PartUnavailable
from dispatcher.web import forms
from dispatcher.web.server import listen, make_server, serve
from tests.web.visitor import House, on_sqlite

pytestmark = on_sqlite

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
def port(house: House) -> Iterator[int]:
    """Serve the pages on a free port."""
    server = make_server(house.app)
    with listen("127.0.0.1", 0) as opened:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        yield opened.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture
def maria(house: House) -> int:
    """Maria, who agreed to everything."""
    return house.add()


@pytest.fixture
def path(house: House, maria: int) -> str:
    """Give the link in a finance letter of hers."""
    return f"/u/{house.token(Purpose.UNSUBSCRIBE, maria, Topic.FINANCE_NEWS)}"


def until(claim: Callable[[], bool]) -> None:
    """Wait until something is true, for at most ten seconds."""
    end = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < end, "it did not become true"
        threading.Event().wait(0.02)


def begin(port: int, path: str, headers: str, body: bytes = b"") -> socket.socket:
    """Begin a POST; what was promised need not come."""
    line = socket.create_connection(("127.0.0.1", port), timeout=20)
    line.sendall(f"POST {path} HTTP/1.1\r\nHost: news.example.de\r\n{headers}\r\n".encode() + body)
    return line


def status(line: socket.socket) -> int:
    """Read the status of an answer."""
    return int(line.makefile("rb").readline().split()[1])


def left_finance(house: House, maria: int) -> bool:
    return Topic.FINANCE_NEWS not in house.confirmed(maria)


def test_one_click_works_as_mail_programs_send_it(house: House, maria: int, port: int, path: str) -> None:
    body = b"List-Unsubscribe=One-Click"
    with begin(port, path, FORM + f"Content-Length: {len(body)}\r\n", body) as line:
        assert status(line) == 200
    assert left_finance(house, maria)


def test_one_click_in_chunks_is_read_too(house: House, maria: int, port: int, path: str) -> None:
    chunks = b"10\r\nList-Unsubscribe\r\n1\r\n=\r\n9\r\nOne-Click\r\n0\r\n\r\n"
    with begin(port, path, FORM + "Transfer-Encoding: chunked\r\n", chunks) as line:
        assert status(line) == 200
    assert left_finance(house, maria)


def test_a_huge_body_is_not_read_to_its_end_and_still_unsubscribes(
    house: House, maria: int, port: int, path: str
) -> None:
    with begin(port, path, FORM + "Content-Length: 1000000000\r\n", b"a" * 100_000) as line:
        assert status(line) == 200
    assert left_finance(house, maria)


def test_a_body_that_never_comes_is_not_waited_for_and_still_unsubscribes(
    house: House, maria: int, port: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "MOST_SECONDS", 0.2)
    with begin(port, path, FORM + "Content-Length: 26\r\n", b"List-Unsub") as line:
        assert status(line) == 200
    assert left_finance(house, maria)


def test_whoever_hangs_up_in_the_middle_is_unsubscribed(house: House, maria: int, port: int, path: str) -> None:
    begin(port, path, FORM + "Content-Length: 26\r\n", b"List-Unsub").close()
    until(lambda: left_finance(house, maria))


def test_a_form_that_does_not_come_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_SECONDS", 0.2)
    with begin(port, "/", FORM + "Content-Length: 26\r\n", b"address=") as line:
        assert status(line) == 408


def test_a_form_of_more_than_64_kilobytes_is_refused_before_it_has_come(port: int) -> None:
    with begin(port, "/", FORM + "Content-Length: 1000000000\r\n", b"a" * 100_000) as line:
        assert status(line) == 413


def test_head_has_the_headers_of_get_and_no_body(port: int, path: str) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    client.request("HEAD", path)
    head = client.getresponse()
    assert (head.status, head.read()) == (200, b"")
    client.request("GET", path)
    got = client.getresponse()
    assert head.getheader("content-length") == got.getheader("content-length") == str(len(got.read()))
    client.close()


def test_the_server_does_not_say_what_it_is_and_logs_no_path(
    port: int, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with begin(port, path, "X-Forwarded-For: 203.0.113.1\r\nContent-Length: 0\r\n") as line:
        answer = line.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 200")
    assert "\r\nserver:" not in answer.lower()
    logged = capfd.readouterr()
    assert path not in logged.out + logged.err


def test_the_servers_own_reading_of_forwarded_addresses_is_off(house: House, port: int, path: str) -> None:
    """Loopback is not among the trusted proxies here, though uvicorn would trust it by default."""
    with begin(port, path, "X-Forwarded-For: 203.0.113.1\r\nContent-Length: 0\r\n") as line:
        assert status(line) == 200
    assert house.rows("consent_event")[-1].ip == "127.0.0.1"


def test_a_port_that_is_taken_is_named_with_the_cure(house: House) -> None:
    with listen("127.0.0.1", 0) as opened:
        taken = opened.getsockname()[1]
        with pytest.raises(PartUnavailable, match=f"port {taken} on 127.0.0.1 cannot be opened") as caught:
            serve(house.app, "127.0.0.1", taken)
    assert "--port" in caught.value.cure

"""A spam filter's verdict: from a peer that speaks spamd's protocol, from one that speaks rspamd's, and from the real
spamd where it is installed.
"""

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dispatcher.sending.preflight import spam
from dispatcher.sending.preflight.findings import Severity
from dispatcher.sending.preflight.spam import FilterAway, Score, ask, check_spam
from tests.sending.preflight.conftest import Open
from tests.web.visitor import on_sqlite
from tests.web_server import Says, port_of_nobody, running_web

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
LETTER = (
    b"From: a@example.de\r\nTo: b@example.de\r\nSubject: x\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\n\r\nHello.\r\n"
)


@contextmanager
def spamd(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answer one question as spamd does: after all of it, then hang up."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            line, _ = server.accept()
            with line:
                heard.append(b"".join(iter(lambda: line.recv(65536), b"")))
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for octet in answer:
                    line.sendall(bytes([octet]))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"spamd://127.0.0.1:{server.getsockname()[1]}", heard
        thread.join(10)


def answer(spam: str, score: str, rules: str) -> bytes:
    head = f"SPAMD/1.1 0 EX_OK\r\nContent-length: {len(rules)}\r\nSpam: {spam} ; {score} / 5.0\r\n\r\n"
    return head.encode() + rules.encode()


def test_the_letter_is_handed_over_whole_and_the_verdict_read() -> None:
    with spamd(answer("False", "1.3", "HTML_MESSAGE,MISSING_MID")) as (url, heard):
        assert ask(url, LETTER) == Score(1.3, 5.0, ("HTML_MESSAGE", "MISSING_MID"))
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert head == b"SYMBOLS SPAMC/1.5\r\nContent-length: %d" % len(LETTER)
    assert body == LETTER


@on_sqlite
@pytest.mark.parametrize(
    ("score", "name", "severity"),
    [
        ("-1.5", "fine", Severity.NOTE),
        ("2.4", "fine", Severity.NOTE),
        ("2.5", "near", Severity.WARN),
        ("5.0", "spam", Severity.STOP),
    ],
)
def test_a_score_stops_from_the_filters_own_limit_on(lay: Open, score: str, name: str, severity: Severity) -> None:
    with spamd(answer("False", score, "A")) as (url, _):
        (finding,) = check_spam(lay(spam_check=url))
    assert (finding.name, finding.severity, finding.where) == (name, severity, "news.de.md")


@on_sqlite
@pytest.mark.parametrize("said", [b"", b"SPAMD/1.0 76 Bad header line\r\n\r\n", b"220 hello\r\n", answer("x", "y", "")])
def test_a_filter_that_answers_otherwise_gives_no_verdict_and_stops_nothing(lay: Open, said: bytes) -> None:
    with spamd(said) as (url, _):
        (finding,) = check_spam(lay(spam_check=url))
    assert (finding.name, finding.severity) == ("away", Severity.WARN)


@on_sqlite
def test_a_filter_that_is_away_or_silent_is_told(lay: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spam, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (port_of_nobody(), silent.getsockname()[1]):
            for scheme in ("spamd", "rspamd"):
                (finding,) = check_spam(lay(spam_check=f"{scheme}://127.0.0.1:{port}"))
                assert finding.name == "away"


def test_rspamd_is_asked_by_http_and_only_what_counts_against_the_letter_is_named() -> None:
    symbols = {"B": {"name": "B", "score": 0.5}, "A": {"name": "A", "score": 2.25}, "C": {"name": "C", "score": -1.0}}
    said = json.dumps({"score": 1.75, "required_score": 15.0, "action": "no action", "symbols": symbols}).encode()
    with running_web({"/checkv2": Says(200, said)}) as web:
        assert ask(f"rspamd://127.0.0.1:{web.port}", LETTER) == Score(1.75, 15.0, ("A (2.2)", "B (0.5)"))
        assert web.asked == [("POST", "/checkv2", LETTER)]
        web.pages["/checkv2"] = Says(200, b"[]")
        with pytest.raises(FilterAway):
            ask(f"rspamd://127.0.0.1:{web.port}", LETTER)


@on_sqlite
def test_without_a_filter_that_is_told(lay: Open) -> None:
    assert [f.name for f in check_spam(lay())] == ["off"]


@on_sqlite
@pytest.mark.skipif(shutil.which("spamd") is None, reason="needs SpamAssassin (on Debian: apt-get install spamd)")
def test_the_real_spamd_scores_our_letter_low_and_the_standard_test_as_spam(lay: Open, tmp_path: Path) -> None:
    port = port_of_nobody()
    command = [
        "spamd",
        "--local",
        "--listen",
        f"127.0.0.1:{port}",
        "--max-children=1",
        "--username=nobody",
        "--syslog=null",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            url, verdict = f"spamd://127.0.0.1:{port}", None
            while verdict is None:
                assert server.poll() is None
                try:
                    verdict = ask(url, LETTER + GTUBE + b"\r\n")
                except FilterAway:
                    threading.Event().wait(0.2)
            assert verdict.score > 900
            assert "GTUBE" in verdict.rules
            (finding,) = check_spam(lay(spam_check=url))
            assert finding.severity is not Severity.STOP, finding.values
        finally:
            server.terminate()

"""Relays that speak nonsense: at each step every kind of it has its class, within the limit of that step."""

from dataclasses import replace

import pytest

from dispatcher.errors import RelayDown
from dispatcher.smtp.relays import Timeouts
from dispatcher.smtp.verdict import NotSent, Sent, Unknown
from tests.raw_server import Hear, Move
from tests.smtp.conftest import Run
from tests.smtp.nonsense import (
    BANNER,
    COMMAND,
    DOT,
    END,
    ENVELOPE,
    GREETED,
    HELLO,
    INVITED,
    LIMIT,
    NONSENSE,
    OPENING,
    PATIENT,
    SOON,
    TAKEN,
    play,
)

kinds = pytest.mark.parametrize("kind", NONSENSE)
AUTH_HELLO = b"250-relay.example.com\r\n250 AUTH PLAIN LOGIN\r\n"

STEPS: dict[str, tuple[Move, ...]] = {
    "the banner": (),
    "EHLO": (BANNER, Hear(b"EHLO")),
    "AUTH PLAIN": (BANNER, Hear(b"EHLO"), AUTH_HELLO, Hear(b"AUTH PLAIN")),
}


@kinds
@pytest.mark.parametrize("step", STEPS)
def test_nonsense_while_a_line_is_opened_is_a_relay_that_is_down(run: Run, step: str, kind: str) -> None:
    log_in = {"user": "news", "password": "geheim"} if step.startswith("AUTH") else {}
    seen, heard = play(run, *STEPS[step], *NONSENSE[kind], timeouts=COMMAND if log_in else OPENING, **log_in)
    assert isinstance(seen.end, RelayDown)
    where = {step, "the connection"} if (step, kind) == ("the banner", "a reset") else {step}
    assert seen.end.what.startswith(tuple(f"relay nonsense, {it}: " for it in where))
    assert seen.end.what.isprintable()
    assert len(seen.end.what) < 200
    assert seen.end.cure
    assert seen.seconds < SOON
    assert b"MAIL" not in heard


@kinds
@pytest.mark.parametrize(
    ("answered", "step"), [(b"", "MAIL FROM"), (b"250 ok\r\n", "RCPT TO"), (b"250 ok\r\n250 ok\r\n", "DATA")]
)
def test_nonsense_before_the_dot_is_not_sent(run: Run, answered: bytes, step: str, kind: str) -> None:
    seen, heard = play(run, *GREETED, answered, *NONSENSE[kind], timeouts=COMMAND)
    assert isinstance(seen.end, NotSent)
    assert not seen.end.about_us
    assert seen.end.why.startswith(f"{step}: ")
    assert seen.end.why.isprintable()
    assert len(seen.end.why) < 200
    assert seen.seconds < SOON
    assert END not in heard
    assert b"QUIT" not in heard


@kinds
def test_nonsense_instead_of_the_answer_to_the_dot_leaves_the_letter_in_doubt(run: Run, kind: str) -> None:
    seen, heard = play(run, *INVITED, *NONSENSE[kind], timeouts=DOT)
    assert isinstance(seen.end, Unknown)
    assert seen.end.why.startswith("the final dot: ")
    assert seen.end.why.isprintable()
    assert seen.seconds < SOON
    assert heard.count(END) == 1


@pytest.mark.parametrize(
    ("script", "step"),
    [
        ((b"354 go\r\n",), "the banner"),
        ((b"334 \r\n",), "the banner"),
        ((BANNER, Hear(b"EHLO"), b"354 go\r\n"), "EHLO"),
        ((BANNER + HELLO,), "the banner"),  # the answer before the question
        ((BANNER, Hear(b"EHLO"), HELLO + ENVELOPE), "EHLO"),
        ((BANNER, Hear(b"EHLO"), AUTH_HELLO, Hear(b"AUTH"), b"334 \r\n"), "AUTH PLAIN"),
        ((BANNER, Hear(b"EHLO"), AUTH_HELLO, Hear(b"AUTH"), b"354 \r\n"), "AUTH PLAIN"),
    ],
)
def test_replies_in_the_wrong_order_end_the_opening(run: Run, script: tuple[Move, ...], step: str) -> None:
    seen, heard = play(run, *script, user="news", password="geheim")
    assert isinstance(seen.end, RelayDown)
    assert "relay nonsense" in seen.end.what
    assert step in seen.end.what
    assert b"MAIL" not in heard


@pytest.mark.parametrize(
    "replies",
    [
        b"250 ok\r\n250 ok\r\n334 go\r\n",
        b"354 go\r\n250 ok\r\n250 ok\r\n",
        b"250 ok\r\n354 go\r\n250 ok\r\n",
        b"250 ok\r\n250 ok\r\n250 ok\r\n",
        ENVELOPE + TAKEN,  # taken before the letter came
        ENVELOPE + b"354 go\r\n",
        ENVELOPE + b"2",
        b"250 ok\r\n" * 1000,
    ],
)
def test_replies_in_the_wrong_order_before_the_dot_are_not_sent(run: Run, replies: bytes) -> None:
    # A rest behind the 354 that is no reply yet becomes the beginning of the answer to the dot.
    seen, heard = play(run, *GREETED, replies, timeouts=DOT)
    kind = Unknown if replies.endswith(b"\r\n2") else NotSent
    assert isinstance(seen.end, kind)
    assert (END in heard) is (kind is Unknown)


@pytest.mark.parametrize("reply", [b"354 go\r\n", b"334 \r\n", b"354 go\r\n250 ok\r\n", b"350 hm\r\n"])
def test_a_reply_that_cannot_answer_a_dot_leaves_the_letter_in_doubt(run: Run, reply: bytes) -> None:
    seen, _ = play(run, *INVITED, reply)
    assert isinstance(seen.end, Unknown)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"250 Empf\xe4nger bekannt\r\n", "Empfänger bekannt"),
        ("250 Empfänger bekannt\r\n".encode(), "Empfänger bekannt"),
        (b"250 \xff\xfe\xfd\r\n", "ÿþý"),
        (b"250\r\n", ""),
        (b"250 ok\n", "ok"),
        (b"250-" + b"x" * 4000 + b"\r\n250 \r\n", "x" * 4000),
        (b"250 a\0b\x1b[2Jc\r\n", "ab[2Jc"),
    ],
)
def test_what_is_odd_and_yet_a_reply_counts(run: Run, reply: bytes, text: str) -> None:
    seen, _ = play(run, *INVITED, reply)
    assert isinstance(seen.end, Sent)
    assert seen.end.reply.text == text


@pytest.mark.parametrize(
    "hello", [b"250-" + b"\xe4" * 4000 + b"\r\n250 PIPELINING\r\n", b"250-\r\n" * 199 + b"250 PIPELINING\r\n"]
)
def test_an_odd_greeting_that_is_within_the_limits_is_read(run: Run, hello: bytes) -> None:
    seen, _ = play(run, BANNER, Hear(b"EHLO"), hello, Hear(b"DATA\r\n"), ENVELOPE, Hear(END), TAKEN)
    assert isinstance(seen.end, Sent)


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        ((), replace(PATIENT, banner=LIMIT)),
        ((BANNER,), replace(PATIENT, banner=LIMIT)),
        ((BANNER, Hear(b"EHLO"), HELLO), COMMAND),
        (GREETED, COMMAND),
        ((*GREETED, ENVELOPE), DOT),
    ],
    ids=["banner", "EHLO", "MAIL", "envelope", "dot"],
)
def test_silence_costs_the_limit_of_its_step(run: Run, script: tuple[Move, ...], limits: Timeouts) -> None:
    seen, _ = play(run, *script, timeouts=limits)
    assert LIMIT * 0.9 <= seen.seconds < SOON  # a loop's clock may lag behind by a turn


def test_a_log_in_that_is_answered_by_an_echo_shows_no_piece_of_the_password(run: Run) -> None:
    for echo in (b"AUTH PLAIN AG5ld3MAZ2VoZWlt\r\n", b"AG5ld3MAZ2VoZWlt\r\n", b"geheim\r\n"):
        script = (*STEPS["AUTH PLAIN"], echo)
        seen, _ = play(run, *script, user="news", password="geheim")
        assert isinstance(seen.end, RelayDown)
        assert seen.end.what == "relay nonsense, AUTH PLAIN: not an SMTP reply"

"""Reply lines: what is read, what is nonsense, and that neither depends on how the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.smtp.reply import Reply, ReplyReader

PIECES = st.sampled_from(
    [
        b"250 ok\r\n",
        b"250 2.1.5 Ok\r\n",
        b"250-relay.example.com\r\n250-SIZE 100\r\n250 DSN\r\n",
        b"354 go\r\n",
        b"421\r\n",
        b"550-5.1.1 no\r\n550 5.1.1 such user\r\n",
        b"550 Empf\xe4nger unbekannt\r\n",
        b"250-a\r\n251 b\r\n",
        b"250 bare\n",
        b"nonsense\r\n",
        b"250-open",
        b"\r\n",
        b"199 x\r\n",
        b"250" + b"-x" * 3000,
    ]
)


def _read(pieces: list[bytes]) -> tuple[list[Reply], str]:
    """Feed `pieces` one after the other; give the replies, and the fault or ''."""
    reader, replies = ReplyReader(), []
    for piece in pieces:
        replies += reader.read(piece)
    return replies, reader.fault


def _only(raw: bytes) -> Reply:
    (reply,), fault = _read([raw])
    assert fault == ""
    return reply


@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=12), st.data())
def test_any_split_of_the_bytes_gives_the_same_replies_and_the_same_fault(
    pieces: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    split = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert _read(split) == _read([whole])


@given(st.lists(PIECES, max_size=6))
def test_single_bytes_give_the_same_as_the_whole(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert _read([whole[place : place + 1] for place in range(len(whole))]) == _read([whole])


@given(st.binary(max_size=200))
def test_whatever_the_bytes_a_reply_has_a_code_and_readable_text(raw: bytes) -> None:
    replies, _ = _read([raw])
    assert all(200 <= reply.code <= 599 and reply.text.isprintable() for reply in replies)


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        (b"250 ok\r\n", Reply(250, None, "ok")),
        (b"250\r\n", Reply(250, None, "")),
        (b"250 \r\n", Reply(250, None, "")),
        (b"250 ok\n", Reply(250, None, "ok")),
        (b"550 5.1.1 <a@example.de> unknown\r\n", Reply(550, "5.1.1", "<a@example.de> unknown")),
        (b"550 5.1.10 no\r\n", Reply(550, "5.1.10", "no")),
        (b"550 5.1.1\r\n", Reply(550, "5.1.1", "")),
        (b"550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n", Reply(550, "5.7.1", "one two three")),
        (b"554 No SMTP here\r\n", Reply(554, None, "No SMTP here")),
        # The class must agree with the code; a version number is no enhanced code.
        (b"550 4.2.1 odd\r\n", Reply(550, None, "4.2.1 odd")),
        (b"250 2.11.1.4 is our version\r\n", Reply(250, None, "2.11.1.4 is our version")),
        (b"550 5.1.1234 long\r\n", Reply(550, None, "5.1.1234 long")),
    ],
)
def test_a_reply_is_code_enhanced_code_and_text(raw: bytes, reply: Reply) -> None:
    assert _only(raw) == reply


def test_a_reply_reads_as_the_server_wrote_it() -> None:
    assert str(Reply(550, "5.1.1", "no such user")) == "550 5.1.1 no such user"
    assert str(Reply(250, None, "")) == "250"


def test_the_lines_of_a_longer_reply_stay_apart() -> None:
    reply = _only(b"250-relay.example.com\r\n250-SIZE 100\r\n250 DSN\r\n")
    assert reply.lines == ("relay.example.com", "SIZE 100", "DSN")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Empfänger unbekannt".encode(), "Empfänger unbekannt"),
        ("Empfänger unbekannt".encode("latin-1"), "Empfänger unbekannt"),
        (b"\x1b[31mred\x07\x00", "[31mred"),
        (b"a\tb", "a b"),
        (b"a\rb", "a b"),
        ("a\u202eb\u200bc\u2028d".encode(), "abc d"),
        (b"\x9b31m", "31m"),
    ],
)
def test_the_text_is_readable_and_holds_nothing_that_controls_or_hides(raw: bytes, text: str) -> None:
    assert _only(b"550 " + raw + b"\r\n").text == text


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"nonsense\r\n", "not an SMTP reply"),
        (b"25 ok\r\n", "not an SMTP reply"),
        (b"2500 ok\r\n", "not an SMTP reply"),
        (b"199 ok\r\n", "not an SMTP reply"),
        (b"600 ok\r\n", "not an SMTP reply"),
        ("２５０ ok\r\n".encode(), "not an SMTP reply"),
        (b"HTTP/1.1 400 Bad Request\r\n", "not an SMTP reply"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "not an SMTP reply"),
        (b"\r\n", "not an SMTP reply"),
        (b"250-a\r\n550 b\r\n", "different codes"),
        (b"250 " + b"x" * 5000 + b"\r\n", "a reply line without an end"),
        (b"250 " + b"x" * 10_000_000, "a reply line without an end"),
        (b"250-x\r\n" * 1000, "a reply without an end"),
        (b"250-" + b"x" * 4000 + b"\r\n" + (b"250-" + b"x" * 4000 + b"\r\n") * 20, "a reply without an end"),
    ],
)
def test_nonsense_and_excess_are_faults(raw: bytes, fault: str) -> None:
    replies, found = _read([raw])
    assert replies == []
    assert fault in found


def test_a_fault_stays_and_what_follows_it_is_not_read() -> None:
    reader = ReplyReader()
    assert reader.read(b"250 first\r\nwhat\r\n250 ok\r\n") == [Reply(250, None, "first")]
    assert reader.read(b"250 ok\r\n") == []
    assert "not an SMTP reply" in reader.fault


def test_what_lies_behind_a_reply_is_seen() -> None:
    for rest, found in ((b"", False), (b"2", True), (b"250-a\r\n", True)):
        reader = ReplyReader()
        assert reader.read(b"220 go\r\n" + rest) == [Reply(220, None, "go")]
        assert reader.has_rest is found

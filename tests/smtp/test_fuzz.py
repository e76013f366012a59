"""Any octets at any time: the dialogue, the opening and the beginning of TLS make something orderly of all of them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.errors import RelayDown
from dispatcher.smtp.envelope import Offers
from dispatcher.smtp.opening import Say, Turn, Upgrade, greet
from dispatcher.smtp.protocol import Answered, Declined, Dialogue, Ended, Event, Invited
from dispatcher.smtp.relays import Relay, Tls
from dispatcher.smtp.reply import Reply, ReplyReader
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown
from tests.raw_server import RawServer
from tests.smtp.conftest import Run
from tests.smtp.letters import letter
from tests.smtp.nonsense import relay_at, send_one
from tests.smtp.test_nonsense_tls import GO, TO_STARTTLS
from tests.stories import stories

ORDERLY = st.sampled_from(
    [
        b"250 ok\r\n",
        b"250 2.1.5 ok\r\n",
        b"354 go\r\n",
        b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        b"250 taken\r\n550 5.7.1 no\r\n550 5.1.1 no\r\n354 go\r\n",
        b"450 4.2.1 later\r\n",
        b"550 5.1.1 no\r\n",
        b"421 bye\r\n",
        b"530 5.7.0 log in\r\n",
        b"250-one\r\n",
        b"250",
    ]
)
OCTETS = st.one_of(ORDERLY, ORDERLY, st.binary(max_size=30))
MOVES = st.lists(st.one_of(OCTETS, st.sampled_from(["release", "release with another", "offer", "lose"])), max_size=30)


class _Player:
    """Drives a dialogue as a lane does, and keeps count of its dots and letters."""

    def __init__(self, *, pipelining: bool) -> None:
        self.talk = Dialogue(Offers(pipelining=pipelining))
        self.pipelining = pipelining
        self.said = b""
        self.letters = 0
        self.dots_out = 0
        self.released = 0
        self.answers: list[Any] = []
        self.declined: list[Any] = []
        self.invited = 0
        self.is_invited = False  # a body may be written and its dot has not been
        self.is_offered = False  # an envelope is under way
        self.is_over = False

    def move(self, move: bytes | str) -> None:
        if isinstance(move, bytes):
            self.note(self.talk.receive(move))
        elif move == "lose":
            self.note(self.talk.lose("cut"))
        elif move == "offer" and not (self.is_over or self.is_offered or self.is_invited):
            self.offered()
            self.talk.offer(letter())
        elif move.startswith("release") and self.is_invited and not self.is_over:
            self.is_invited = False
            self.released += 1
            self.dots_out += 1
            with_another = self.pipelining and move == "release with another"
            if with_another:
                self.offered()
            self.talk.release(letter() if with_another else None)
        self.said += self.talk.take()
        assert self.dots_out <= 1

    def offered(self) -> None:
        self.letters += 1
        self.is_offered = True

    def note(self, events: list[Event]) -> None:
        for event in events:
            assert not self.is_over
            match event:
                case Answered(verdict):
                    self.dots_out -= 1
                    self.answers.append(verdict)
                case Invited():
                    assert self.is_offered
                    self.is_offered, self.is_invited = False, True
                    self.invited += 1
                case Declined(verdict):
                    assert self.is_offered
                    self.is_offered = False
                    self.declined.append(verdict)
                case Ended(verdict):
                    assert isinstance(verdict, NotSent)
                    self.is_over = True
            assert self.dots_out >= 0


def _rests(chunks: list[bytes]) -> list[bytes]:
    """Read the replies of `chunks` one at a time; give their codes as they were understood."""
    reader = ReplyReader()
    return [str(reply.code).encode() for chunk in chunks for reply in reader.read(chunk)]


@settings(max_examples=stories(200))
@given(st.booleans(), MOVES)
def test_whatever_comes_at_whatever_time_each_letter_has_one_end_and_one_dot_is_out_at_most(
    pipelining: bool, moves: list[bytes | str]
) -> None:
    player = _Player(pipelining=pipelining)
    player.move("offer")
    for move in moves:
        player.move(move)
        if player.is_over:
            assert player.talk.take() == b""
    player.move("lose")
    assert player.is_over
    # Each dot has one answer, each envelope one end.
    assert len(player.answers) == player.released
    assert len(player.declined) + player.invited == player.letters
    # What was not answered is Unknown behind the dot and NotSent before it; an answer is one that was read.
    codes = _rests([move for move in moves if isinstance(move, bytes)])
    for verdict in player.answers:
        assert isinstance(verdict, Unknown | Sent | Deferred | Refused | NotSent)
        assert not isinstance(verdict, NotSent) or verdict.about_us
        assert not isinstance(verdict, Sent | Deferred | Refused) or str(verdict.reply.code).encode() in codes
        assert not isinstance(verdict, Sent) or 200 <= verdict.reply.code <= 299
    for verdict in player.declined:
        assert isinstance(verdict, NotSent | Deferred | Refused)
    # A dot that is not a released letter's ends an empty message that no recipient can get, and there is at most one
    # to each refusal.
    dots = sum(line == b"." for line in player.said.split(b"\r\n"))
    assert player.released <= dots <= player.released + len(player.declined)


@settings(max_examples=stories(150))
@given(st.lists(OCTETS, max_size=10), st.data())
def test_a_group_that_is_answered_in_one_piece_means_the_same_as_in_single_octets(
    chunks: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(chunks)
    size = data.draw(st.integers(1, max(1, len(whole))))
    played = []
    for pieces in ([whole], [whole[at : at + size] for at in range(0, len(whole), size)]):
        player = _Player(pipelining=True)
        player.move("offer")
        player.move(b"250 ok\r\n250 ok\r\n354 go\r\n")
        player.move("release with another")
        for piece in pieces:
            player.move(piece)
        player.move("lose")
        played.append((player.answers, player.declined, player.invited))
    assert played[0] == played[1]


_PLAIN = Relay(name="r", host="127.0.0.1", port=25, tls=Tls.NONE)
SECRET = "Kein#Geheimnis"
TOKEN = "AG5ld3MAS2VpbiNHZWhlaW1uaXM="
ANSWERS = st.sampled_from(
    [
        b"220 ready\r\n",
        b"250 relay.example.com\r\n",
        b"250-relay.example.com\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n",
        b"250-relay.example.com\r\n250 AUTH LOGIN\r\n",
        b"334 VXNlcm5hbWU6\r\n",
        b"235 2.7.0 welcome\r\n",
        f"535 5.7.8 not {SECRET}, nor {TOKEN}\r\n".encode(),
        b"421 bye\r\n",
        b"554 no\r\n",
    ]
)


def _open(relay: Relay, chunks: list[bytes]) -> tuple[list[Turn], Offers | RelayDown | None]:
    """Answer an opening with `chunks`; give its turns, and how it ended; None: it waits for more."""
    reader = ReplyReader()
    replies = iter([reply for chunk in chunks for reply in reader.read(chunk)])
    opening, turns = greet(relay), []
    reply: Reply | None = None
    try:
        while len(turns) < 20:
            turns.append(opening.send(reply))
            reply = None if isinstance(turns[-1], Upgrade) else next(replies, None)
            if reply is None and isinstance(turns[-1], Say):
                return turns, None
    except StopIteration as end:
        return turns, end.value
    except RelayDown as error:
        return turns, error
    raise AssertionError("an opening without an end")


@settings(max_examples=stories(200))
@given(st.sampled_from(Tls), st.booleans(), st.lists(st.one_of(ANSWERS, st.binary(max_size=12)), max_size=12))
def test_whatever_is_answered_an_opening_ends_and_says_nothing_it_must_not_say(
    tls: Tls, with_user: bool, chunks: list[bytes]
) -> None:
    log_in = {"user": "news", "password": SECRET} if with_user else {}
    turns, end = _open(Relay(name="r", host="127.0.0.1", port=25, tls=tls, **log_in), chunks)  # type: ignore[arg-type]
    is_secure = tls is not Tls.STARTTLS
    for turn in turns:
        if isinstance(turn, Upgrade):
            is_secure = True
        else:
            assert is_secure or turn.command in (b"", b"EHLO localhost\r\n", b"STARTTLS\r\n")
            assert turn.command == b"" or turn.command.endswith(b"\r\n")
    assert is_secure or not isinstance(end, Offers)
    if isinstance(end, RelayDown) and with_user:
        assert end.cure
        assert SECRET not in end.what + end.cure
        assert TOKEN not in end.what + end.cure


@settings(max_examples=stories(60))
@given(extra=st.binary(min_size=1, max_size=200))
def test_any_octets_behind_the_220_to_starttls_end_the_connection_before_tls(run: Run, extra: bytes) -> None:
    with RawServer((*TO_STARTTLS, GO + extra)) as server:
        seen = run(send_one(relay_at(server.port, tls=Tls.STARTTLS, host="localhost")))
        heard = bytes(server.heard[0])
    assert isinstance(seen.end, RelayDown)
    assert "relay nonsense, STARTTLS: " in seen.end.what
    assert heard.endswith(b"STARTTLS\r\n")


@pytest.mark.parametrize("size", [b"0", b"", b"-1", b"1e9", b"9" * 30, b"\xd9\xa3", b"abc", b"1000", b"65535"])
def test_a_size_that_no_server_may_ask_for_limits_nothing(size: bytes) -> None:
    _, end = _open(_PLAIN, [b"220 hi\r\n", b"250-relay.example.com\r\n250 SIZE " + size + b"\r\n"])
    assert isinstance(end, Offers)
    assert (end.has_size, end.size) == (True, 0)

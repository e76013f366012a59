"""The dialogue without sockets: what it asks, and what it makes of every answer, however it is split or cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.smtp.envelope import Offers
from dispatcher.smtp.protocol import Answered, Declined, Dialogue, Ended, Event, Invited
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown
from tests.smtp.letters import letter

ANNA, BERT = letter("anna@example.de"), letter("bert@example.de")
MAIL, RCPT, DATA = b"MAIL FROM:<b+1.mac@bounce.example.de>\r\n", b"RCPT TO:<%s@example.de>\r\n", b"DATA\r\n"


def _held(*, pipelining: bool = True) -> Dialogue:
    """Give a dialogue that holds Anna's dot back."""
    talk = Dialogue(Offers(pipelining=pipelining))
    talk.offer(ANNA)
    assert talk.take() == (MAIL + RCPT % b"anna" + DATA if pipelining else MAIL)
    events = []
    for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        events += talk.receive(reply)
    assert events == [Invited()]
    talk.take()
    return talk


def _kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def test_without_pipelining_each_command_waits_for_the_reply_before_it() -> None:
    talk = Dialogue(Offers())
    talk.offer(ANNA)
    said = [talk.take()]
    for reply in (b"250 ok\r\n", b"250 ok\r\n"):
        assert talk.receive(reply) == []
        said.append(talk.take())
    assert said == [MAIL, RCPT % b"anna", DATA]
    assert talk.receive(b"354 go\r\n") == [Invited()]
    assert talk.take() == b""


def test_the_dot_and_the_next_envelope_are_one_write() -> None:
    talk = _held()
    talk.release(BERT)
    assert talk.take() == b".\r\n" + MAIL + RCPT % b"bert" + DATA
    events = talk.receive(b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert _kinds(events) == [Answered, Invited]


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_declined_letter_is_reset_in_front_of_the_next(pipelining: bool) -> None:
    talk = Dialogue(Offers(pipelining=pipelining))
    talk.offer(ANNA)
    talk.take()
    events = talk.receive(b"250 ok\r\n") + talk.receive(b"550 5.1.1 no\r\n")
    events += talk.receive(b"554 no recipients\r\n") if pipelining else []
    assert _kinds(events) == [Declined]
    talk.take()
    talk.offer(BERT)
    assert talk.take() == (b"RSET\r\n" + MAIL + RCPT % b"bert" + DATA if pipelining else b"RSET\r\n")
    talk.receive(b"250 reset\r\n")
    assert talk.take() == (b"" if pipelining else MAIL)


def test_a_refused_reset_ends_the_dialogue() -> None:
    talk = Dialogue(Offers(pipelining=True))
    talk.offer(ANNA)
    talk.receive(b"250 ok\r\n550 no\r\n554 no\r\n")
    talk.offer(BERT)
    first, second = talk.receive(b"502 what\r\n")
    assert isinstance(first, Declined)
    assert isinstance(first.verdict, NotSent)
    assert isinstance(second, Ended)


def test_a_refusal_and_a_354_are_followed_by_a_lone_dot_whose_reply_is_awaited_in_its_turn() -> None:
    talk = Dialogue(Offers(pipelining=True))
    talk.offer(ANNA)
    talk.take()
    (declined,) = talk.receive(b"250 ok\r\n550 5.1.1 no\r\n354 go\r\n")
    assert isinstance(declined, Declined)
    assert isinstance(declined.verdict, Refused)
    assert talk.take() == b".\r\n"
    assert not talk.is_idle
    talk.offer(BERT)
    assert talk.receive(b"554 no valid recipients\r\n250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n") == [Invited()]


@pytest.mark.parametrize("replies", [b"550 no\r\n250 ok\r\n354 go\r\n", b"550 5.1.1 no\r\n250 ok\r\n354 go\r\n"])
def test_a_354_after_mail_alone_was_refused_gets_no_dot(replies: bytes) -> None:
    talk = Dialogue(Offers(pipelining=True))
    talk.offer(ANNA)
    talk.take()
    assert _kinds(talk.receive(replies)) == [Declined, Ended]
    assert talk.take() == b""


def test_a_dot_that_was_answered_stays_answered_when_the_line_breaks() -> None:
    talk = _held()
    talk.release(BERT)
    (answered,) = talk.receive(b"250 taken\r\n")
    assert isinstance(answered, Answered)
    assert isinstance(answered.verdict, Sent)
    assert talk.lose("cut") == [Declined(NotSent("cut", False)), Ended(NotSent("cut", False))]
    assert talk.lose("again") == []
    assert talk.receive(b"250 more\r\n") == []


def test_421_to_the_dot_defers_it_and_does_not_send_the_next() -> None:
    talk = _held()
    talk.release(BERT)
    answered, declined, ended = talk.receive(b"421 4.3.2 bye\r\n")
    assert isinstance(answered, Answered)
    assert isinstance(answered.verdict, Deferred)
    assert isinstance(declined, Declined)
    assert isinstance(declined.verdict, NotSent)
    assert declined.verdict.about_us
    assert isinstance(ended, Ended)


def test_what_is_under_way_can_be_named() -> None:
    talk = Dialogue(Offers(pipelining=True))
    assert (talk.moment, talk.is_idle) == ("between letters", True)
    talk.offer(ANNA)
    assert (talk.moment, talk.is_idle) == ("MAIL FROM", False)
    talk.receive(b"250 ok\r\n")
    assert talk.moment == "RCPT TO"


REPLIES = st.sampled_from(
    [b"250 ok\r\n", b"354 go\r\n", b"421 bye\r\n", b"450 later\r\n", b"550 5.1.1 no\r\n", b"530 auth\r\n", b"??\r\n"]
)


def _play(pipelining: bool, chunks: list[bytes]) -> tuple[list[Event], bytes]:
    """Hold Anna's dot back, release it with Bert behind it, hear `chunks`; give all events and all bytes said."""
    talk = _held(pipelining=pipelining)
    talk.release(BERT if pipelining else None)
    said, events = talk.take(), []
    for chunk in chunks:
        events += talk.receive(chunk)
        said += talk.take()
    return events, said


@given(st.booleans(), st.lists(REPLIES, max_size=8), st.data())
def test_any_split_of_the_bytes_gives_the_same_events(
    pipelining: bool, replies: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    split = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    events, said = _play(pipelining, split)
    events_at_once, said_at_once = _play(pipelining, [whole])
    assert events == events_at_once
    # What was still unsaid when the end was read remains unsaid.
    assert said == said_at_once if Ended not in _kinds(events) else said.startswith(said_at_once)


@given(st.booleans(), st.lists(REPLIES, max_size=8), st.integers(0, 100))
def test_wherever_the_line_is_cut_each_letter_gets_one_verdict_and_no_bare_dot_is_ever_written(
    pipelining: bool, replies: list[bytes], place: int
) -> None:
    talk = _held(pipelining=pipelining)
    talk.release(BERT if pipelining else None)
    assert talk.take().count(b".\r\n") == 1
    events = talk.receive(b"".join(replies)[:place])
    said = talk.take()
    invited = Invited() in events
    events += talk.lose("cut")
    answers = [event.verdict for event in events if isinstance(event, Answered)]
    assert len(answers) == 1
    if not replies or place < len(replies[0]):
        assert answers == [Unknown("cut")]
    elif replies[0] == b"250 ok\r\n":
        assert isinstance(answers[0], Sent)
    declined = [event for event in events if isinstance(event, Declined)]
    assert len(declined) + invited == (1 if pipelining else 0)
    assert _kinds(events).count(Ended) == 1
    # A dot ends only an envelope whose recipient was refused: an empty message that nobody gets.
    assert said == b"" or (said == b".\r\n" and replies[2][:1] in (b"4", b"5"))

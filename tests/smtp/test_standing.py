"""How a breaker stands, in facts; and that its pause ends on a word."""

from dispatcher.smtp.breaker import Breaker, Breakers, Position
from dispatcher.smtp.relays import Relay, Tls

AWAY = "relay A, the connection: [Errno 111] Connection refused"


def _relay(name: str) -> Relay:
    return Relay(name=name, host="127.0.0.1", port=25, tls=Tls.NONE, lanes=4)


def test_a_pause_ends_at_once_on_a_word_and_the_next_failure_is_answered_as_it_would_have_been() -> None:
    breakers = Breakers([_relay("A"), _relay("B")])
    line = breakers.admit(100.0)
    assert line is not None
    breakers.down(line, 100.0, AWAY, 0.0)
    breakers.ended(line)
    first, other = breakers.standings()
    assert (first.position, first.since, first.next_try, first.failures) == (Position.OPEN, 100.0, 105.0, 1)
    assert first.why == "the connection: [Errno 111] Connection refused"
    assert (other.position, other.since, other.next_try) == (Position.CLOSED, None, None)
    breakers.hurry({"A"}, 101.0)
    probe = breakers.admit(101.0)
    assert probe is not None
    assert probe.is_probe
    breakers.down(probe, 101.0, AWAY, 0.0)
    breakers.ended(probe)
    first = breakers.standings()[0]
    assert (first.since, first.next_try) == (100.0, 111.0)


def test_that_letters_were_answered_is_told_once_when_no_line_is_up_any_more() -> None:
    breaker = Breaker(_relay("A"))
    line = breaker.admit(0.0)
    breaker.answered(line)
    assert [breaker.standing().has_answered for _ in range(2)] == [True, True]
    breaker.ended(line)
    assert not breaker.standing().has_answered

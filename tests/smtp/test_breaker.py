"""Breakers: when a relay is left alone, when it is tried again, and that nothing gets stuck. All without a clock."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from dispatcher.sending.drain import MAX_LOSSES
from dispatcher.smtp.breaker import Breaker, Breakers, Line, Position, back_off
from dispatcher.smtp.relays import Relay, Tls
from dispatcher.smtp.reply import Reply
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown, Verdict
from tests.stories import stories

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SENT = Sent(Reply(250, None, "taken"))
AWAY = "relay A, the connection: [Errno 111] Connection refused"
GARBAGE = Unknown("the final dot: not an SMTP reply")
UNWANTED = NotSent("MAIL FROM: 550 5.7.1 sender blocked", about_us=True)


def _relay(name: str, lanes: int = 4) -> Relay:
    return Relay(name=name, host="127.0.0.1", port=25, tls=Tls.NONE, lanes=lanes)


def _breaker(lanes: int = 4) -> Breaker:
    return Breaker(_relay("A", lanes))


def _fail(breaker: Breaker, now: float, jitter: float = 0.0) -> None:
    """Open a line that is refused."""
    line = breaker.admit(now)
    breaker.refused(line, now, AWAY, jitter)
    breaker.ended(line)


def _well(breaker: Breaker, now: float) -> Line:
    """Open a line on which a letter is answered."""
    line = breaker.admit(now)
    breaker.answered(line)
    return line


@pytest.mark.parametrize(
    ("times", "jitter", "seconds"),
    [(1, 0, 5), (2, 0, 10), (3, 0, 20), (7, 0, 320), (8, 0, 600), (10_000, 0, 600), (1, 1, 6.25), (8, 1, 750)],
)
def test_the_break_doubles_from_five_seconds_to_ten_minutes(times: int, jitter: float, seconds: float) -> None:
    assert back_off(times, jitter) == seconds


def test_a_new_breaker_lets_as_many_lines_through_as_the_relay_has_lanes() -> None:
    breaker = _breaker(lanes=2)
    lines = [breaker.admit(0.0), breaker.admit(0.0)]
    assert not breaker.may_open(0.0)
    assert breaker.next_try(0.0) is None
    breaker.ended(lines[0])
    assert breaker.next_try(7.0) == 7.0


def test_a_refused_line_opens_it_and_one_probe_closes_it_again() -> None:
    breaker = _breaker()
    _fail(breaker, 0.0)
    assert (breaker.position, breaker.next_try(1.0)) == (Position.OPEN, 5.0)
    assert not breaker.may_open(4.9)
    probe = breaker.admit(5.0)
    assert probe.is_probe
    assert (breaker.position, breaker.next_try(5.0)) == (Position.HALF_OPEN, None)
    breaker.answered(probe)
    assert breaker.position is Position.CLOSED
    assert breaker.may_open(5.0)


def test_each_probe_that_fails_doubles_the_break_and_a_success_begins_anew() -> None:
    breaker, now, breaks = _breaker(), 0.0, []
    for _ in range(9):
        _fail(breaker, now)
        at = breaker.next_try(now)
        assert at is not None
        breaks.append(at - now)
        now = at
    assert breaks == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    breaker.ended(_well(breaker, now))
    _fail(breaker, now)
    assert breaker.next_try(now) == now + 5


def test_lines_that_were_on_their_way_when_it_opened_do_not_lengthen_the_break() -> None:
    breaker = _breaker()
    lines = [breaker.admit(0.0) for _ in range(4)]
    for second, line in enumerate(lines):
        breaker.refused(line, float(second), AWAY, 0.0)
        breaker.ended(line)
    assert breaker.next_try(3.0) == 5.0


def test_a_probe_that_ends_without_an_answer_makes_room_for_the_next() -> None:
    breaker = _breaker()
    _fail(breaker, 0.0)
    probe = breaker.admit(5.0)
    assert not breaker.may_open(1000.0)
    breaker.ended(probe)
    assert breaker.admit(5.0).is_probe


def test_a_relay_that_takes_no_more_lines_keeps_those_it_has() -> None:
    breaker = _breaker(lanes=4)
    lines = [_well(breaker, 0.0), _well(breaker, 0.0)]
    _fail(breaker, 0.0)
    assert breaker.position is Position.OPEN
    assert not breaker.may_open(1.0)
    breaker.ended(lines[0])  # it has carried its thousand letters
    replaced = breaker.admit(1.0)
    assert not replaced.is_probe
    assert not breaker.may_open(1.0)
    assert breaker.admit(5.0).is_probe


def test_a_relay_that_goes_away_under_its_lines_is_left_alone_in_the_end() -> None:
    breaker = _breaker(lanes=4)
    lines = [_well(breaker, 0.0) for _ in range(3)]
    _fail(breaker, 0.0)
    for line in lines:
        breaker.refused(line, 1.0, "DATA: 421 4.3.2 shutting down", 0.0)
        breaker.ended(line)
    for _ in range(4):  # at most one for each line that was well
        if breaker.may_open(1.0):
            _fail(breaker, 1.0)
    assert breaker.next_try(1.0) == 5.0


def test_a_refusal_on_a_line_that_has_carried_letters_holds_nothing_against_the_relay() -> None:
    breaker = _breaker()
    for _ in range(50):
        line = _well(breaker, 0.0)
        breaker.refused(line, 0.0, "MAIL FROM: 421 4.7.0 twenty letters are enough", 0.0)
        breaker.ended(line)
    assert breaker.position is Position.CLOSED


def test_one_bad_letter_does_not_open_it() -> None:
    breaker = _breaker()
    for _ in range(MAX_LOSSES):
        line = breaker.admit(0.0)
        breaker.lost(line, 0.0, "DATA: the relay closed the connection", 0.0)
        breaker.ended(line)
    assert breaker.position is Position.CLOSED


def test_a_relay_that_loses_letter_after_letter_is_left_alone_after_five() -> None:
    breakers = Breakers([_relay("A")])
    for _ in range(5):
        lost = breakers.admit(0.0)
        assert lost is not None
        breakers.hear(lost, GARBAGE, 0.0, 0.0)
        breakers.ended(lost)
    assert breakers.admit(0.0) is None
    line = breakers.admit(5.0)
    assert line is not None
    breakers.hear(line, GARBAGE, 5.0, 0.0)
    breakers.ended(line)
    assert breakers.next_try(5.0) == 15.0


@pytest.mark.parametrize(("share", "opens"), [(100, False), (10, False), (5, False), (4, True), (2, True), (1, True)])
def test_it_opens_when_more_letters_are_lost_than_answers_outweigh(share: int, opens: bool) -> None:
    breaker = _breaker()
    for number in range(1000):
        if breaker.position is Position.OPEN:
            break
        line = breaker.admit(0.0)
        if number % share == 0:
            breaker.lost(line, 0.0, "cut", 0.0)
        else:
            breaker.answered(line)
        breaker.ended(line)
    assert (breaker.position is Position.OPEN) is opens


@pytest.mark.parametrize(
    ("verdict", "position"),
    [
        (SENT, Position.CLOSED),
        (Refused(Reply(550, "5.1.1", "no such user")), Position.CLOSED),
        (Deferred(Reply(450, "4.2.1", "later")), Position.CLOSED),
        (NotSent("DATA: the relay closed the connection", about_us=False), Position.CLOSED),
        (GARBAGE, Position.CLOSED),
        (UNWANTED, Position.OPEN),
        (NotSent("MAIL FROM: 421 bye", about_us=True), Position.OPEN),
        (Deferred(Reply(421, "4.3.2", "closing")), Position.OPEN),
    ],
)
def test_the_first_letter_of_a_line_says_how_the_relay_is(verdict: Verdict, position: Position) -> None:
    breaker = Breakers([_relay("A")])
    line = breaker.admit(0.0)
    assert line is not None
    breaker.hear(line, verdict, 0.0, 0.0)
    breaker.ended(line)
    assert (breaker.next_try(0.0) == 0.0) is (position is Position.CLOSED)


def test_the_preferred_relay_is_filled_first_and_the_next_takes_the_rest() -> None:
    breakers = Breakers([_relay("A", 2), _relay("B", 2)])
    lines = [breakers.admit(0.0) for _ in range(5)]
    assert [line.relay.name if line else None for line in lines] == ["A", "A", "B", "B", None]
    assert breakers.next_try(0.0) is None


def test_the_next_relay_takes_over_and_lines_go_back_one_first_when_the_preferred_may_be_well() -> None:
    breakers = Breakers([_relay("A", 2), _relay("B", 2)])
    down = breakers.admit(0.0)
    assert down is not None
    breakers.down(down, 0.0, AWAY, 0.0)
    breakers.ended(down)
    first, second = breakers.admit(1.0), breakers.admit(1.0)
    assert first is not None
    assert second is not None
    assert {first.relay.name, second.relay.name} == {"B"}
    assert not breakers.prefers_another(first, 4.9)
    assert breakers.prefers_another(first, 5.0)
    breakers.ended(first)
    probe = breakers.admit(5.0)
    assert probe is not None
    assert (probe.relay.name, probe.is_probe) == ("A", True)
    assert not breakers.prefers_another(second, 5.0)  # one is enough to find out
    breakers.hear(probe, SENT, 5.0, 0.0)
    assert breakers.prefers_another(second, 5.0)
    assert not breakers.prefers_another(probe, 5.0)


def test_the_next_try_is_that_of_the_relay_that_may_be_tried_first() -> None:
    breakers = Breakers([_relay("A", 1), _relay("B", 1)])
    for now in (0.0, 1.0):
        line = breakers.admit(now)
        assert line is not None
        breakers.down(line, now, AWAY, 0.0)
        breakers.ended(line)
    assert breakers.admit(2.0) is None
    assert breakers.next_try(2.0) == 5.0


def test_how_each_relay_stands_is_said_in_plain_words() -> None:
    breakers = Breakers([_relay("A", 2)])
    assert breakers.words(0.0, NOON) == ["relay A: well, 0 of 2 lines are up"]
    for now in (0.0, 5.0, 15.0):
        line = breakers.admit(now)
        assert line is not None
        breakers.down(line, now, AWAY, 0.0)
        breakers.ended(line)
    why = "after 3 failures: the connection: [Errno 111] Connection refused"
    assert breakers.words(15.0, NOON) == [f"relay A: closed by the breaker until 12:00:20 {why}"]
    assert breakers.words(35.0, NOON) == [f"relay A: to be tried with one line {why}"]
    probe = breakers.admit(35.0)
    assert probe is not None
    assert breakers.words(35.0, NOON) == [f"relay A: being tried with one line {why}"]
    breakers.hear(probe, SENT, 35.0, 0.0)
    assert breakers.words(35.0, NOON) == ["relay A: well, 1 of 2 lines are up"]
    refused = breakers.admit(36.0)
    assert refused is not None
    breakers.down(refused, 36.0, "relay A, the banner: 421 too many connections", 0.0)
    breakers.ended(refused)
    assert breakers.words(36.0, NOON) == [
        "relay A: kept to 1 of 2 lines by the breaker until 12:00:05 "
        "after 1 failure: the banner: 421 too many connections"
    ]


@given(st.lists(st.sampled_from(["well", "refused", "lost", "ended"]), max_size=60), st.floats(0, 1))
def test_whatever_happened_a_relay_that_is_well_is_used_in_full_again(story: list[str], jitter: float) -> None:
    breaker, now = _breaker(lanes=2), 0.0
    for chapter in story:
        at = breaker.next_try(now)
        assert at is not None
        assert at - now <= 750
        now = at
        line = breaker.admit(now)
        if chapter == "well":
            breaker.answered(line)
        elif chapter == "refused":
            breaker.refused(line, now, AWAY, jitter)
        elif chapter == "lost":
            breaker.lost(line, now, "cut", jitter)
        breaker.ended(line)
    at = breaker.next_try(now)
    assert at is not None
    _well(breaker, at)
    later = breaker.next_try(at)
    assert later is not None
    _well(breaker, later)
    assert breaker.position is Position.CLOSED


class Walk(RuleBasedStateMachine):
    """Three relays that are well or not, lanes that open, carry and close lines, in any order."""

    lines = Bundle("lines")

    def __init__(self) -> None:
        super().__init__()
        self.relays = [_relay("A", 3), _relay("B", 2), _relay("C", 1)]
        self.breakers = Breakers(self.relays)
        self.now = 0.0
        self.away: set[int] = set()
        self.up: set[Line] = set()
        self.probing: set[Line] = set()  # probes that have met nothing yet

    @rule(seconds=st.floats(0, 800))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(rank=st.integers(0, 2))
    def a_relay_goes_or_comes_back(self, rank: int) -> None:
        self.away ^= {rank}

    @rule(target=lines, jitter=st.floats(0, 1))
    def a_lane_opens_a_line(self, jitter: float):  # type: ignore[no-untyped-def]
        at = self.breakers.next_try(self.now)
        line = self.breakers.admit(self.now)
        assert (line is not None) is (at is not None and at <= self.now)
        if line is None:
            return multiple()
        assert not self.breakers.prefers_another(line, self.now)
        self.up.add(line)
        if line.is_probe:
            self.probing.add(line)
        if line.rank not in self.away:
            return line
        self._meets(line)
        self.breakers.down(line, self.now, AWAY, jitter)
        self._closes(line)
        return multiple()

    @rule(line=lines, jitter=st.floats(0, 1), fault=st.sampled_from([GARBAGE, UNWANTED, NotSent("cut", False)]))
    def a_line_carries_a_letter(self, line: Line, jitter: float, fault: Verdict) -> None:
        if line in self.up:
            self._meets(line)
            self.breakers.hear(line, fault if line.rank in self.away else SENT, self.now, jitter)

    @rule(line=consumes(lines))
    def a_line_ends(self, line: Line) -> None:
        self._closes(line)

    @rule(line=lines)
    def a_lane_goes_to_a_relay_that_it_prefers(self, line: Line) -> None:
        if line in self.up and self.breakers.prefers_another(line, self.now):
            self._closes(line)
            better = self.breakers.admit(self.now)
            assert better is not None
            assert better.rank < line.rank
            self.breakers.ended(better)

    @invariant()
    def no_relay_has_two_probes_or_more_lines_than_lanes(self) -> None:
        for rank, relay in enumerate(self.relays):
            assert sum(line.rank == rank for line in self.probing) <= 1
            assert sum(line.rank == rank for line in self.up) <= relay.lanes

    @invariant()
    def something_may_be_tried_within_the_longest_break_unless_lines_are_up_everywhere(self) -> None:
        at = self.breakers.next_try(self.now)
        busy = {line.rank for line in self.up}
        assert at is not None or busy == {0, 1, 2}
        assert at is None or self.now <= at <= self.now + 750

    def teardown(self) -> None:
        """All relays are well again: the preferred one is used in full, and only then the others."""
        for line in list(self.up):
            self._closes(line)
        self.now += 800
        probes = [self._carry_one() for _ in self.relays[:1] * 3]
        assert {line.relay.name for line in probes} == {"A"}
        assert self._carry_one().relay.name == "B"
        assert self.breakers.words(self.now, NOON)[0] == "relay A: well, 3 of 3 lines are up"

    def _carry_one(self) -> Line:
        line = self.breakers.admit(self.now)
        assert line is not None
        self.breakers.hear(line, SENT, self.now, 0.0)
        return line

    def _meets(self, line: Line) -> None:
        self.probing.discard(line)

    def _closes(self, line: Line) -> None:
        self.probing.discard(line)
        if line in self.up:
            self.up.discard(line)
            self.breakers.ended(line)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=stories(60), stateful_step_count=60)

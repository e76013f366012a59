"""How many lanes share a turn: a rule of pure numbers, tried on a gate and a relay whose time is reckoned."""

import heapq

import pytest

from dispatcher.sending.crowding import Crowding

MS = 0.001
LANES = 64


class House:
    """Lanes between a gate and a relay. The loop reads all replies that have come, and what came meanwhile, before it
    begins a turn: a tenth of a millisecond each. A turn takes a millisecond, and a little for each lane."""

    def __init__(self, rtt: float, *, is_spread: bool) -> None:
        self._rtt = rtt
        self._crowding = Crowding() if is_spread else None
        self._at = [(0.0, lane) for lane in range(LANES)]
        self._now = 0.0
        self._letters = 0
        self.sizes: list[int] = []  # of the last hundred turns

    def send_for(self, seconds: float) -> float:
        """Give letters a second."""
        waiting: list[int] = []
        while self._now < seconds:
            if not waiting:
                self._now = max(self._now, self._at[0][0])
            asked = self._now
            while self._at and self._at[0][0] <= self._now:
                waiting.append(heapq.heappop(self._at)[1])
                self._now += 0.1 * MS
            most = self._crowding.most if self._crowding else None
            going, waiting = (waiting, []) if most is None else (waiting[:most], waiting[most:])
            self._turn(going, asked)
        return self._letters / seconds

    def _turn(self, going: list[int], asked: float) -> None:
        self._now += MS + 0.05 * MS * len(going)
        if self._crowding is not None:
            self._crowding.note(len(going), asked, self._now)
        self._letters += len(going)
        self.sizes = [*self.sizes[-99:], len(going)]
        for lane in going:
            heapq.heappush(self._at, (self._now + self._rtt, lane))


def test_lanes_that_came_in_one_crowd_are_spread_over_the_way_to_a_far_relay() -> None:
    crowd, spread = House(25 * MS, is_spread=False), House(25 * MS, is_spread=True)
    at_best = LANES / (25 * MS)
    assert crowd.send_for(5) < 0.75 * at_best
    assert spread.send_for(5) > 0.85 * at_best
    assert max(crowd.sizes) == LANES
    assert max(spread.sizes) < 12


@pytest.mark.parametrize("milliseconds", [0.1, 0.5, 5.0, 10.0, 100.0])
def test_nowhere_does_it_take_longer_because_crowds_are_parted(milliseconds: float) -> None:
    before, after = House(milliseconds * MS, is_spread=False), House(milliseconds * MS, is_spread=True)
    assert after.send_for(2) >= 0.99 * before.send_for(2)


def test_where_the_relay_is_near_all_who_gathered_go_together() -> None:
    house = House(0.5 * MS, is_spread=True)
    house.send_for(2)
    assert min(house.sizes) == LANES


def test_as_many_as_ask_may_go_until_it_is_known_how_many_come() -> None:
    crowding = Crowding()
    for turn in range(7):
        crowding.note(200, turn * MS, turn * MS + MS)
        assert crowding.most is None
    crowding.note(200, 7 * MS, 8 * MS)
    assert crowding.most == 400


def test_after_a_quiet_time_turns_grow_with_those_who_ask() -> None:
    crowding, now = Crowding(), 0.0
    for _ in range(16):
        crowding.note(1, now, now + MS)
        now += 1.0
    assert crowding.most == 3
    turns = 0
    while crowding.most < 200:
        crowding.note(crowding.most, now, now + MS)
        now += MS
        turns += 1
    assert turns < 400

"""What is found out beside the pages: no page waits for it, and two never look for the same at once."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from dispatcher.console import beside
from dispatcher.console.beside import Beside, Known
from dispatcher.db.clock import steady
from dispatcher.errors import PartUnavailable

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class Slow:
    """What is looked for: it is found when somebody says so."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.looks = 0

    def find(self) -> Known[int]:
        self.looks += 1
        assert self.may_end.wait(20)
        return Known(self.looks, NOW)


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.may_end.set()


def until_known(of: Beside[int]) -> Known[int]:
    end = steady() + 20
    while (known := of.known()) is None:
        assert steady() < end
    return known


def test_a_page_does_not_wait_for_what_takes_long_and_nobody_looks_twice_at_once(slow: Slow) -> None:
    of = Beside("slow", slow.find, good_for=60)
    begun = steady()
    assert [of.known() for _ in range(3)] == [None] * 3
    assert steady() - begun < 10
    slow.may_end.set()
    assert until_known(of) == Known(1, NOW)
    assert of.known() == Known(1, NOW)
    assert slow.looks == 1


def test_what_is_old_is_shown_until_there_is_something_newer(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "_BLINK", 0.001)
    of = Beside("slow", slow.find, good_for=60)
    slow.may_end.set()
    until_known(of)
    slow.may_end.clear()
    of.forget()
    assert of.known() == Known(1, NOW)
    of.forget()  # while it is looked for: what is found is out of date already
    slow.may_end.set()
    while of.known() != Known(3, NOW):
        pass


def test_what_cannot_be_found_out_leaves_what_is_known(slow: Slow) -> None:
    answers: list[Known[int] | Exception] = [PartUnavailable("away", ""), Known(7, NOW)]

    def find() -> Known[int]:
        match answers.pop(0):
            case Known() as known:
                return known
            case error:
                raise error

    of = Beside("failing", find, good_for=0)
    assert until_known(of) == Known(7, NOW)

"""Which subject won: fewer withdrawals, where chance alone would hardly bring so many fewer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.newsletters.trial_figures import Figures, in_the_running


def _figures(*left_of: tuple[int, int]) -> list[Figures]:
    return [Figures(no, sent, sent, 0, 0, left) for no, (left, sent) in enumerate(left_of, start=1)]


@pytest.mark.parametrize(
    ("left_of", "running"),
    [
        ([(0, 1000), (0, 1000)], [1, 2]),  # nobody left
        ([(3, 1000), (1, 1000)], [1, 2]),  # chance
        ([(40, 1000), (10, 1000)], [2]),
        ([(10, 1000), (40, 1000)], [1]),
        ([(6, 1000), (0, 1000)], [2]),  # of six none: one in 64
        ([(5, 1000), (0, 1000)], [1, 2]),  # of five none: one in 32, and either might have been the better one
        ([(40, 99), (0, 99)], [1, 2]),  # too few people
        ([(40, 1000), (0, 99)], [1, 2]),
        ([(40, 1000), (12, 1000), (10, 1000)], [2, 3]),  # the worst is out, the others are alike
        ([(40, 1000), (45, 1000), (10, 1000), (42, 1000)], [3]),
        ([(0, 0), (0, 0)], [1, 2]),
        ([(20, 2000), (12, 1000)], [1, 2]),  # rates count, not heads
        ([(9_000, 1_000_000), (8_000, 1_000_000)], [2]),
    ],
)
def test_only_who_is_clearly_worse_than_the_best_is_out(left_of: list[tuple[int, int]], running: list[int]) -> None:
    assert in_the_running(_figures(*left_of)) == running


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(400, 4000)), min_size=2, max_size=4))
def test_the_best_is_always_in_the_running_and_the_order_of_subjects_is_kept(left_of: list[tuple[int, int]]) -> None:
    figures = _figures(*left_of)
    running = in_the_running(figures)
    assert running == sorted(running)
    assert min(figures, key=lambda each: each.rate).rate in {figures[no - 1].rate for no in running}

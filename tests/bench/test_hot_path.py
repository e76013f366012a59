"""A change that makes every letter dearer is seen before it is measured."""

from tests.bench.hot_path import count, recorded

MARGIN = 1.05  # Python's minor versions differ by a few instructions


def test_a_letter_costs_no_more_python_than_was_recorded() -> None:
    now, was = count(), recorded()
    assert now.instructions <= was.instructions * MARGIN
    assert now.c_calls <= was.c_calls * MARGIN


def test_the_count_is_the_same_each_time() -> None:
    assert count() == count()

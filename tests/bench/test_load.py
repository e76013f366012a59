"""The server at the other end: what it says of itself is true."""

from dispatcher.bench import load


def test_a_relay_that_is_far_away_says_how_long_it_held_its_replies_in_truth() -> None:
    with load.sink(0.02) as sink:
        assert 0.019 < load.held_s(sink) < 1.0  # a loop's clock counts in milliseconds

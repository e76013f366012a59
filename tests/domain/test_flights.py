"""What is written down of a letter whose dot is out is read as it was."""

import json

from dispatcher.domain.delivery.flights import Flight, entry, listed


def test_what_is_written_down_is_read_as_it_was_whatever_a_relay_is_called() -> None:
    flights = [Flight(7, 1, 2**62, "relay.example.de"), Flight(8, 3, 9, 'a "b"\\ü')]
    assert [Flight(*each) for each in json.loads(listed([entry(*flight) for flight in flights]))] == flights
    assert json.loads(listed([])) == []

"""What is written down of a letter whose dot is out is read as it was."""

from dispatcher.domain.delivery.flights import Flight, entry, listed, read, rest_of_entry


def test_what_is_written_down_is_read_as_it_was_whatever_a_relay_is_called() -> None:
    flights = [Flight(7, 1, 2**62, "relay.example.de"), Flight(8, 3, 9, 'a "b"\\ü  c\u2028d ')]
    assert read(listed([entry(*flight) for flight in flights])) == flights
    assert read(listed([])) == read(None) == []


def test_the_gate_may_put_the_consent_before_the_rest() -> None:
    assert "9" + rest_of_entry(8, 3, "relay:25") == entry(8, 3, 9, "relay:25")

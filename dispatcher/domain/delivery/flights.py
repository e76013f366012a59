"""Letters whose dots may be out, as a batch has them (`batch.in_flight`), a line each: should their process die, who
claims the batch finds them there.

    88123 4711 1 relay.example.de:587     consent event, person, attempt, relay

Plain text, because the gate writes it anew at every turn: as JSON, and compressed, it took a third of the statement.
The consent comes first: the gate learns of it in the statement that writes the line, and puts it before the rest.
"""

from collections.abc import Iterable
from typing import NamedTuple

Entry = str  # a Flight as it is written down


class Flight(NamedTuple):
    """A letter whose dot may be out: its attempt, by which consent, over which relay."""

    subscriber_id: int
    attempt: int
    consent_event_id: int
    relay: str


def entry(subscriber_id: int, attempt: int, consent_event_id: int, relay: str) -> Entry:
    """Write down that a dot is out: once, for each turn of the gate until its answer hands it to the database."""
    return f"{consent_event_id} {subscriber_id} {attempt} {relay}\n"


def rest_of_entry(subscriber_id: int, attempt: int, relay: str) -> str:
    """Write what comes after the consent event."""
    return f" {subscriber_id} {attempt} {relay}\n"


def listed(entries: Iterable[Entry]) -> str:
    """Give them as a batch has them."""
    return "".join(entries)


def read(in_flight: str | None) -> list[Flight]:
    """Read what a batch has."""
    lines = [line.split(" ", 3) for line in (in_flight or "").split("\n") if line]
    return [Flight(int(who), int(attempt), int(event), relay) for event, who, attempt, relay in lines]

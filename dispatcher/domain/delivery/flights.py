"""Letters whose dots may be out, as a batch has them (`batch.in_flight`): should their process die, whoever claims the
batch finds them there.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

Entry = str  # a Flight as it is written down, in JSON


class Flight(NamedTuple):
    """A letter whose dot may be out: its attempt, by which consent, over which relay."""

    subscriber_id: int
    attempt: int
    consent_event_id: int
    relay: str


def entry(subscriber_id: int, attempt: int, consent_event_id: int, relay: str) -> Entry:
    """Write down that a dot is out: once, for each turn of the gate until its answer hands it to the database."""
    return f"[{subscriber_id},{attempt},{consent_event_id},{_quoted(relay)}]"


def listed(entries: Sequence[Entry]) -> str:
    """Give them as a batch has them."""
    return f"[{','.join(entries)}]"


_quoted = lru_cache(maxsize=64)(json.dumps)

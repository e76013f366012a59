"""Which address of a person something happened under: the one that was asked for, one before it, or one after it. Pure.

Whoever moved keeps their consents; each move is an event, and `former_addresses` says which hash ended by it.
"""

from enum import StrEnum

from dispatcher.rights.records import Facts


class Whose(StrEnum):
    """An address, seen from the one that was asked for."""

    THIS = "this"
    FORMER = "former"
    LATER = "later"


def of_event(facts: Facts, event_id: int) -> tuple[Whose, str]:
    """Give the address under which an event happened, and its keyed hash; of a move it is the new one."""
    before = [former["event_id"] <= event_id for former in facts["former_addresses"]]
    return _seen(facts, before.count(True))


def at_moment(facts: Facts, at: str) -> tuple[Whose, str]:
    """Give the address that was the person's at a moment, and its keyed hash."""
    return _seen(facts, [former["until"] <= at for former in facts["former_addresses"]].count(True))


def _seen(facts: Facts, place: int) -> tuple[Whose, str]:
    had = [*(former["address_hash"] for former in facts["former_addresses"]), facts["person"]["address_hash"]]
    asked = len(had) - 1 - had[::-1].index(facts["asked_hash"])
    if had[place] == facts["asked_hash"]:
        return Whose.THIS, had[place]
    return (Whose.FORMER if place < asked else Whose.LATER), had[place]

"""The one table of names inside the engine that torture takes hold of: constants to hurry, places to die at.

A worker's entry (worker.py) sets these from outside, in its own process, before it starts; nothing in `dispatcher`
knows of it. When a name moves, it moves here; `test_every_name_of_the_table_exists` finds one that is gone.
"""

import functools
import importlib
import inspect
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast leases end and retries come, in seconds, and how many people a batch and a portion of the audience have.
    None: as in production.
    """

    lease: float | None = 3.0
    page: int | None = 40
    retry: float | None = 0.2
    portion: int | None = None


class Point(StrEnum):
    """A moment in the life of a letter, a batch or a campaign at which a worker may die."""

    LAUNCH_BETWEEN = "launch, between its two transactions"
    LAUNCH_WITHIN = "launch, inside the second"
    IN_PORTION = "launch, inside the transaction of a later portion"
    AFTER_PORTION = "launch, between two portions"
    IN_CLAIM = "in the claim, before its commit"
    AFTER_CLAIM = "after the claim's commit"
    BEFORE_GATE = "before the gate"
    AFTER_GATE = "after the gate's commit, before the dot"
    AFTER_REPLY = "after the reply, before it is told"
    BEFORE_OUTCOME = "before the transaction that records it"
    IN_SETTLE = "with outcome and settlement written, before their commit"
    AFTER_SETTLE = "after the settlement's commit"


@dataclass(frozen=True, slots=True)
class Place:
    """A function by module and name; the process dies as it is entered, or as it has returned."""

    module: str
    name: str
    entered: bool
    when: Callable[..., bool] = lambda *_: True  # is asked about the arguments; only calls it claims are counted


def _has_records(*arguments: Any) -> bool:
    return bool(arguments[2])  # pass_gate(conn, campaigns, records, ...)


PLACES: dict[Point, Place] = {
    Point.LAUNCH_BETWEEN: Place("dispatcher.sending.launch", "launch", entered=True),
    Point.LAUNCH_WITHIN: Place("dispatcher.domain.audience.dealing_out", "freeze", entered=False),
    Point.IN_PORTION: Place("dispatcher.domain.audience.dealing_out", "freeze", entered=False),
    Point.AFTER_PORTION: Place("dispatcher.sending.launch", "go_on", entered=True),
    Point.IN_CLAIM: Place("dispatcher.domain.delivery.batches", "claim", entered=False),
    Point.AFTER_CLAIM: Place("dispatcher.sending.gate", "Gate.hold", entered=True),
    Point.BEFORE_GATE: Place("dispatcher.sending.gate", "Gate.ask", entered=True),
    Point.AFTER_GATE: Place("dispatcher.smtp.lane", "Lane.release", entered=True),
    Point.AFTER_REPLY: Place("dispatcher.sending.gate", "Gate.tell", entered=True),
    Point.BEFORE_OUTCOME: Place("dispatcher.domain.delivery.passage", "pass_gate", entered=True, when=_has_records),
    Point.IN_SETTLE: Place("dispatcher.domain.delivery.batches", "settle", entered=False),
    Point.AFTER_SETTLE: Place("dispatcher.sending.gate", "Gate.let_go", entered=True),
}

# What `hurry` sets: module, name, and the value made of a tempo; None of it: left alone.
_LEASE = "dispatcher.domain.delivery.batches", "dispatcher.domain.delivery.passage"
CONSTANTS: tuple[tuple[str, str, Callable[[Tempo], object]], ...] = (
    *((module, "LEASE", lambda t: t.lease and timedelta(seconds=t.lease)) for module in _LEASE),
    ("dispatcher.domain.audience.dealing_out", "PAGE", lambda t: t.page),
    *(("dispatcher.domain.audience.audiences", name, lambda t: t.portion) for name in ("FIRST_PORTION", "PORTION")),
    ("dispatcher.sending.gate", "MARGIN", lambda t: t.lease and t.lease / 6),
    ("dispatcher.sending.gate", "HEARTBEAT", lambda t: t.lease and t.lease / 4),
    ("dispatcher.sending.retry", "_STEPS", lambda t: t.retry and (timedelta(seconds=t.retry),) * 50),
    ("dispatcher.smtp.breaker", "_FIRST_BREAK", lambda t: t.retry and t.retry / 4),
    ("dispatcher.smtp.breaker", "_LONGEST_BREAK", lambda t: t.retry),
)


def hurry(tempo: Tempo) -> None:
    """Set the constants of this process."""
    for path, name, value_of in CONSTANTS:
        value = value_of(tempo)
        if value is not None:
            setattr(*find(Place(path, name, entered=True)), value)


def arm(point: Point, nth: int) -> None:
    """Have this process die by SIGKILL at the `nth` passage of a point (from 1)."""
    place = PLACES[point]
    owner, name = find(place)
    setattr(owner, name, _deadly(getattr(owner, name), place, nth))


def find(place: Place) -> tuple[Any, str]:
    """Give what has a function (a module or a class), and the function's name in it."""
    owner = importlib.import_module(place.module)
    *inner, name = place.name.split(".")
    for word in inner:
        owner = getattr(owner, word)
    assert hasattr(owner, name), f"{place.module} has no {place.name} any more"
    return owner, name


def _deadly(function: Callable[..., Any], place: Place, nth: int) -> Callable[..., Any]:
    """Wrap a function that is no coroutine."""
    assert not inspect.iscoroutinefunction(function), f"{place.name} has become a coroutine"
    left = [nth]

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if place.when(*arguments):
            left[0] -= 1
        dies = left[0] == 0
        if dies and place.entered:
            die()
        result = function(*arguments, **named)
        if dies:
            die()
        return result

    return wrapped


def die() -> None:
    """End as by a power cut: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)

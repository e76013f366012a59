"""Whether a process has had time lately: then it may do now what it would have to do later.

With a relay far away a process works a third of the time, and what counts is how long each lane waits: letters are
composed ahead, and turns of the gate are small. Near by, where it has no time, what counts is what each letter costs,
and turns are large.
"""

_IDLE = 0.65  # share of the time: far away a sender works a fifth to a third of it, near by more than a half
_LOOK = 0.1  # seconds


class Leisure:
    """Goes by what it is told: seconds that the process has worked, by its CPU clock, at moments of a steady clock."""

    def __init__(self) -> None:
        self.is_there = True  # until it is known: whoever asks first shall not wait
        self._before: tuple[float, float] | None = None

    def note(self, worked: float, now: float) -> None:
        """Take note of how long the process has worked so far."""
        if self._before is None:
            self._before = worked, now
            return
        worked_before, then = self._before
        if now - then >= _LOOK:
            self.is_there = worked - worked_before < (1 - _IDLE) * (now - then)
            self._before = worked, now

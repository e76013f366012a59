"""How many lanes may share a turn of the gate, so that they do not go about in crowds.

Lanes that are let go together come back together. With a relay far away nearly all time is the way there and back, and
a crowd never parts again: whoever comes while others wait joins them, the turn grows longer, and in the end all come at
once, wait for each other, and then nobody comes. So a turn takes about as many as come, on average, while somebody
waits; the rest has the next, and the way there and back spreads them. A process that is busy (leisure.py) does not
ask: small turns would cost it more than crowds do.
"""

_ROOM = 2.0  # times as many: with less, turns of uneven length leave lanes waiting, and cost PostgreSQL more
_LEAST = 3  # one lane costs a turn nearly what three cost
_LOOK = 8  # turns from which the number is taken; half of it is the one before


class Crowding:
    """Goes by the turns that it is told of. Moments are seconds of a steady clock."""

    def __init__(self) -> None:
        self.most: int | None = None  # lanes in the next turn; None: as many as ask
        self._came: float | None = None  # while somebody waited for a turn's end, on average
        self._since: float | None = None
        self._turns = self._lanes = 0
        self._waited = 0.0

    def note(self, lanes: int, asked: float, ended: float) -> None:
        """Take note of a turn in which so many lanes had their answer, and since when somebody waited for its end."""
        if self._since is None:
            self._since = asked
        self._turns += 1
        self._lanes += lanes
        self._waited += ended - asked
        if self._turns >= _LOOK and ended > self._since:
            self._weigh(self._lanes / (ended - self._since) * self._waited / self._turns)
            self._since, self._turns, self._lanes, self._waited = ended, 0, 0, 0.0

    def _weigh(self, came: float) -> None:
        self._came = came if self._came is None else (self._came + came) / 2
        self.most = max(_LEAST, round(self._came * _ROOM))

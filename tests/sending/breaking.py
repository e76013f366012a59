"""A relay that breaks off in the middle of a letter, surely before the gate has decided about it.

A relay that closes the connection while it reads a body does so at a moment of its own: the dot may have left by then,
and the letter is in doubt, rightly. Here the gate waits for a row of the database until the connection is closed.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, update

from dispatcher.db.tables import batch
from tests.relay import Act, Ask, ScriptedRelay


class BreakingOff:
    """A script: so many times, `recipient`'s letter has its body here and its dot not when the connection breaks.

    What comes after is answered as usual; so is everybody else, but for what `before` says.
    """

    def __init__(self, recipient: str, times: int, before: dict[tuple[str, str], Act]) -> None:
        self._recipient = recipient
        self._times = times
        self._before = before
        self._begun, self._locked = threading.Event(), threading.Event()
        self.broken = 0

    def __call__(self, ask: Ask) -> Act | None:
        if (ask.verb, ask.recipient) == ("DATA", self._recipient) and self.broken < self._times:
            self._locked.clear()
            self._begun.set()
            assert self._locked.wait(20)
        return self._before.get((ask.verb, ask.recipient))

    @contextmanager
    def over(self, relay: ScriptedRelay, engine: Engine) -> Iterator[None]:
        """Do so at this relay, to a drain that is under way within."""
        thread = threading.Thread(target=self._work, args=(relay, engine))
        thread.start()
        yield
        thread.join(20)
        assert not thread.is_alive()

    def _work(self, relay: ScriptedRelay, engine: Engine) -> None:
        while self.broken < self._times:
            if not self._begun.wait(20):
                return
            self._begun.clear()
            with engine.begin() as conn:
                conn.execute(update(batch).values(state=batch.c.state))  # the gate waits for it from here on
                self.broken += 1
                self._locked.set()
                assert relay.wait_until(lambda r: bool(r.pending()))  # so the body did not wait for the gate
                relay.break_off()

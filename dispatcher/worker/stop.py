"""Being told to end: SIGTERM, or Ctrl-C.

A plain flag. A threading.Event may not be set in a signal handler: if the signal comes while the same thread is inside
the event's own lock, neither goes on.
"""

import signal
import time
from types import FrameType


class Stop:
    """Set once, mostly by a signal; asked often."""

    def __init__(self) -> None:
        self._told = False

    def is_set(self) -> bool:
        """Say whether we were told to end."""
        return self._told

    def wait(self, seconds: float) -> bool:
        """Wait a moment; say whether we were told to end."""
        if not self._told:
            time.sleep(seconds)
        return self._told

    def listen(self) -> "Stop":
        """Hear SIGTERM and SIGINT from now on."""
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)
        return self

    def tell(self) -> None:
        """Set it. May be called in a signal handler."""
        self._told = True

    def _tell(self, _signal: int, _frame: FrameType | None) -> None:
        self.tell()

"""What is not well, looked at now and then: asking broker and files takes longer than a page may."""

import threading
from collections.abc import Sequence

from sqlalchemy import Engine

from dispatcher import health
from dispatcher.db.clock import steady
from dispatcher.health import Finding, Part
from dispatcher.settings import Settings

_GOOD_FOR = 20.0  # seconds
# The database answers, or there would be no page. DKIM and the seal are the workers': the pages need not have the keys.
_PARTS = (Part.BROKER, Part.ENDINGS, Part.CAMPAIGNS, Part.RIGHTS, Part.WEBHOOKS)


class HealthWatch:
    """The newest findings of this process."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._lock = threading.Lock()
        self._findings: Sequence[Finding] = ()
        self._good_until = 0.0

    def findings(self) -> Sequence[Finding]:
        """Give what was found, at most twenty seconds ago; one who asks looks, others wait for them."""
        with self._lock:
            if steady() > self._good_until:
                self._findings = health.examine(self._settings, lambda: self._engine, _PARTS)
                self._good_until = steady() + _GOOD_FOR
            return self._findings

"""What is not well, found out beside the pages: asking broker and files takes longer than a page may."""

from collections.abc import Sequence

from sqlalchemy import Engine

from dispatcher import health
from dispatcher.console.beside import Beside, Known
from dispatcher.db import clock
from dispatcher.db.engine import reading
from dispatcher.health import Finding, Part
from dispatcher.settings import Settings

# The database answers, or there would be no page. DKIM and the seal are the workers': the pages need not have the keys.
_PARTS = (Part.BROKER, Part.WORKERS, Part.BREAKER, Part.ENDINGS, Part.CAMPAIGNS, Part.RIGHTS, Part.WEBHOOKS)


def health_watch(settings: Settings, engine: Engine) -> Beside[Sequence[Finding]]:
    """Give the newest findings of this process, at most twenty seconds old."""

    def find() -> Known[Sequence[Finding]]:
        with reading(engine).connect() as conn:
            now = clock.now(conn)
        return Known(health.examine(settings, lambda: engine, _PARTS), now)

    return Beside("health", find, good_for=20.0)


def doctor(settings: Settings, engine: Engine) -> Beside[Sequence[Finding]]:
    """Give what a look at every part finds, as `dispatcher doctor` has it: on somebody's word: relays are greeted."""

    def find() -> Known[Sequence[Finding]]:
        found = health.examine(settings, lambda: engine)
        with reading(engine).connect() as conn:
            return Known(found, clock.now(conn))

    return Beside("doctor", find, good_for=0.0)

"""The samples of templates/mail, as of today: what a newsletter is begun with.

Their text names no day. The days of their heads are moved: prices are of this morning, or of now while that is still to
come; offers end in a fortnight. So a draft begun from a sample has nothing to be warned of.
"""

import re
from datetime import datetime, timedelta

from dispatcher.assets import templates
from dispatcher.languages import Language
from dispatcher.zone import ZONE

_DATED = re.compile(r"(as_of|valid_until): [0-9]{4}-[0-9]{2}-[0-9]{2}(?: ([0-9]{2}:[0-9]{2}))?")
_OFFERED_FOR = timedelta(days=14)


def sample(topic: str, language: Language, now: datetime) -> str:
    """Give the sample of a topic, as of `now`."""
    path = templates() / "mail" / topic / f"sample.{language}.md"
    here = now.astimezone(ZONE)

    def moved(found: re.Match[str]) -> str:
        if found[1] == "valid_until":
            return f"valid_until: {here.date() + _OFFERED_FOR}"
        written, clock = found[2], f"{here:%H:%M}"
        return f"as_of: {here.date()} {min(written, clock)}" if written else f"as_of: {here.date()}"

    return _DATED.sub(moved, path.read_text(encoding="utf-8"))

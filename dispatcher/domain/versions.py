"""A version of the words people agree to, as a whole, and what can have been agreed to in it. Nothing here knows the
database: whoever reads files goes by it too. How versions are kept is said in declarations.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dispatcher.db.terms import Language, Topic


@dataclass(frozen=True, slots=True)
class Version:
    """A version as a whole: what all its languages share."""

    key: str
    version: str
    number: int
    languages: tuple[Language, ...]
    topics: tuple[Topic, ...]
    valid_from: datetime
    renews: frozenset[Topic]
    covers_unknown: bool

    @property
    def name(self) -> str:
        """Give the name that import files and events use."""
        return f"{self.key}-{self.version}"


def why_not_under(version: Version, topics: Iterable[Topic], given_at: datetime) -> str | None:
    """Say why consent for these topics cannot have been given in these words at that moment; None: it can.

    The first words may be older than their row: they are entered at the first start, and stood on paper before.
    """
    strange = [topic for topic in topics if topic not in version.topics]
    if strange:
        return f"{version.name} does not cover {', '.join(strange)}"
    if version.number == 1 or given_at >= version.valid_from:
        return None
    first = version.valid_from.replace(microsecond=0)  # files name whole seconds
    if given_at < first:
        return f"{version.name} was not valid before {first:%Y-%m-%d %H:%M:%S} UTC, after that consent"
    return None

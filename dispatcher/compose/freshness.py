"""How old a letter's prices are, and until when they are good: pure, from what its content says.

The time of a price is the `as_of` of its product; a letter without priced products has the time of the letter. A day
without a clock time counts from its beginning. Of several the oldest decides, in every language.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from dispatcher.compose.content import Content
from dispatcher.errors import ContentInvalid
from dispatcher.zone import ZONE


@dataclass(frozen=True, slots=True)
class Prices:
    """Both in UTC. `until` is the first moment at which they are too old."""

    as_of: datetime
    until: datetime


def prices(contents: Iterable[Content]) -> Prices | None:
    """Give the time of a campaign's prices over all its languages. None: no content says how long they are good.

    Raises ContentInvalid where a content says so and holds no time.
    """
    each = [found for content in contents if (found := _prices_of(content)) is not None]
    if not each:
        return None
    return Prices(min(found.as_of for found in each), min(found.until for found in each))


def _prices_of(content: Content) -> Prices | None:
    if content.prices_good_for is None:
        return None
    times = [product.as_of for product in content.products if product.price is not None]
    moments = [_moment(time) for time in times or [content.as_of] if time is not None]
    if not moments:
        cure = "Add `as_of: 2026-03-02 10:30`, or leave it out."
        raise ContentInvalid(content.file, 0, "`prices_good_for` without the time of a price", cure)
    return Prices(min(moments), min(moments) + content.prices_good_for)


def _moment(written: datetime | date) -> datetime:
    """As the house's clock shows it; of a time that came twice the earlier is meant."""
    moment = written if isinstance(written, datetime) else datetime.combine(written, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZONE)).astimezone(UTC)

"""Times as the chain writes them out."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(int):
    """A time as it is written out: microseconds since 1970, in UTC. Also such as Python has no datetime for."""

    @property
    def datetime(self) -> datetime | None:
        """Give the time; None: it lies before the year 1, or behind 9999."""
        try:
            return EPOCH + self * _MICROSECOND
        except OverflowError:
            return None

"""Wall-clock times in IANA zones, and the moments that they mean.

somebody types a time     a time that the zone skips is refused; of one that comes twice the first is meant
a clock comes to a time   by itself, in a zone that nobody looked at: what RFC 5545 3.3.5 says. A time that the zone
                          skips is read with the offset from before: 02:30 is 03:30 on that day; of one that comes
                          twice the first is meant
"""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dispatcher.errors import InputRefused


def zone_of(name: str) -> ZoneInfo:
    """Find a zone. Raises InputRefused."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputRefused(f"there is no time zone {name!r}", "use a name such as Europe/Berlin") from None


@lru_cache(maxsize=1024)
def is_known(name: str) -> bool:
    """Claim that there is such a zone."""
    try:
        zone_of(name)
    except InputRefused:
        return False
    return True


def wall_time(text: str) -> datetime:
    """Read a wall-clock time, without its zone. Raises InputRefused."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise InputRefused(f"{text!r} is not a time", "write it as 2026-12-01T09:00") from None
    if local.tzinfo is not None:
        raise InputRefused(f"{text!r} names an offset", "write the wall-clock time and give the zone with --zone")
    return local


def moment(text: str, zone: str, now: datetime) -> datetime:
    """Read a wall-clock time that somebody typed for a zone; give it in UTC.

    Raises InputRefused for an unknown zone, a time in the past, and one that the zone skips (clocks put forward). Of a
    time that comes twice (clocks put back) the first is meant.
    """
    tz, local = zone_of(zone), wall_time(text)
    try:
        chosen, skipped = on_the_clock(local, tz), is_skipped(local, tz)
    except OverflowError:
        raise InputRefused(f"{text!r} is not a time that can come", "write it as 2026-12-01T09:00") from None
    if skipped:
        raise InputRefused(
            f"{text} does not exist in {zone}: the clocks are put forward over it", "choose an hour earlier or later"
        )
    if chosen < now:
        raise InputRefused(f"{text} in {zone} is in the past", "choose a later time, or use `campaigns start`")
    return chosen


def is_skipped(local: datetime, tz: ZoneInfo) -> bool:
    """Claim that a zone's clocks are put forward over a wall-clock time."""
    return on_the_clock(local, tz).astimezone(tz).replace(tzinfo=None) != local


def comes_twice(local: datetime, tz: ZoneInfo) -> bool:
    """Claim that a zone's clocks are put back over a wall-clock time."""
    first, second = (local.replace(tzinfo=tz, fold=fold).utcoffset() for fold in (0, 1))
    return first != second and not is_skipped(local, tz)


def on_the_clock(local: datetime, tz: ZoneInfo) -> datetime:
    """Give the moment (UTC) at which a zone's clocks come to a wall-clock time; see above for one that they skip."""
    return local.replace(tzinfo=tz, fold=0).astimezone(UTC)

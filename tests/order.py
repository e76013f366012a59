"""What takes long comes first in every process, so that none is left alone with it at the end.

xdist hands each process one stretch of the list, of equal lengths, and whoever has done theirs takes from the end of
another's. A test of half a minute that chance puts last is waited for by all.
"""

from collections.abc import Sequence

import pytest

from tests.chromium import MARK

LONG = ("tests/journeys/", "tests/torture/", "tests/console/test_in_a_browser.py", "tests/api/test_fuzz.py")


def long_first(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """Give the same tests: in each stretch its share of the long ones, then others. Who stood together still does, and
    who needs a browser stands together.
    """
    long = [item for item in items if item.nodeid.startswith(LONG)]
    long.sort(key=lambda item: item.get_closest_marker(MARK) is None)
    short = [item for item in items if not item.nodeid.startswith(LONG)]
    ordered: list[pytest.Item] = []
    for left in range(processes, 0, -1):
        size, first = (len(long) + len(short)) // left, len(long) // left
        ordered += long[:first] + short[: size - first]
        del long[:first], short[: size - first]
    return ordered

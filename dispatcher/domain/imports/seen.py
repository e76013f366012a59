"""Which addresses a file has named already, at 32 octets each however many: a million in as many megabytes.

What is kept of an address are 16 octets of its keyed hash, as two numbers in a table with open addressing. That two
addresses of a file of a hundred million share them has a chance of one in 10^22.
"""

from array import array
from struct import Struct

_PARTS = 16
_TWO_NUMBERS = Struct(">QQ")


class Seen:
    """A set of hashes that can only grow. It grows in parts: of one only the old is there beside the new."""

    def __init__(self) -> None:
        self._parts = [_Part() for _ in range(_PARTS)]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, hashed: bytes) -> bool:
        """Take a hash of 16 octets or more in; tell whether it is new."""
        return self._parts[hashed[-1] % _PARTS].add(hashed)


class _Part:
    def __init__(self) -> None:
        self._slots = 1 << 8
        self._cells = _empty(self._slots)  # two numbers to a slot; of one that is free the first is zero
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, hashed: bytes) -> bool:
        first, second = _TWO_NUMBERS.unpack_from(hashed)
        first = first or 1
        cells, last = self._cells, self._slots - 1
        slot = first & last
        while found := cells[2 * slot]:
            if found == first and cells[2 * slot + 1] == second:
                return False
            slot = (slot + 1) & last
        cells[2 * slot], cells[2 * slot + 1] = first, second
        self._count += 1
        if self._count * 3 > self._slots * 2:
            self._grow()
        return True

    def _grow(self) -> None:
        old = self._cells
        self._slots *= 2
        cells, last = _empty(self._slots), self._slots - 1
        for place in range(0, len(old), 2):
            if first := old[place]:
                slot = first & last
                while cells[2 * slot]:
                    slot = (slot + 1) & last
                cells[2 * slot], cells[2 * slot + 1] = first, old[place + 1]
        self._cells = cells


def _empty(slots: int) -> "array[int]":
    return array("Q", [0]) * (2 * slots)

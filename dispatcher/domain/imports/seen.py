"""Which addresses a file has named already, at 32 octets each however many: a million in as many megabytes.

What is kept of an address are 16 octets of its keyed hash, in a table with open addressing. That two addresses of a
file of a hundred million share them has a chance of one in 10^22.
"""

_WIDTH = 16
_EMPTY = bytes(_WIDTH)


class Seen:
    """A set of hashes that can only grow."""

    def __init__(self) -> None:
        self._slots = 1 << 12
        self._cells = bytearray(_WIDTH * self._slots)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, hashed: bytes) -> bool:
        """Take a hash of 16 octets or more in; tell whether it is new."""
        key = hashed[:_WIDTH]
        place = self._place(key)
        if self._cells[place : place + _WIDTH] == key:
            return False
        self._cells[place : place + _WIDTH] = key
        self._count += 1
        if self._count * 3 > self._slots * 2:
            self._grow()
        return True

    def _place(self, key: bytes) -> int:
        """Give where a key stands, or where it belongs."""
        cells, end = self._cells, len(self._cells)
        place = int.from_bytes(key[:8]) % self._slots * _WIDTH
        while True:
            found = cells[place : place + _WIDTH]
            if found in (key, _EMPTY):
                return place
            place = (place + _WIDTH) % end

    def _grow(self) -> None:
        old = self._cells
        self._slots *= 2
        self._cells = bytearray(_WIDTH * self._slots)
        for start in range(0, len(old), _WIDTH):
            key = bytes(old[start : start + _WIDTH])
            if key != _EMPTY:
                place = self._place(key)
                self._cells[place : place + _WIDTH] = key

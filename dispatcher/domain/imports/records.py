"""From lines to cells. What must stay true: a broken row costs no other row its place, not even when it opens a quote
that is never closed and a reader of CSV would swallow what follows.
"""

import csv
from collections.abc import Iterator
from typing import NamedTuple

from dispatcher.domain.imports.lines import LONGEST
from dispatcher.errors import InputRefused

_SEPARATORS = (",", ";", "\t")


class Record(NamedTuple):
    """A record, and the line on which it begins. `problem` says why it is none; its line is in the only cell then."""

    line: int
    cells: list[str]
    problem: str = ""


class Records:
    """The records of a CSV file. The first gives the separator (comma, semicolon, tab) and the number of cells."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._feed = _Feed(lines)
        first = self._first()
        self.separator = _named(first) or max(_SEPARATORS, key=lambda separator: _cells(first, separator))
        if _named(first):
            self._feed.settle()
        else:
            self._feed.put_back(0)
        self._reader = csv.reader(self._feed, strict=True, delimiter=self.separator)
        self.header = self._header()

    def __iter__(self) -> Iterator[Record]:
        """Give the records after the header, blank ones left out."""
        feed, width = self._feed, len(self.header)
        while True:
            line = feed.line + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._broken(line, str(error))
                continue
            if len(feed.taken) > 1 and len(cells) != width:
                yield self._broken(line, f"{len(cells)} cells where the header has {width}")
                continue
            feed.settle()
            if any(map(str.strip, cells)):
                yield Record(line, cells)

    def _first(self) -> str:
        """Give the first line with something on it."""
        for line in self._feed:
            if line.strip(" \t\r\n,;"):
                return line
            self._feed.settle()
        raise InputRefused(
            "the file is empty", "its first line must name the columns, such as: email,name,language,topics"
        )

    def _header(self) -> list[str]:
        try:
            cells = next(self._reader)
        except (csv.Error, StopIteration) as error:
            cure = "write the names of the columns on it, such as: email,name,language,topics"
            raise InputRefused(f"the header is not CSV: {error}, on line {self._feed.line + 1}", cure) from None
        self._feed.settle()
        return [cell.strip() for cell in cells]

    def _broken(self, line: int, problem: str) -> Record:
        """Give up the record's first line only: what stands on the next ones may be rows of their own."""
        first = self._feed.taken[0]
        if len(self._feed.taken) > 1:
            problem = "a quote that opens on this line is not closed"
            self._feed.put_back(1)
        self._feed.settle()
        return Record(line, [first.rstrip("\r\n")], f"not CSV: {problem}")


class _Feed:
    """Lines for csv.reader. Those of the record at hand are kept, so that they can be put back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._back: list[str] = []  # the next line last
        self.taken: list[str] = []
        self.line = 0  # lines that are done with
        self._length = 0  # characters taken

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._back.pop() if self._back else next(self._lines)
        self.taken.append(line)
        self._length += len(line)
        if self._length > LONGEST:
            raise csv.Error("it is too long")
        return line

    def settle(self) -> None:
        """Be done with the record at hand."""
        self.line += len(self.taken)
        self.taken.clear()
        self._length = 0

    def put_back(self, start: int) -> None:
        """Put the lines of the record at hand back, from this one on."""
        self._back.extend(reversed(self.taken[start:]))
        del self.taken[start:]
        self._length = sum(map(len, self.taken))


def _named(line: str) -> str:
    """Give the separator that a line such as `sep=;` names: spreadsheets write and heed it."""
    word = line.strip("\r\n \ufeff")
    return word[4:] if word[:4].lower() == "sep=" and word[4:] in _SEPARATORS else ""


def _cells(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator)))
    except csv.Error:
        return 0

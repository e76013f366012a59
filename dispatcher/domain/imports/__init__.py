"""People from a CSV file, streamed. What must stay true: suppression and withdrawal win over every row, a consent is
believed only with its evidence, and a dry run gives exactly the verdicts of the real one.

    lines.py      octets -> lines: encoding, byte order mark, how long a line may be
    records.py    lines -> cells: separators, quotes that are never closed
    columns.py    header -> which cell says what; whose export it is
    claims.py     cells -> what a row says of a person, by the format of the file
    reading.py    all of this: a file -> rows, or why one cannot be read
    beside.py     reads a large file in a process of its own
    ahead.py      reads and judges the next chunk while this one is written
    judging.py    a row and what we know of the person -> what is new, and what the row counts as
    writing.py    a chunk of rows -> people, consent events, suppressions
    runs.py       how far a file was taken in, so that it goes on there
    rejects.py    the rows that cannot be read, as a file to be mended

At the door stands what a file says. It knows no database, for the process that reads beside the one that writes comes
in here too, and has no use for one; who writes comes in by `writing` and `runs`.
"""

from dispatcher.domain.imports.columns import COLUMNS, Format, Instructions
from dispatcher.domain.imports.reading import open_table, read_rows
from dispatcher.domain.imports.rows import Claim, Fate, Lack, Rejected, Row, Says, Tally

__all__ = [
    "COLUMNS", "Claim", "Fate", "Format", "Instructions", "Lack", "Rejected", "Row", "Says", "Tally", "open_table",
    "read_rows",
]  # fmt: skip

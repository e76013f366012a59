"""The file whose import is measured is one of which every row counts."""

from datetime import UTC, datetime
from pathlib import Path

from dispatcher.bench.bulk import write_people
from dispatcher.domain.imports import Row, Says, read_rows
from dispatcher.domain.tokens import Keyring


def test_each_row_of_the_measured_file_is_somebody_elses_consent(tmp_path: Path, keyring: Keyring) -> None:
    write_people(tmp_path / "people.csv", 200)
    with (tmp_path / "people.csv").open("rb") as file:
        rows = list(read_rows(file, keyring, datetime(2026, 11, 24, tzinfo=UTC)))
    read = [row for row in rows if isinstance(row, Row)]
    assert len(rows) == len(read) == len({row.address_hash for row in read}) == 200
    assert all(claim.says is Says.AGREED for row in read for claim in row.claims)

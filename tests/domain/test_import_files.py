"""Reading import files: what is a CSV file of people is read row by row, and what is none is refused with the cure."""

import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.db.terms import Language, Topic
from dispatcher.domain import imports
from dispatcher.domain.imports import Claim, Lack, Rejected, Row, Says, writing
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import InputRefused

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
RING = Keyring((Key("k1", b"1" * 32),))
HEADER = "email,name,language,topics,consent_at,consent_ip,consent_source,declaration\n"
GOOD = "maria@example.de,Maria,de,finance-news,2026-01-31T14:05:00+01:00,192.0.2.7,form 3,newsletter-2026-01\n"


def _read(data: str | bytes) -> list[Row | Rejected]:
    file = BytesIO(data if isinstance(data, bytes) else data.encode())
    return list(imports.read_rows(file, RING, NOW))


def _one(line: str) -> Row | Rejected:
    (row,) = _read(HEADER + line)
    return row


def _refused(line: str) -> str:
    row = _one(line)
    assert isinstance(row, Rejected)
    assert row.line == 2
    return row.reason


def test_a_row_is_read_with_all_its_evidence() -> None:
    row = _one(GOOD)
    assert isinstance(row, Row)
    assert (row.line, row.address.mail, row.name, row.language) == (2, "maria@example.de", "Maria", Language.DE)
    at = datetime(2026, 1, 31, 13, 5, tzinfo=UTC)
    assert row.claims == (Claim(Says.AGREED, (Topic.FINANCE_NEWS,), at, "192.0.2.7", "form 3", "newsletter-2026-01"),)


def test_only_address_and_topics_are_needed_and_columns_come_in_any_order() -> None:
    (row,) = _read(" TOPICS ,Email\nproduct-news  finance-news,Maria@Example.de\n")
    assert isinstance(row, Row)
    (claim,) = row.claims
    assert claim.topics == (Topic.PRODUCT_NEWS, Topic.FINANCE_NEWS)
    assert (row.name, row.language, claim.at) == ("", Language.DE, None)


@pytest.mark.parametrize("cells", ["2026-01-31T14:05:00,,,", ",,form 3,", ",192.0.2.7,,newsletter-2026-01"])
def test_evidence_is_moment_and_source_together(cells: str) -> None:
    row = _one(f"maria@example.de,Maria,de,finance-news,{cells}\n")
    assert isinstance(row, Row)
    (claim,) = row.claims
    assert (claim.says, claim.at, claim.source, claim.lack) == (Says.WISHES, None, None, Lack.NO_EVIDENCE)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("maria,,,finance-news,,,,\n", "@"),
        (",,,finance-news,,,,\n", "@"),
        ("maria@example.de,,,gold,,,,\n", "there is no topic 'gold'"),
        ("maria@example.de,,,,,,,\n", "no topic is named"),
        ("maria@example.de,,fr,finance-news,,,,\n", "there is no language 'fr'"),
        ("maria@example.de,,,finance-news,gestern,,form,\n", "consent_at 'gestern' is not a time"),
        ("maria@example.de,,,finance-news,0001-01-01T00:00:00+14:00,,form,\n", "is not a time"),
        ("maria@example.de,,,finance-news,2026-11-23T09:06:00Z,,form,\n", "lies in the future"),
        ("maria@example.de,,,finance-news,2026-11-23T10:00:00-08:00,,form,\n", "lies in the future"),
        ("maria@example.de,,,finance-news,,192.0.2.300,,\n", "consent_ip '192.0.2.300' is not an IP address"),
        ('maria@example.de,"Maria\r\nBcc: josef@example.de",,finance-news,,,,\n', "control character"),
        ("maria@example.de,Ma\0ria,,finance-news,,,,\n", "NUL"),
        ("maria@example.de,,,finance-news,2026-01-01T09:00,,for\0m,\n", "NUL"),
        (f"maria@example.de,{'M' * 201},,finance-news,,,,\n", "longer than 200"),
        ("maria@example.de,,finance-news\n", "3 cells where the header has 8"),
        (HEADER, "it is the header once more"),
        ("maria@example.de,,,finance-news,,,,,,\n", "10 cells where the header has 8"),
        ('"maria"@example.de,,,finance-news,,,,\n', "not CSV"),
        ('"maria@example.de,,,finance-news,,,,', "not CSV"),
    ],
)
def test_a_row_that_cannot_be_read_says_why(line: str, reason: str) -> None:
    assert reason in _refused(line)


def test_the_clocks_of_two_machines_may_differ_by_minutes() -> None:
    assert isinstance(_one("maria@example.de,,,finance-news,2026-11-23T09:04:59Z,,form,\n"), Row)


def test_a_broken_row_costs_no_other_its_place() -> None:
    rows = _read(HEADER + GOOD + "broken\n" + "\n ,,,,,,,\n" + '"x"y\n' + GOOD)
    assert [(type(row), row.line) for row in rows] == [(Row, 2), (Rejected, 3), (Rejected, 6), (Row, 7)]


def test_a_row_of_several_lines_is_named_by_its_first() -> None:
    source = '"form 3,\nthe one with ""gold"""'
    rows = _read(f"{HEADER}maria@example.de,,,finance-news,2026-01-31T14:05,,{source},\nbroken\n")
    assert isinstance(rows[0], Row)
    assert rows[0].claims[0].source == 'form 3,\nthe one with "gold"'
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_please(ending: str) -> None:
    rows = _read((HEADER + GOOD + GOOD).replace("\n", ending))
    assert [(type(row), row.line) for row in rows] == [(Row, 2), (Row, 3)]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert isinstance(_read((HEADER + GOOD).encode("utf-8-sig"))[0], Row)


@pytest.mark.parametrize(
    ("data", "what", "cure"),
    [
        (b"", "the file is empty", "email,name,language,topics"),
        (b"\xef\xbb\xbf", "the file is empty", "email,name,language,topics"),
        ((HEADER + GOOD).encode("utf-16"), "UTF-16", "--encoding utf-16"),
        ((HEADER + GOOD).encode("utf-16-le"), "UTF-16", "CSV UTF-8"),
        ((HEADER + GOOD).encode("utf-16-be"), "UTF-16", "CSV UTF-8"),
        ((HEADER + GOOD.replace("Maria", "Jörg")).encode("latin-1"), "as latin-1 they read", "--encoding latin-1"),
        (
            (HEADER + GOOD.replace("Maria", "„Jörg“")).encode("windows-1252"),
            "as windows-1252 they read",
            "windows-1252",
        ),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\xd7\xe1", "not UTF-8", "CSV UTF-8"),
        (b"address,topics\n", "the header lacks the column email", "email,name,language,zone,topics"),
        (b"email\n", "the header lacks the column topics", "separated by commas"),
        (b"maria@example.de\njosef@example.de\n", "the first line holds an address", "write a line above it"),
        (b"E-Mail;Vorname\n", "the header lacks the column email and topics", '--map email="E-Mail"'),
        (b"email,topics,phone\n", "unknown: phone", '--map email="phone"'),
        (b"email,topics,email\n", "twice: email", "remove one"),
        (b'"email"x,topics\n', "the header is not CSV", "email,name"),
        (b'"email,topics\n', "the header is not CSV", "email,name"),
        (HEADER.encode() + b"x" * 20_001, "line 2 is longer than 20000 characters", "is it a CSV file?"),
        (b"x" * 20_001, "line 1 is longer than 20000 characters", "is it a CSV file?"),
    ],
)
def test_what_is_no_file_of_people_is_refused_with_the_cure(data: bytes, what: str, cure: str) -> None:
    with pytest.raises(InputRefused) as caught:
        _read(data)
    assert what in caught.value.what
    assert cure in caught.value.cure


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    for start in (b"", HEADER.encode(), (HEADER + GOOD).encode()):
        with suppress(InputRefused):
            assert all(isinstance(row, Row | Rejected) for row in _read(start + data))


@given(st.lists(st.lists(st.text(max_size=12), min_size=8, max_size=8), max_size=5))
def test_whatever_stands_in_the_cells_each_row_is_a_row_or_rejected(table: list[list[str]]) -> None:
    quoted = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\r\n" for cells in table)
    rows = _read(HEADER + quoted)
    assert len(rows) == sum(any(cell.strip() for cell in cells) for cells in table)


class _Endless:
    """A file of 20 MB that is made while it is read, and counts how much of it was asked for."""

    def __init__(self) -> None:
        self.given = 0
        self._rest = HEADER.encode()
        self._number = 0

    def read(self, size: int) -> bytes:
        if not self._rest and self._number < 2_000:
            self._number += 1
            padding = "x" * 10_000
            line = f"p{self._number}@example.de,,,finance-news,2026-01-31T14:05,,{padding},\n"
            self._rest = line.encode()
        data, self._rest = self._rest[:size], self._rest[size:]
        self.given += len(data)
        return data


def test_a_long_file_is_read_row_by_row_and_never_held_in_memory() -> None:
    file = _Endless()
    rows = imports.read_rows(cast(BinaryIO, file), RING, NOW)
    for _ in range(10):
        next(rows)
    assert file.given < 150_000
    tracemalloc.start()
    try:
        count = sum(1 for row in rows if isinstance(row, Row))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 1_990
    assert file.given > 20_000_000
    assert peak < 1_000_000


def test_a_stream_of_rows_is_cut_into_chunks() -> None:
    rows = [Rejected(number, "x") for number in range(7)]
    assert [len(chunk) for chunk in writing.chunks(rows, size=3)] == [3, 3, 1]
    assert list(writing.chunks([])) == []

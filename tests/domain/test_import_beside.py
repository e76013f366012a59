"""A file that another process reads: the same rows, the same errors, and no reader left behind."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from dispatcher.domain.imports import Instructions, Rejected, read_rows
from dispatcher.domain.imports.beside import read_beside
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.errors import InputRefused

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
KEYRING = Keyring((Key("k1", b"1" * 32),))
HEADER = "email,name,language,zone,topics,consent_at,consent_ip,consent_source,declaration\n"
ROWS = (
    "maria@example.de,Maria,de,Europe/Berlin,finance-news product-news,2026-01-31T14:05:00+01:00,192.0.2.7,form,ours\n",
    "jörg@büro.example.de,,en,,special-offers,,,,\n",
    "nobody,,,,finance-news,,,,\n",
    '"never closed,,,,,,,,\n',
)


@pytest.fixture(autouse=True)
def _no_reader_is_left() -> Iterator[None]:
    yield
    assert _readers() == []


def _readers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "imports.beside" in " ".join(child.cmdline())]


def test_another_process_gives_the_same_rows_and_says_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(HEADER + "".join(ROWS) * 700, encoding="utf-8")
    with path.open("rb") as file:
        inline = list(read_rows(file, KEYRING, NOW))
    with read_beside(path, KEYRING, NOW, Instructions(), {}) as beside:
        assert list(beside.rows()) == inline
        assert beside.place == path.stat().st_size
    assert sum(isinstance(row, Rejected) for row in inline) == 1400


def test_what_is_no_text_is_refused_at_its_place_and_a_reader_that_is_killed_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(HEADER.encode() + ROWS[0].encode() * 1500 + "jörg@example.de,".encode("latin-1"))
    with read_beside(path, KEYRING, NOW, Instructions(), {}) as beside:
        rows = beside.rows()
        assert [next(rows).line for _ in range(1000)] == list(range(2, 1002))
        with pytest.raises(InputRefused, match="bytes that are not UTF-8: as latin-1"):
            list(rows)
    path.write_bytes(HEADER.encode() + ROWS[0].encode() * 20_000)
    with read_beside(path, KEYRING, NOW, Instructions(), {}) as beside:
        rows = beside.rows()
        next(rows)
        (reader,) = _readers()
        reader.kill()
        with pytest.raises(InputRefused, match="the process that read the file was ended"):
            list(rows)


def test_whoever_stops_listening_ends_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(HEADER.encode() + ROWS[0].encode() * 20_000)
    with read_beside(path, KEYRING, NOW, Instructions(), {}) as beside:
        assert next(beside.rows()).line == 2


def test_the_reader_loads_no_database_and_nothing_else_that_only_others_need() -> None:
    asking = "import sys, dispatcher.domain.imports.beside; print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, timeout=60, check=True)
    mine = ("_", "dispatcher_")  # with an underscore: what is compiled lies in a library beside the package
    theirs = {name for name in said.stdout.split() if not name.startswith(mine)} - sys.stdlib_module_names
    assert theirs == {"dispatcher"}

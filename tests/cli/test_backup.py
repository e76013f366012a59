"""`dispatcher backup` and `dispatcher restore`, as an operator gives them."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.terms import Topic
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.tokens import Keyring
from tests import builders
from tests.cli.conftest import Run

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def people(engine: Engine, keyring: Keyring) -> None:
    with engine.begin() as conn:
        now = clock.now(conn)
        ids = builders.add_people(conn, keyring, ["anna@example.de", "bert@example.de"], now)
        builders.agree(conn, list(ids.values()), Topic.FINANCE_NEWS, now)
    engine.dispose()


@pytest.fixture
def live(engine: Engine) -> Path:
    """Give the file of the database."""
    return Path(engine.url.database or "")


def state(dispatcher: Run, address: str) -> str:
    return str(dispatcher("subscribers", "show", address, "--json").json["topics"]["finance-news"]["state"])


@SQLITE
def test_a_backup_is_whole_private_and_never_over_an_existing_file(
    dispatcher: Run, people: None, outside: Path
) -> None:
    copy = outside / "copy.db"
    said = dispatcher("backup", copy, "--json").json
    assert said == {"file": str(copy), "octets": copy.stat().st_size, "checked": True}
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as conn:
        assert conn.execute("SELECT count(*) FROM subscriber").fetchone() == (2,)
    assert dispatcher("backup", copy).error[0] == f"{copy} exists, and a backup is never overwritten"
    assert sorted(path.name for path in outside.glob("*copy*")) == ["copy.db"]


@SQLITE
def test_a_backup_is_one_moment_of_a_database_that_goes_on_being_written(
    dispatcher: Run, people: None, outside: Path, live: Path
) -> None:
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(live, timeout=30, isolation_level=None)) as conn:
            conn.execute("CREATE TABLE pair (a INTEGER, b INTEGER)")
            while not stop.is_set():
                conn.execute("BEGIN IMMEDIATE")
                conn.execute("INSERT INTO pair VALUES (1, randomblob(2000))")
                conn.execute("INSERT INTO pair VALUES (2, randomblob(2000))")
                conn.execute("COMMIT")
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert written.wait(20)
    try:
        dispatcher("backup", outside / "copy.db", "--json")
    finally:
        stop.set()
        writer.join()
    with closing(sqlite3.connect(outside / "copy.db")) as conn:
        counts = [conn.execute("SELECT count(*) FROM pair WHERE a = ?", (a,)).fetchone()[0] for a in (1, 2)]
    assert counts[0] == counts[1] > 0


@SQLITE
def test_where_no_backup_can_be_written_nothing_is_left(dispatcher: Run, people: None, outside: Path) -> None:
    what, cure = dispatcher("backup", outside / "nowhere" / "copy.db").error
    assert "no backup was made" in what
    assert "make room" in cure


@SQLITE
def test_a_restore_takes_those_out_again_who_left_since_and_lays_the_former_database_aside(
    dispatcher: Run, people: None, outside: Path, live: Path
) -> None:
    dispatcher("backup", outside / "copy.db")
    dispatcher("consent", "withdraw", "anna@example.de")
    dispatcher("subscribers", "erase", "bert@example.de", "--yes")
    live.write_bytes(b"a disk that died" * 1000)
    for log in live.parent.glob("dispatcher.db-*"):
        log.write_bytes(b"too")

    said = dispatcher("restore", outside / "copy.db", "--json").json
    assert (said["withdrawn"], said["erased"], said["held"]) == (1, 1, [])
    assert said["ledger_reached"] > said["ledger_ends"]
    assert Path(said["former"]).read_bytes().startswith(b"a disk that died")
    assert live.stat().st_mode & 0o777 == 0o600
    assert b"bert@example.de" not in live.read_bytes()
    assert state(dispatcher, "anna@example.de") == "withdrawn"
    assert dispatcher("consent", "verify").code == 0
    assert list(outside.glob("*.ready*")) == []


@SQLITE
def test_a_restore_is_refused_while_another_program_has_the_database_open(
    dispatcher: Run, people: None, outside: Path, live: Path
) -> None:
    dispatcher("backup", outside / "copy.db")
    dispatcher("consent", "withdraw", "anna@example.de")
    script = (
        "import sqlite3, sys; c = sqlite3.connect('dispatcher.db'); c.execute('SELECT 1 FROM subscriber');"
        " print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=live.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        what, cure = dispatcher("restore", outside / "copy.db").error
        other.kill()
    assert "is open in another program" in what
    assert "stop them all" in cure
    assert state(dispatcher, "anna@example.de") == "withdrawn"


@SQLITE
@pytest.mark.parametrize("octets", [b"", b"no database at all", b"SQLite format 3\0" + bytes(5000)])
def test_what_is_no_whole_backup_is_refused_and_the_database_stays(
    dispatcher: Run, people: None, outside: Path, octets: bytes
) -> None:
    (outside / "bad.db").write_bytes(octets)
    assert dispatcher("restore", outside / "bad.db").error[1].startswith("name ")
    assert state(dispatcher, "anna@example.de") == "confirmed"


@SQLITE
def test_without_the_file_of_endings_a_restore_is_refused_unless_it_is_lost_for_good(
    dispatcher: Run, people: None, outside: Path
) -> None:
    dispatcher("consent", "withdraw", "bert@example.de")
    dispatcher("backup", outside / "copy.db")
    (outside / "var" / "endings.jsonl").unlink()
    what, cure = dispatcher("restore", outside / "copy.db").error
    assert "not at hand" in what
    assert "--without-endings" in cure
    assert dispatcher("restore", outside / "copy.db", "--without-endings").code == 0


@POSTGRESQL
def test_for_postgresql_the_way_is_told(dispatcher: Run, people: None, outside: Path) -> None:
    for command in (("backup", "copy.db"), ("restore", "copy.db")):
        what, cure = dispatcher(*command).error
        assert "PostgreSQL" in what
        assert "docs/production.md" in cure


def test_files_of_other_machines_are_applied_once_and_harmlessly_again(
    dispatcher: Run, people: None, outside: Path, monkeypatch: pytest.MonkeyPatch, keyring: Keyring
) -> None:
    monkeypatch.setenv("DISPATCHER_ENDINGS", str(outside / "elsewhere" / "other.jsonl"))
    dispatcher("consent", "withdraw", "anna@example.de")
    monkeypatch.delenv("DISPATCHER_ENDINGS")
    other = outside / "elsewhere" / "other.jsonl"
    hashed = address_hash(keyring, parse_address("bert@example.de")).hex()
    with other.open("a", encoding="ascii") as file:
        mark = other.stat().st_size
        file.write(
            f'{{"kind":"withdrawn","address":"{hashed}","scope":"all","at":"2099-01-01T00:00:00+00:00","event":9,"mark":{mark}}}\n'
        )
    first = dispatcher("restore", "--endings", other, "--json").json
    assert first["withdrawn"] == 1
    again = dispatcher("restore", "--endings", other, "--json").json
    assert again["withdrawn"] == 0
    assert state(dispatcher, "bert@example.de") == "withdrawn"

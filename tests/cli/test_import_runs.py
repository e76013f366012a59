"""Imports that stop in the middle: killed, interrupted, out of room; and that the same command goes on."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from dispatcher.db.engine import make_engine, reading
from dispatcher.db.tables import consent_event, import_run, subscriber, subscription, suppression
from tests.cli.conftest import Run
from tests.cli.held import held_import
from tests.databases import waiting
from tests.journeys.house import wait_for
from tests.processes import FORKS, KILLED, Forked

HEADER = "email,name,language,topics,consent_at,consent_ip,consent_source,declaration\n"
PROOF = "2026-01-31T14:05:00+01:00,192.0.2.7,form 3,newsletter-2026-01"
ORIGIN = ("--origin", "CRM export")
CHUNK = 100
ROWS = CHUNK * 3 + 50


@dataclass(frozen=True)
class Stopped:
    """How an import ended that was sent a signal, and what it had said."""

    code: int | None
    said: str


@pytest.fixture
def big(outside: Path) -> Path:
    """Give a file of some chunks, with rows of each kind in all of them."""
    path = outside / "big.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for n in range(ROWS):
            if n % 10 == 3:
                file.write(f"p{n}@example.de,,,finance-news special-offers,,,,\n")
            elif n % 100 == 7:
                file.write(f"broken {n},,,finance-news,,,,\n")
            elif n % 100 == 8:
                file.write(f"P{n // 2}@example.de,,,finance-news,{PROOF}\n")  # named in an earlier chunk
            else:
                file.write(f"p{n}@example.de,Maria,de,finance-news,{PROOF}\n")
    return path


def _fingerprint(engine: Engine) -> dict[str, Any]:
    """Give all that an import leaves, apart from ids and the moment of writing."""
    s, t, e = subscriber.c, subscription.c, consent_event.c
    with reading(engine).connect() as conn:
        stands = conn.execute(
            select(s.address, t.topic, t.state).join(subscriber, s.id == t.subscriber_id).order_by(s.address, t.topic)
        )
        events = conn.execute(
            select(s.address, e.topic, e.kind, e.given_at, e.source, e.ip)
            .join_from(consent_event, subscriber)
            .order_by(s.address, e.topic, e.kind)
        )
        runs = conn.execute(select(import_run.c.counts, import_run.c.rows_done, import_run.c.finished_at.is_(None)))
        return {
            "stands": [tuple(r) for r in stands],
            "events": [tuple(r) for r in events],
            "runs": [tuple(r) for r in runs],
        }  # fmt: skip


@pytest.fixture
def held(engine: Engine, database_url: str, big: Path) -> Iterator[Callable[[signal.Signals], Stopped]]:
    """Give what starts an import, holds it up in the transaction of its second chunk, and sends it a signal there."""
    with ExitStack() as stack:

        def stop(number: signal.Signals) -> Stopped:
            environ = {**os.environ, "DISPATCHER_DATABASE_URL": database_url}
            words = ("subscribers", "import", str(big), *ORIGIN)
            said = big.with_name("said")
            there, go_on = FORKS.Event(), FORKS.Event()
            process = Forked(held_import, environ, big.parent, words, said, CHUNK, (there, go_on))
            stack.callback(process.kill)
            assert there.wait(60)
            if engine.dialect.name == "postgresql":  # there a statement may be under way, and wait
                with engine.begin() as conn:
                    conn.execute(text("LOCK TABLE subscription IN EXCLUSIVE MODE"))
                    go_on.set()
                    wait_for(lambda: waiting(conn) == 1, "the import to wait for the table")
                    process.tell(number)
                    if number == signal.SIGKILL:
                        process.wait(60)
            else:
                process.tell(number)
            return Stopped(process.wait(60), said.read_text())

        yield stop


def _unkilled(dispatcher: Run, big: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    url = f"sqlite:///{big.with_name('other.db')}"
    shutil.copy(sqlite_template, big.with_name("other.db"))
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DISPATCHER_DATABASE_URL", url)
        assert dispatcher("subscribers", "import", big, *ORIGIN).code == 0
    engine = make_engine(url)
    try:
        return _fingerprint(engine)
    finally:
        engine.dispose()


@pytest.mark.both_databases
def test_an_import_that_is_killed_goes_on_where_it_was_and_ends_like_one_that_was_not(
    dispatcher: Run,
    engine: Engine,
    big: Path,
    held: Callable[[signal.Signals], Stopped],
    sqlite_template: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert held(signal.SIGKILL).code == KILLED
    with reading(engine).connect() as conn:
        run = conn.execute(select(import_run.c.rows_done, import_run.c.finished_at)).one()
    assert tuple(run) == (CHUNK, None)
    rejects = big.with_name("rejects.csv")
    ran = dispatcher("subscribers", "import", big, *ORIGIN, "--rejects", rejects, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["resumed_after"], ran.json["rows"]) == (CHUNK, ROWS)
    assert _fingerprint(engine) == _unkilled(dispatcher, big, sqlite_template, monkeypatch)
    assert (
        len(rejects.read_text("utf-8-sig").splitlines()) == 1 + ran.json["rejected"]
    )  # those from before the kill too
    again = dispatcher("subscribers", "import", big, *ORIGIN, "--json").json
    assert (again["confirmed"], again["pending"], again["resumed_after"]) == (0, 0, 0)
    assert again["unchanged"] == ran.json["confirmed"] + ran.json["pending"]


@pytest.mark.both_databases
def test_ctrl_c_says_that_the_same_command_goes_on_and_it_does(
    dispatcher: Run, big: Path, held: Callable[[signal.Signals], Stopped]
) -> None:
    stopped = held(signal.SIGINT)
    assert stopped.code == 130, stopped.said
    assert f"stopped after {CHUNK} rows; the same command goes on from there" in stopped.said
    assert "Traceback" not in stopped.said
    ran = dispatcher("subscribers", "import", big, *ORIGIN, "--json").json
    assert (ran["resumed_after"], ran["rows"]) == (CHUNK, ROWS)
    listed = dispatcher("subscribers", "imports", "--json").json["imports"]
    assert [(run["file"], run["rows_done"], run["finished_at"] is None) for run in listed] == [("big.csv", ROWS, False)]


def test_another_order_for_the_same_file_is_another_run(dispatcher: Run, outside: Path) -> None:
    (outside / "p.csv").write_text(HEADER + f"maria@example.de,,,finance-news,{PROOF}\n", encoding="utf-8")
    assert dispatcher("subscribers", "import", "p.csv", *ORIGIN).code == 0
    assert dispatcher("subscribers", "import", "p.csv", "--origin", "fair").code == 0
    assert dispatcher("subscribers", "import", "p.csv", *ORIGIN, "--dry-run").code == 0
    listed = dispatcher("subscribers", "imports", "--json").json["imports"]
    assert [(run["origin"], run["counts"]["confirmed"]) for run in listed] == [("fair", 0), ("CRM export", 1)]
    shown = dispatcher("subscribers", "imports").out
    assert "1 confirmed" in shown
    assert "1 unchanged" in shown


def test_nothing_was_imported_yet(dispatcher: Run) -> None:
    assert dispatcher("subscribers", "imports").out == "nothing was imported yet\n"


@pytest.mark.both_databases
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_disk_that_is_full_stops_the_import_with_the_cure(dispatcher: Run, engine: Engine, outside: Path) -> None:
    (outside / "p.csv").write_text(HEADER + "broken\n", encoding="utf-8")
    what, cure = dispatcher("subscribers", "import", "p.csv", *ORIGIN, "--rejects", "/dev/full").error
    assert what == "/dev/full cannot be written: No space left on device"
    assert "make room" in cure
    what, _ = dispatcher("subscribers", "export", "-o", "/dev/full/people.csv").error
    assert what.endswith("cannot be written: Not a directory")


def test_rejected_rows_are_mended_and_imported_again(dispatcher: Run, engine: Engine, outside: Path) -> None:
    lines = [
        f'=1+1@example,"=HYPERLINK(""x"")",de,finance-news,{PROOF}',
        "maria@example.de,Maria,de,gold,,,,",
        f"josef@example.de,Josef,de,finance-news,{PROOF}",
        'anna@example.de,"Anna,de,finance-news,,,,',
        "berta@example.de,Berta,de",
    ]
    (outside / "p.csv").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    ran = dispatcher("subscribers", "import", "p.csv", *ORIGIN, "--rejects", "rejects.csv", "--json").json
    assert [r["line"] for r in ran["rejects"]] == [2, 3, 5, 6]
    said = (outside / "rejects.csv").read_text("utf-8-sig")
    assert "2," in said
    assert "'=1+1@example" in said
    assert '"\'=HYPERLINK(""x"")"' in said
    mended = (
        said.replace("@example,", "@example.de,").replace(",gold,", ",finance-news,").replace("Berta,de", "Berta,,")
    )
    (outside / "mended.csv").write_text(mended, encoding="utf-8-sig")
    again = dispatcher("subscribers", "import", "mended.csv", *ORIGIN, "--rejects", "again.csv", "--json").json
    assert (again["confirmed"], again["pending"], again["rejected"]) == (1, 1, 2)
    with engine.begin() as conn:
        people = {r.address: r.name for r in conn.execute(select(subscriber.c.address, subscriber.c.name))}
    assert people["=1+1@example.de"] == '=HYPERLINK("x")'
    assert (outside / "again.csv").read_text("utf-8-sig").splitlines()[0].count("rejected_line") == 1


NASTY = [
    "a@example.de,A,de,finance-news,2026-01-31T14:05:00,,form,",
    "A@EXAMPLE.de,A,de,finance-news,2026-01-31T14:05:00,,form,",
    "left@example.de,L,de,finance-news,2026-01-31T14:05:00,,form,",
    "never@example.de,N,de,finance-news,2026-01-31T14:05:00,,form,",
    "d@example.de,D,de,finance-news,2026-01-31,,form,",
    "future@example.de,F,de,finance-news,2099-01-31T00:00:00,,form,",
    'q@example.de,"Q,de,finance-news,,,,',
    "b@bücher.example.com,B,de,special-offers finance-news,,,,",
    "b@xn--bcher-kva.example.com,B,de,finance-news,,,,",
    "", "  ", ",,,,,,,", "\0@example.de,,,finance-news,,,,", "'=x@example.de,,,finance-news,,,,",
    HEADER.strip(), "short,row", "m@example.de,M,de,finance-news,2026-01-31T14:05:00,999.1.1.1,form,",
]  # fmt: skip


@pytest.mark.both_databases
def test_a_dry_run_judges_a_nasty_file_row_by_row_as_the_real_one_does(dispatcher: Run, outside: Path) -> None:
    (outside / "left.txt").write_text("email\nleft@example.de\n", encoding="utf-8")
    (outside / "never.txt").write_text("never@example.de\n", encoding="utf-8")
    assert dispatcher("subscribers", "import", "left.txt", *ORIGIN, "--topics", "finance-news", "--left").code == 0
    assert dispatcher("suppressions", "import", "never.txt", *ORIGIN).code == 0
    (outside / "whole.csv").write_text(HEADER + "\n".join(NASTY) + "\n", encoding="utf-8")
    whole = dispatcher("subscribers", "import", "whole.csv", *ORIGIN, "--dry-run", "--json").json
    for number, line in enumerate(NASTY):  # each row by itself, dry and then real
        (outside / f"{number}.csv").write_text(f"{HEADER}{line}\n", encoding="utf-8")
    file = outside / "whole.csv"
    real = dispatcher("subscribers", "import", file, *ORIGIN, "--json").json
    assert whole == {**real, "dry_run": True}
    assert real["rejected"] == 6
    assert (real["withdrawn"], real["suppressed"], real["duplicate"]) == (1, 1, 2)
    assert real["pending_because"] == {"no_evidence": 2, "no_clock_time": 1}
    for number in range(len(NASTY)):
        dry = dispatcher("subscribers", "import", f"{number}.csv", *ORIGIN, "--dry-run", "--json").json
        assert dry == {**dispatcher("subscribers", "import", f"{number}.csv", *ORIGIN, "--json").json, "dry_run": True}


@pytest.mark.both_databases
def test_thousands_who_left_stay_away_and_one_line_says_so(dispatcher: Run, engine: Engine, outside: Path) -> None:
    people = "".join(f"p{n}@example.de\n" for n in range(4_100))
    (outside / "p.csv").write_text("email\n" + people, encoding="utf-8")
    order = ("subscribers", "import", "p.csv", *ORIGIN, "--topics", "finance-news")
    assert dispatcher(*order, "--left", "--json").json["left"] == 4_100
    with engine.begin() as conn:
        assert conn.execute(select(func.count()).select_from(suppression)).scalar_one() == 4_100
        assert conn.execute(select(func.count()).select_from(subscriber)).scalar_one() == 0  # only hashes are kept
    said = dispatcher(*order, "--dry-run").out
    assert "4,100 people in this file have left: they stay withdrawn" in said
    assert dispatcher(*order, "--json").json["withdrawn"] == 4_100


def test_a_line_of_a_hundred_megabytes_is_refused_in_little_memory(dispatcher: Run, outside: Path) -> None:
    with (outside / "p.csv").open("wb") as file:
        file.write(HEADER.encode())
        file.truncate(100_000_000)  # octets of zero, which take no room
    what, cure = dispatcher("subscribers", "import", "p.csv", *ORIGIN, "--dry-run").error
    assert what == "line 2 is longer than 20000 characters"
    assert "is it a CSV file?" in cure

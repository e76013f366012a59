"""What comes in bulk: a file of people through the whole command, and consent events through the ledger alone.

Each row has its evidence: moment, IP address, source, declaration. PostgreSQL is one of our own, with fsync.
"""

import csv
import json
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from sqlalchemy import Connection, insert

from dispatcher.bench import stage
from dispatcher.bench.meter import Meter
from dispatcher.bench.postgres import PRODUCTION, PostgresServer
from dispatcher.db.clock import steady
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import ConsentKind, Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Event, Evidence
from dispatcher.errors import PartUnavailable
from dispatcher.settings import environment
from dispatcher.worker.programs import ourselves

Tell = Callable[[str, float | None], None]
_HEADER = ("email", "name", "language", "topics", "consent_at", "consent_ip", "consent_source", "declaration")
_NAMES = ("Maria Muster", "Jörg Weiß", "Anna Berg", "Lukas Fließ", "Tom Hill", "Eva-Maria Lang", "", "Peter Schmidt")
_DOMAINS = ("example.de", "example.com", "post.example.de", "mail.example.org", "büro.example.de")
_NAMED = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
_CHUNK = 1000  # events to a transaction
_EVERY = 0.1  # seconds between two looks at the processes
_NOW = datetime(2026, 11, 24, 9, 30, 12, 345678, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BulkFigures:
    """What came of it. Costs in CPU microseconds a row; memory of all processes but the database's, what they share
    counted once.
    """

    name: str
    rows: int
    rate: float
    own_us: float
    reader_us: float | None  # of the process that reads the file for the one that writes
    database_us: float | None
    peak_mb: float


def measure_import(database: str, rows: int, tell: Tell) -> BulkFigures:
    """Take in a file of so many people by `dispatcher subscribers import`, into an empty database."""
    with _database(database) as (home, url, database_pid):
        tell("writing the file", None)
        file = home / "people.csv"
        write_people(file, rows)
        _, config = stage.settings_of(home, url)
        stage.empty(url).dispose()
        tell("importing", None)
        meter = Meter({"database": database_pid} if database_pid else {})
        meter.start()
        begun = steady()
        watched = _watched(["subscribers", "import", str(file), "--origin", "bench", "--json"], config, rows)
        seconds = steady() - begun
        us = {name: cost.cpu_s / rows * 1e6 for name, cost in meter.stop().items()}
        return BulkFigures(
            f"import, {_NAMED[database]}", rows, rows / seconds, (watched.cpu_s - watched.reader_s) / rows * 1e6,
            watched.reader_s / rows * 1e6 if watched.reader_s else None, us.get("database"), watched.peak_mb,
        )  # fmt: skip


def measure_append(database: str, events: int, tell: Tell) -> BulkFigures:
    """Append so many events to an empty ledger, a thousand to a transaction, each with evidence of its own."""
    with _database(database) as (_, url, database_pid):
        engine = stage.empty(url)
        tell("making people", None)
        for start in range(1, events + 1, 10 * _CHUNK):
            with engine.begin() as conn:
                _add_people(conn, start, min(start + 10 * _CHUNK, events + 1))
        chunks = list(_chunks(events))
        tell("appending", None)
        meter = Meter({"database": database_pid} if database_pid else {})
        meter.start()
        begun, cpu = steady(), time.process_time()
        for chunk in chunks:
            with engine.begin() as conn:
                consent.append(conn, chunk, _NOW)
        seconds, own_s = steady() - begun, time.process_time() - cpu
        us = {name: cost.cpu_s / events * 1e6 for name, cost in meter.stop().items()}
        engine.dispose()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        return BulkFigures(
            f"append, {_NAMED[database]}",
            events,
            events / seconds,
            own_s / events * 1e6,
            None,
            us.get("database"),
            peak,
        )


def write_people(path: Path, rows: int) -> None:
    """Write a file of so many people, no address twice."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        for n in range(rows):
            # One in a hundred has a domain that is not plain ASCII.
            domain = _DOMAINS[4] if n % 100 == 0 else _DOMAINS[n % 4]
            at = f"2025-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:{n % 60:02}:{n * 7 % 60:02}+01:00"
            writer.writerow([
                f"person.{n}@{domain}", _NAMES[n % len(_NAMES)], "de", "finance-news", at, _ip(n),
                "https://www.example.de/newsletter form 3", "newsletter-2026-01",
            ])  # fmt: skip


def _ip(n: int) -> str:
    return f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"


@dataclass(slots=True)
class _Watched:
    """CPU seconds of a command, those of its child among them, and the most memory that both had at once."""

    cpu_s: float = 0.0
    reader_s: float = 0.0
    peak_mb: float = 0.0


def _watched(words: list[str], config: Path, rows: int) -> _Watched:
    """Run a command of ours to its end, and see that it has confirmed everybody. Raises PartUnavailable."""
    found, before = _Watched(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(  # noqa: S603  (our own program)
        ourselves(*words), env=environment(config), stdout=subprocess.PIPE, text=True
    ) as command:
        while command.poll() is None:
            _look(psutil.Process(command.pid), found)
            time.sleep(_EVERY)
        assert command.stdout is not None
        said = command.stdout.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if command.returncode or json.loads(said)["confirmed"] != rows:
        raise PartUnavailable(f"dispatcher {' '.join(words)} ended with {command.returncode}", f"it said: {said[:500]}")
    return found


def _look(command: psutil.Process, found: _Watched) -> None:
    try:
        family = [command, *command.children(recursive=True)]
        found.peak_mb = max(found.peak_mb, sum(map(_memory_mb, family)))
        times = [process.cpu_times() for process in family[1:]]
        found.reader_s = max(found.reader_s, sum(each.user + each.system for each in times))
    except psutil.NoSuchProcess:
        return


def _memory_mb(process: psutil.Process) -> float:
    told = process.memory_full_info()
    return getattr(told, "pss", told.rss) / 1e6


@contextmanager
def _database(kind: str) -> Iterator[tuple[Path, str, int | None]]:
    """Give a folder, the URL of an empty database, and its process."""
    home = Path(tempfile.mkdtemp(prefix="dispatcher-bench-"))
    server = None
    try:
        server = PostgresServer(durable=True, settings=PRODUCTION) if kind == "postgresql" else None
        url = server.url if server else f"sqlite:///{home / 'bench.db'}"
        yield home, url, server.pid if server else None
    finally:
        if server is not None:
            server.remove()
        shutil.rmtree(home, ignore_errors=True)


def _add_people(conn: Connection, start: int, end: int) -> None:
    rows = [
        {"public_id": n.to_bytes(8, "big"), "address_hash": n.to_bytes(32, "big"), "language": "de", "created_at": _NOW}
        for n in range(start, end)
    ]
    conn.execute(insert(subscriber), rows)


def _chunks(count: int) -> Iterator[list[Event]]:
    for start in range(1, count + 1, _CHUNK):
        yield [_event(n) for n in range(start, min(start + _CHUNK, count + 1))]


def _event(n: int) -> Event:
    evidence = Evidence(
        source="https://www.example.de/newsletter form 3 (import: bench)",
        ip=_ip(n),
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        language=Language.DE,
        declaration_named="newsletter-2026-01",
        given_at=_NOW - timedelta(minutes=n),
    )
    return Event(n, Topic.FINANCE_NEWS, ConsentKind.IMPORTED, evidence)

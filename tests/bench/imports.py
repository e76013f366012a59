"""How fast a file of made-up people comes in, and in how much memory: the whole command, as a process of its own.

    python -m tests.bench.imports --rows 1000000             with a PostgreSQL of its own, fsync on
    python -m tests.bench.imports --rows 1000000 --sqlite
    python -m tests.bench.imports --rows 1000000 --dry-run

Each row has its evidence: moment, IP address, source, declaration. Printed are rows a second and the peak of memory of
the process that imports and of the one that reads for it (not of the database): what they share counts once (PSS).
"""

import argparse
import csv
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispatcher.bench.postgres import PostgresServer
from dispatcher.db import migrate
from dispatcher.db.engine import make_engine

HEADER = ("email", "name", "language", "topics", "consent_at", "consent_ip", "consent_source", "declaration")
NAMES = ("Maria Muster", "Jörg Weiß", "Anna Berg", "Lukas Fließ", "Tom Hill", "Eva-Maria Lang", "", "Peter Schmidt")
DOMAINS = ("example.de", "example.com", "post.example.de", "mail.example.org", "büro.example.de")


def write_people(path: Path, rows: int) -> None:
    """Write a file of so many people, no address twice."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for n in range(rows):
            # One in a hundred has a domain that is not plain ASCII.
            domain = DOMAINS[4] if n % 100 == 0 else DOMAINS[n % 4]
            at = f"2025-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:{n % 60:02}:{n * 7 % 60:02}+01:00"
            ip = f"192.0.2.{n % 255}"
            writer.writerow([
                f"person.{n}@{domain}", NAMES[n % len(NAMES)], "de", "finance-news", at, ip,
                "https://www.example.de/newsletter form 3", "newsletter-2026-01",
            ])  # fmt: skip


@contextmanager
def database(folder: Path, *, is_sqlite: bool) -> Iterator[str]:
    """Give the URL of an empty database that is up to date."""
    server = None if is_sqlite else PostgresServer(durable=True, shared_buffers="256MB")
    try:
        url = f"sqlite:///{folder}/people.db" if server is None else server.url
        engine = make_engine(url)
        migrate.upgrade(engine)
        engine.dispose()
        yield url
    finally:
        if server is not None:
            server.remove()


def run(path: Path, url: str, *more: str) -> tuple[float, int]:
    """Import a file; give seconds and the peak of memory in octets."""
    surroundings = {
        **os.environ,
        "DISPATCHER_DATABASE_URL": url,
        "DISPATCHER_SECRET_KEYS": f"k1:{'31' * 32}",
        "DISPATCHER_VAR": str(path.parent / "var"),
        "DISPATCHER_PUBLIC_URL": "https://news.example.de",
    }
    words = [sys.executable, "-m", "dispatcher", "subscribers", "import", str(path), "--origin", "bench", *more]
    begun = time.monotonic()
    pid = os.posix_spawn(sys.executable, words, surroundings)
    peak = ended = 0
    while not ended:
        peak = max(peak, sum(map(_memory, [pid, *_children(pid)])))
        time.sleep(0.1)
        ended, status, usage = os.wait4(pid, os.WNOHANG)
    if status:
        raise SystemExit(f"the import ended with exit code {os.waitstatus_to_exitcode(status)}")
    _say(f"CPU of the import: {usage.ru_utime:.1f} s user, {usage.ru_stime:.1f} s system")
    return time.monotonic() - begun, peak


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _memory(pid: int) -> int:
    """Give the proportional set size of a process, in octets; 0: it is gone."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in told if line.startswith("Pss:")), 0)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    said = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-imports-"))
    try:
        path = folder / "people.csv"
        write_people(path, said.rows)
        with database(folder, is_sqlite=said.sqlite) as url:
            seconds, peak = run(path, url, *(["--dry-run"] if said.dry_run else []))
    finally:
        shutil.rmtree(folder)
    kind = "SQLite" if said.sqlite else "PostgreSQL"
    _say(f"{kind}: {said.rows:,} rows in {seconds:.1f} s, {said.rows / seconds:,.0f} rows/s, peak {peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()

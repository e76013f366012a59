"""What the file of endings costs: withdrawals a second, and a never-mail list of 100,000 rows, without it and with it.

    python -m tests.bench.endings [PEOPLE]

On SQLite and on a PostgreSQL with fsync, one process, a transaction for each withdrawal.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from dispatcher.bench.postgres import PostgresServer
from dispatcher.db import clock, migrate
from dispatcher.db.engine import make_engine
from dispatcher.db.terms import SuppressionReason, Topic
from dispatcher.domain import consent, suppression
from dispatcher.domain.consent import Evidence
from dispatcher.domain.suppression import Entry
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.sending import endings
from dispatcher.sending.endings import EndingsFile
from tests import builders

RING = Keyring((Key("k1", b"1" * 32),))
LISTED, CHUNK = 100_000, 4_000


def main(people: int) -> None:
    server = PostgresServer(durable=True)
    try:
        with tempfile.TemporaryDirectory() as name:
            for kept in (False, True):
                server.execute(f"CREATE DATABASE kept_{kept}")
                for url in (f"sqlite:///{name}/{kept}.db", server.database(f"kept_{str(kept).lower()}")):
                    measure(url, Path(name, f"{kept}-{url[:6]}.jsonl") if kept else None, people)
    finally:
        server.remove()


def measure(url: str, file: Path | None, people: int) -> None:
    engine = make_engine(url)
    if file is not None:
        endings.keep(engine, EndingsFile(file, RING.oldest.fingerprint()))
    migrate.upgrade(engine)
    with engine.begin() as conn:
        now = clock.now(conn)
        ids = list(builders.add_people(conn, RING, [f"p{n}@example.de" for n in range(people)], now).values())
        builders.agree(conn, ids, Topic.FINANCE_NEWS, now)
    leaving = timed(lambda: [leave(engine, who) for who in ids])
    listing = timed(lambda: [enter(engine, start) for start in range(0, LISTED, CHUNK)])
    of = f"{engine.dialect.name:<10} {'with the file' if file else 'without':<14}"
    size = f", {file.stat().st_size:,} octets" if file else ""
    sys.stdout.write(f"{of} {people / leaving:7,.0f} withdrawals/s   {LISTED:,} listed in {listing:.2f} s{size}\n")
    engine.dispose()


def leave(engine: Engine, who: int) -> None:
    with engine.begin() as conn:
        consent.withdraw(conn, who, [Topic.FINANCE_NEWS], Evidence("bench"), clock.now(conn))


def enter(engine: Engine, start: int) -> None:
    entries = [
        Entry(number.to_bytes(32, "big"), None, SuppressionReason.OPERATOR, "bench")
        for number in range(start, start + CHUNK)
    ]
    with engine.begin() as conn:
        suppression.enter(conn, entries, clock.now(conn))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)

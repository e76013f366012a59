"""How many consent events a second are appended in bulk, chained and with their evidence, on either database.

    python -m tests.bench.consent_append                   SQLite and a PostgreSQL of its own, with fsync
    python -m tests.bench.consent_append --events 300000

As an import does it: a thousand people a transaction, one event each, every one with evidence of its own.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from dispatcher.bench.postgres import PostgresServer
from dispatcher.db import migrate
from dispatcher.db.engine import make_engine
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import ConsentKind, Language, Topic
from dispatcher.domain import consent
from dispatcher.domain.consent import Event, Evidence

CHUNK = 1000
_NOW = datetime(2026, 11, 24, 9, 30, 12, 345678, tzinfo=UTC)


def main() -> None:
    """Measure both, and print."""
    parser = argparse.ArgumentParser(description="Consent events appended a second.")
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        _say("SQLite", _measured(f"sqlite:///{folder}/bench.db", count))
    server = PostgresServer(durable=True)
    try:
        _say("PostgreSQL", _measured(server.url, count))
    finally:
        server.remove()


def _measured(url: str, count: int) -> float:
    engine = make_engine(url)
    migrate.upgrade(engine)
    _add_people(engine, count)
    chunks = list(_chunks(count))
    began = time.perf_counter()
    for chunk in chunks:
        with engine.begin() as conn:
            consent.append(conn, chunk, _NOW)
    took = time.perf_counter() - began
    engine.dispose()
    return count / took


def _add_people(engine: Engine, count: int) -> None:
    for start in range(1, count + 1, 10_000):
        rows = [
            {"public_id": n.to_bytes(8, "big"), "address_hash": n.to_bytes(32, "big"), "language": "de",
             "created_at": _NOW}
            for n in range(start, min(start + 10_000, count + 1))
        ]  # fmt: skip
        with engine.begin() as conn:
            conn.execute(insert(subscriber), rows)


def _chunks(count: int) -> Iterator[list[Event]]:
    for start in range(1, count + 1, CHUNK):
        yield [_event(n) for n in range(start, min(start + CHUNK, count + 1))]


def _event(n: int) -> Event:
    evidence = Evidence(
        source="https://www.example.de/newsletter form 3 (import: bench)",
        ip=f"192.0.2.{n % 256}",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        language=Language.DE,
        declaration_named="newsletter-2026-01",
        given_at=_NOW - timedelta(minutes=n),
    )
    return Event(n, Topic.FINANCE_NEWS, ConsentKind.IMPORTED, evidence)


def _say(name: str, rate: float) -> None:
    sys.stdout.write(f"{name:10} {rate:9,.0f} events a second\n")


if __name__ == "__main__":
    main()

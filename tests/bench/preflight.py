"""How fast a preflight composes everybody's letter, and in how much memory.

    python -m tests.bench.preflight [PEOPLE]

On SQLite and on PostgreSQL, one process, letters of 10 KB of HTML; nothing is asked of the network.
"""

import resource
import sys
import tempfile
import time

from dispatcher.bench import letter, people
from dispatcher.bench.postgres import PostgresServer
from dispatcher.compose.house import House
from dispatcher.db import clock, migrate
from dispatcher.db.engine import make_engine, reading
from dispatcher.db.terms import Language
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Draft
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.sending.preflight.examination import Desk, lay_open
from dispatcher.sending.preflight.people import render_everyone
from dispatcher.sending.preflight.run import silent
from dispatcher.sending.press import Stationery

RING = Keyring((Key("k1", b"1" * 32),))
HOUSE = House(
    name="Beispiel Edelmetalle",
    sender_name="Beispiel Edelmetalle",
    sender_address="news@news.example.de",
    public_url="https://news.example.de",
    feedback_sender_id="news-example-de",
    list_id_domain="news.example.de",
    impressum="Beispiel Edelmetalle GmbH, Musterweg 1, 12345 Musterstadt",
)
DESK = Desk(Stationery(RING, "https://news.example.de", "bounce.example.de", "news.example.de"), HOUSE)


def main(count: int) -> None:
    server = PostgresServer()
    try:
        server.execute("CREATE DATABASE preflight")
        with tempfile.TemporaryDirectory() as name:
            for url in (f"sqlite:///{name}/p.db", server.database("preflight")):
                measure(url, count)
    finally:
        server.remove()


def measure(url: str, count: int) -> None:
    engine = make_engine(url)
    migrate.upgrade(engine)
    with engine.begin() as conn:
        now = clock.now(conn)
        people.fill(conn, RING, count, now)
        contents = {Language.DE: ("bench.de.md", letter.content(HOUSE))}
        of = campaigns.create(conn, Draft(letter.TOPIC, "bench", letter.SUBJECT, Language.DE, contents), now)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("ANALYZE")
    with reading(engine).connect() as conn:
        exam = lay_open(conn, of, DESK, now, None)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    tally = render_everyone(engine, exam, silent)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(
        f"{engine.dialect.name:<10} {tally.people:,} letters, {tally.people / took:,.0f}/s,"
        f" {cpu / tally.people * 1e6:.0f} µs of CPU each, {(after.ru_maxrss - before.ru_maxrss) / 1024:.1f} MB more\n"
    )
    engine.dispose()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

"""What the file of endings costs while letters go: at a turn of the gate, and at each claim, without it and with it.

    python -m tests.bench.endings_in_sending [PEOPLE]

On SQLite and on a PostgreSQL with fsync, in one process, 125 lanes to a turn, 500 letters to a claim. One claim or turn
is with it, the next without, so that whatever else the machine does falls on both. At the gate `without` is the same
statement but for the look at the marks; on SQLite, where that look is a statement of its own, it is clocked alone.
"""

import statistics
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

from sqlalchemy import BigInteger, Engine, cast, literal, select

from dispatcher.bench.postgres import PostgresServer
from dispatcher.db import migrate
from dispatcher.db.engine import make_engine
from dispatcher.db.shortcut import Shortcut
from dispatcher.db.terms import CampaignKind
from dispatcher.domain import ending_marks, endings
from dispatcher.domain.audience.dealing_out import PAGE
from dispatcher.domain.delivery import batches, passage
from dispatcher.domain.delivery.batches import Claim
from dispatcher.domain.delivery.passage import Intent, Known
from dispatcher.domain.ending_marks import Tide
from dispatcher.domain.newsletters.campaigns import Campaign
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.sending import endings as files
from dispatcher.sending.endings import EndingsFile
from tests.domain.dispatch import NOW, RELAY, Dispatch

RING = Keyring((Key("k1", b"1" * 32),))
LANES = 125
KINDS = [CampaignKind.NEWSLETTER]


def main(people: int) -> None:
    server = PostgresServer(durable=True)
    try:
        server.execute("CREATE DATABASE sending")
        with tempfile.TemporaryDirectory() as name:
            for url in (f"sqlite:///{name}/sending.db", server.database("sending")):
                measure(url, Path(name, f"{url[:6]}.jsonl"), people)
    finally:
        server.remove()


def measure(url: str, path: Path, people: int) -> None:
    bare, file = make_engine(url), EndingsFile(path, RING.oldest.fingerprint())
    kept = files.keep(make_engine(url), file)
    migrate.upgrade(bare)
    with kept.begin() as conn:
        endings.note(conn, [endings.Witness(NOW)])
    house = Dispatch(bare, RING)
    house.people(people)
    of = house.campaign()
    claims: dict[bool, list[float]] = {False: [], True: []}
    work: dict[bool, list[float]] = {False: [], True: []}
    turns: dict[bool, list[float]] = {False: [], True: []}
    for number in range(people // PAGE):
        began, busy = time.perf_counter(), time.thread_time()
        claim = claimed(kept, of, noted=True) if number % 2 else claimed(bare, of, noted=False)
        work[bool(number % 2)].append(time.thread_time() - busy)
        claims[bool(number % 2)].append(time.perf_counter() - began)
        for turn in range(PAGE // LANES):
            is_read = bool((number + turn) % 2)
            turns[is_read].append(asked(bare, of, claim, turn, is_read=is_read))
    tell(bare.dialect.name, "a claim", claims, PAGE)
    tell(bare.dialect.name, "  of that, CPU", work, PAGE)
    tell(bare.dialect.name, "a turn of the gate", turns, LANES)
    for engine in (bare, kept):
        engine.dispose()


def claimed(engine: Engine, of: Campaign, *, noted: bool) -> Claim:
    with engine.begin() as conn:
        claim = batches.claim(conn, "bench", KINDS, NOW)
        assert claim is not None
        if noted:
            endings.note(conn, [endings.Claimed(of.id, claim.no, NOW)])
    if noted:
        with engine.begin() as conn:
            endings.note(conn, [endings.Witness(NOW)])
    return claim


def asked(engine: Engine, of: Campaign, claim: Claim, turn: int, *, is_read: bool) -> float:
    """Take a turn; give the seconds it took."""
    looks = engine.dialect.name == "sqlite" and not is_read
    passage._prepared = _WITH if is_read or looks else _without  # type: ignore[assignment]
    intents = [Intent(claim, each, 1, RELAY) for each in claim.subscriber_ids[turn * LANES : (turn + 1) * LANES]]
    began = time.perf_counter()
    with engine.begin() as conn:
        passed = passage.pass_gate(conn, {of.id: of}, [], intents, Known({}, Tide()), NOW)
        took = 0.0
        if looks:
            looked = time.perf_counter()
            conn.execute(passage._STANDS).scalar_one()
            took = 2 * (time.perf_counter() - looked)  # this one is too many, and the other is to be taken off
    assert all(isinstance(decision, passage.Pass) for decision in passed)
    return time.perf_counter() - began - took


def tell(database: str, what: str, seconds: dict[bool, list[float]], letters: int) -> None:
    without, with_ = (1e6 * statistics.median(seconds[is_read]) for is_read in (False, True))
    more = with_ - without
    said = f"{without:8,.0f} us without, {with_:8,.0f} with: {more:+8,.1f}, {more / letters:+6.3f} a letter"
    sys.stdout.write(f"{database:<11}{what:<20}{said}\n")


_WITH = passage._prepared


@lru_cache(maxsize=4)
def _without(asked: passage._Question, with_finals: bool) -> Shortcut:
    """Compile the gate's statement without a look at the marks."""
    stands = ending_marks.stands
    ending_marks.stands = lambda: select(cast(literal(0), BigInteger)).scalar_subquery()
    try:
        return _WITH.__wrapped__(asked, with_finals)
    finally:
        ending_marks.stands = stands


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)

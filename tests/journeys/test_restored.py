"""The drill: a newsletter half sent, people who leave in every way, and a database that is put back to before that.

Nobody who left is mailed, nobody gets a letter twice, the erased address is in no table, and the ledger says the truth.
"""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from dispatcher.db import clock
from dispatcher.db.engine import make_engine
from dispatcher.db.tables import metadata, subscriber
from dispatcher.db.terms import CampaignState, SuppressionReason, Topic
from dispatcher.domain import suppression, tokens
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.tokens import Link, Purpose
from dispatcher.sending import endings
from tests.databases import TEMPLATE, Server
from tests.journeys.house import RunningHouse, kill_tree, let_leases_end, open_house, wait_for
from tests.stage import Stage

PEOPLE = 1_500
MANY_LANES = 16  # for what is only to come to its end
LEFT = ["p1400@example.de", "p1401@example.de", "p1402@example.de", "p1403@example.de", "p1404@example.de"]
ONE_CLICK, ERASED, OPERATOR, MOVED, COMPLAINED = LEFT
# Alphabetic order is that of the batches: with 500 to a batch these are in the last one, which waits longest.


class Sqlite:
    """Backup and restore by our own commands."""

    def back_up(self, house: RunningHouse) -> None:
        house.run("backup", str(house.var / "backup.db"))

    def restore(self, house: RunningHouse) -> dict[str, object]:
        done: dict[str, object] = json.loads(house.run("restore", str(house.var / "backup.db"), "--json"))
        return done


class Postgresql:
    """Backup and restore as docs/production.md says: pg_dump, pg_restore, and then our command."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self._name = server, name

    def _program(self, name: str, *arguments: str) -> None:
        subprocess.run([self.server.binaries / name, *arguments], check=True, capture_output=True)

    def back_up(self, house: RunningHouse) -> None:
        self._program("pg_dump", "--format=custom", f"--file={house.var}/backup.dump", house.database_url)

    def put_back(self, house: RunningHouse) -> None:
        self.server.execute(f"DROP DATABASE {self._name} WITH (FORCE)")
        self.server.execute(f"CREATE DATABASE {self._name} TEMPLATE template0")
        self._program(
            "pg_restore",
            "--exit-on-error",
            "--single-transaction",
            f"--dbname={house.database_url}",
            f"{house.var}/backup.dump",
        )

    def restore(self, house: RunningHouse) -> dict[str, object]:
        self.put_back(house)
        done: dict[str, object] = json.loads(house.run("restore", "--json"))
        return done


@pytest.fixture(params=["sqlite", "postgresql"])
def way(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path, postgres_folder: str
) -> Iterator[tuple[str, Sqlite | Postgresql]]:
    """Give a database of each kind, and the way in which it is backed up."""
    if request.param == "sqlite":
        yield f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'dispatcher.db')}", Sqlite()
        return
    server, name = Server(postgres_folder), f"drill_{os.getpid()}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield server.database(name), Postgresql(server, name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def house(tmp_path: Path, way: tuple[str, Sqlite | Postgresql]) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, way[0], lanes=2, relay_options=("--delay", "0.01"))


@pytest.fixture
def engine(house: RunningHouse) -> Iterator[Engine]:
    made = endings.keep(make_engine(house.database_url), endings.file_of(house.settings))
    yield made
    made.dispose()


def end(house: RunningHouse) -> None:
    """End pages and workers, as before a restore; the broker stays."""
    for process in list(house.processes):
        kill_tree(process.pid)
        process.wait()
        house.processes.remove(process)


def send_in_part(house: RunningHouse, way: Sqlite | Postgresql) -> Counter[str]:
    """Send some letters, make a backup, send some more; give who got one."""
    house.start("worker", "--concurrency", "1")
    wait_for(lambda: house.relay.count() >= 100, "the first letters")
    way.back_up(house)
    at_backup = house.relay.count()
    wait_for(lambda: house.relay.count() >= at_backup + 200, "letters after the backup")
    end(house)
    return Counter(a.recipient for a in house.relay.accepted())


def leave_in_every_way(house: RunningHouse, stage: Stage) -> None:
    pages = house.start_web()
    with stage.engine.begin() as conn:
        s = subscriber.c
        public_id = bytes(conn.execute(select(s.public_id).where(s.address == ONE_CLICK)).scalar_one())
    link = tokens.sign(house.keyring, Purpose.UNSUBSCRIBE, Link(public_id, Topic.FINANCE_NEWS))
    assert pages.post(f"/u/{link}", data={"List-Unsubscribe": "One-Click"}).status_code == 200
    house.run("subscribers", "erase", ERASED, "--yes")
    house.run("consent", "withdraw", OPERATOR)
    with stage.engine.begin() as conn:
        hashes = {a: address_hash(house.keyring, parse_address(a)) for a in (MOVED, COMPLAINED)}
        now = clock.now(conn)
        # What a change of address leaves at the former one, and what a complaint leaves.
        suppression.suppress(conn, [hashes[MOVED]], None, SuppressionReason.WITHDRAWN, "moved", now)
        suppression.suppress(conn, [hashes[COMPLAINED]], None, SuppressionReason.COMPLAINT, "arf", now)


def verify(house: RunningHouse) -> None:
    """What is there is unaltered; and it is told that what was signed before was lost by the restore."""
    said = json.loads(house.run("consent", "verify", "--json"))
    assert said["well"]
    assert len(said["restores"]) == 1


def everything(engine: Engine) -> bytes:
    """Give every row of every table."""
    with engine.begin() as conn:
        return b"".join(
            repr(tuple(row)).encode() for table in metadata.sorted_tables for row in conn.execute(select(table))
        )


def test_after_a_restore_nobody_who_left_is_mailed_and_nobody_gets_a_letter_twice(
    house: RunningHouse, way: tuple[str, Sqlite | Postgresql], stage: Stage
) -> None:
    people = stage.add(PEOPLE)
    of = stage.campaign()
    sent = send_in_part(house, way[1])
    leave_in_every_way(house, stage)
    stage.add(1, prefix="newcomer")
    house.run("consent", "checkpoint")
    end(house)  # a disk dies
    stage.engine.dispose()

    done = way[1].restore(house)
    assert (done["withdrawn"], done["erased"]) == (3, 1)
    [held] = done["held"]  # type: ignore[misc]
    assert (held["id"], held["now_is"]) == (of, "paused")
    house.lanes = MANY_LANES
    house.start("worker", "--concurrency", "1")
    later = stage.campaign()
    wait_for(lambda: stage.status(later).state is CampaignState.SENT, "a newsletter after the restore")
    second = [a.recipient for a in house.relay.accepted()][sum(sent.values()) :]
    assert set(second) == set(people) - set(LEFT)  # all but those who left: the held one sent nothing

    let_leases_end(stage.engine)
    house.run("campaigns", "resume", str(of))
    wait_for(lambda: stage.status(of).state is CampaignState.SENT, "the end of the one that was held")
    resumed = [a.recipient for a in house.relay.accepted()][sum(sent.values()) + len(second) :]
    taken = Counter([*sent.elements(), *resumed])
    assert set(taken.values()) == {1}
    assert not set(resumed) & set(LEFT)
    missing = {address: m.outcome for address, m in stage.missing(of).items()}
    unknown = {address for address, outcome in missing.items() if outcome == "unknown"}
    assert set(people) - set(LEFT) <= set(taken) | unknown
    assert ERASED.encode() not in everything(stage.engine)
    verify(house)


@pytest.mark.parametrize("way", ["postgresql"], indirect=True)  # on SQLite a restore over a worker is refused
def test_a_database_that_is_put_back_under_a_running_worker_mails_nobody_who_left_and_nobody_twice(
    house: RunningHouse, way: tuple[str, Sqlite | Postgresql], stage: Stage
) -> None:
    restoring = way[1]
    assert isinstance(restoring, Postgresql)
    stage.add(PEOPLE)
    of = stage.campaign()
    house.start("worker", "--concurrency", "1")
    wait_for(lambda: house.relay.count() >= 100, "the first letters")
    restoring.back_up(house)
    at_backup = house.relay.count()
    wait_for(lambda: house.relay.count() >= at_backup + 50, "letters after the backup")
    house.run("consent", "withdraw", OPERATOR)
    stage.engine.dispose()
    restoring.put_back(house)
    wait_for(lambda: stage.status(of).state is CampaignState.PAUSED, "the worker to hold the campaign")
    let_leases_end(stage.engine)
    house.run("campaigns", "resume", str(of))
    wait_for(lambda: stage.status(of).state is CampaignState.SENT, "its end")
    taken = Counter(a.recipient for a in house.relay.accepted())
    assert set(taken.values()) == {1}
    assert OPERATOR not in taken

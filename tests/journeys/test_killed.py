"""Workers are killed in the middle, and everyone is served: nobody twice, nobody lost, at most one unknown a lane."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from dispatcher.db.tables import batch
from dispatcher.db.terms import CampaignState
from dispatcher.domain.delivery import workers
from tests.journeys.house import RunningHouse, kill_tree, let_leases_end, open_house, sender_of, wait_for
from tests.stage import Stage

LANES = 4
PEOPLE = 700


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=LANES, relay_options=("--delay", "0.01"))


def reached(house: RunningHouse, count: int) -> bool:
    return house.relay.count() >= count


@pytest.mark.parametrize(
    ("victim", "database_url"),
    [("the sending process", "sqlite"), ("everything", "postgresql")],
    indirect=["database_url"],  # a death at each point, on both, is tried in tests/torture
)
def test_after_kill_9_in_the_middle_everyone_is_accounted_for(
    house: RunningHouse, stage: Stage, engine: Engine, victim: str
) -> None:
    people = stage.add(PEOPLE)
    campaign = stage.campaign()
    worker = house.start("worker", "--concurrency", "1")
    wait_for(lambda: reached(house, 150), "150 letters")
    sender = sender_of(worker)
    assert sender is not None
    if victim == "everything":
        kill_tree(worker.pid)
        worker.wait()
        house.processes.remove(worker)
        house.start("worker", "--concurrency", "1")
    else:
        sender.send_signal(signal.SIGKILL)
    assert len(house.relay.accepted()) < PEOPLE
    let_leases_end(engine)
    wait_for(lambda: stage.status(campaign).state is CampaignState.SENT, "the end of the campaign")
    taken = Counter(a.recipient for a in house.relay.accepted())
    status = stage.status(campaign)
    unknown = {address for address, m in stage.missing(campaign).items() if m.outcome == "unknown"}
    assert max(taken.values()) == 1
    assert status.unknown == len(unknown) <= LANES
    assert set(taken) | unknown == set(people)
    assert status.sent == PEOPLE - len(unknown)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_that_is_told_to_end_does_so_soon_and_gives_its_batches_back(
    house: RunningHouse, stage: Stage, engine: Engine
) -> None:
    stage.add(PEOPLE)
    campaign = stage.campaign()
    worker = house.start("worker", "--concurrency", "1")
    wait_for(lambda: reached(house, 50), "50 letters")
    worker.tell(signal.SIGTERM)
    assert worker.wait(60) == 0
    house.processes.remove(worker)
    status = stage.status(campaign)
    assert status.sent == len(house.relay.accepted()) < PEOPLE
    assert status.unknown == 0
    with engine.connect() as conn:
        assert workers.everyone(conn) == []  # and nobody waits for a sign of it
    with engine.begin() as conn:
        assert "leased" not in conn.execute(select(batch.c.state)).scalars().all()


def test_two_workers_share_a_campaign(house: RunningHouse, stage: Stage, engine: Engine) -> None:
    people = stage.add(1_100)
    campaign = stage.campaign()
    house.start("worker", "--concurrency", "1")
    house.start("worker", "--concurrency", "1")
    owners: set[str] = set()

    def ended() -> bool:
        with engine.begin() as conn:
            owners.update(conn.execute(select(batch.c.owner).where(batch.c.owner.is_not(None))).scalars())
        return stage.status(campaign).state is CampaignState.SENT

    wait_for(ended, "the end of the campaign")
    assert len(owners) >= 2
    taken = Counter(a.recipient for a in house.relay.accepted())
    assert set(taken) == set(people)
    assert set(taken.values()) == {1}
    assert stage.status(campaign).sent == 1_100

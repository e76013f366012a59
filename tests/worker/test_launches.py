"""A launch over the broker: each portion calls for the next, once, while letters of those before it are called for."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher import broker
from dispatcher import settings as settings_module
from dispatcher.db import clock
from dispatcher.domain.audience import audiences
from dispatcher.sending import house as houses
from dispatcher.sending import release
from dispatcher.worker import sender
from dispatcher.worker.orders import Order, Waiting
from dispatcher.worker.tasks import call_workers
from tests import builders
from tests.journeys.house import KEYS
from tests.valkey import running_valkey


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_portion_calls_for_the_next_until_nobody_is_left(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "FIRST_PORTION", 2)
    monkeypatch.setattr(audiences, "PORTION", 2)
    environ = {"DISPATCHER_DATABASE_URL": database_url, "DISPATCHER_SECRET_KEYS": KEYS}
    settings = settings_module.load({"DISPATCHER_VAR": str(tmp_path), **environ}, tmp_path)
    with engine.begin() as conn:
        now = clock.now(conn)
        people = builders.add_people(conn, houses.keyring(settings), [f"p{n}@example.de" for n in range(5)], now)
        builders.agree(conn, list(people.values()), builders.Topic.FINANCE_NEWS, now)
        campaign_id = builders.create_campaign(conn, now)
        release.schedule(conn, campaign_id, now, "UTC", houses.stationery(settings), houses.house(settings))
    bench, order = sender.make_bench(settings, lambda: False), Order(launch=campaign_id)
    with running_valkey(tmp_path):
        first = Waiting.read(sender.follow(bench, order).line())
        assert first == Waiting(0, 1, (campaign_id,))
        for _ in range(2):  # the tick may find the same
            assert call_workers(settings, first)
            assert broker.lengths(settings) == {"control": 1, "waited": 0, "bulk": 1}
        assert sender.follow(bench, order) == Waiting(0, 2, (campaign_id,))
        assert sender.follow(bench, order) == Waiting(0, 3)

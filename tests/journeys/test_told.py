"""A worker tells a receiver behind TLS how a newsletter went."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.journeys.house import RunningHouse, open_house, wait_for
from tests.receivers import receiving, trusted
from tests.stage import Stage


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=2, relay_options=())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_receiver_hears_of_a_newsletter_from_its_release_to_its_end(
    house: RunningHouse, stage: Stage, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = trusted(tmp_path, monkeypatch)
    with receiving(engine, house.keyring, certificate) as receiver:
        house.extra |= {
            "DISPATCHER_INTERNAL_HOSTS": f"127.0.0.1:{receiver.web.port}", "SSL_CERT_FILE": certificate.ca_file,
        }  # fmt: skip
        stage.add(2)
        stage.campaign()
        house.start("worker", "--concurrency", "1")
        wait_for(lambda: any(b'"sent"' in body for _, _, body in list(receiver.web.asked)), "the end of the newsletter")
        told = receiver.told()
    moves = {one["data"]["state"] for one in told if one["type"] == "campaign.moved"}
    assert moves == {"scheduled", "preparing", "sending", "sent"}
    assert sum(one["type"] == "consent.given" for one in told) == 2

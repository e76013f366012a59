"""The stage on which the engine is tested, on each database."""

import pytest
from sqlalchemy import Engine

from dispatcher.compose.house import House
from dispatcher.db.terms import Topic
from dispatcher.domain.tokens import Keyring
from dispatcher.sending.press import Stationery
from tests.sending.renewing import agree, enter
from tests.stage import Stage


@pytest.fixture
def stage(engine: Engine, keyring: Keyring, stationery: Stationery, house: House) -> Stage:
    """Give an empty house."""
    return Stage(engine, keyring, stationery, house)


@pytest.fixture
def old(stage: Stage) -> list[str]:
    """Give six people who agreed to words for finance news, the first two also for offers, that are good no more."""
    enter(stage, "1")
    people = stage.add(6, agreed=False)
    agree(stage, people, "1", Topic.FINANCE_NEWS)
    agree(stage, people[:2], "1", Topic.SPECIAL_OFFERS)
    enter(stage, "2", Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS)
    return people

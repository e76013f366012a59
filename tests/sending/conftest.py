"""The stage on which the engine is tested, on each database."""

import pytest

from dispatcher.db.terms import Topic
from tests.sending.renewing import agree, enter
from tests.stage import Stage


@pytest.fixture
def old(stage: Stage) -> list[str]:
    """Give six people who agreed to words for finance news, the first two also for offers, that are good no more."""
    enter(stage, "1")
    people = stage.add(6, agreed=False)
    agree(stage, people, "1", Topic.FINANCE_NEWS)
    agree(stage, people[:2], "1", Topic.SPECIAL_OFFERS)
    enter(stage, "2", Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS)
    return people

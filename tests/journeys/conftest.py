"""What the journeys share."""

import pytest
from sqlalchemy import Engine

from tests.journeys.house import RunningHouse, stage_of
from tests.stage import Stage


@pytest.fixture
def stage(house: RunningHouse, engine: Engine) -> Stage:
    """Give the stage on which a house of real processes plays."""
    return stage_of(house, engine)

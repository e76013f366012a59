"""The stage on which the engine is tested, on each database."""

import pytest
from sqlalchemy import Engine

from dispatcher.compose.house import House
from dispatcher.domain.tokens import Keyring
from dispatcher.sending.press import Stationery
from tests.stage import Stage


@pytest.fixture
def stage(engine: Engine, keyring: Keyring, stationery: Stationery, house: House) -> Stage:
    """Give an empty house."""
    return Stage(engine, keyring, stationery, house)

"""What tests of the rules share."""

import pytest
from sqlalchemy import Engine

from dispatcher.domain.tokens import Keyring
from tests.domain.dispatch import Dispatch


@pytest.fixture
def dispatch(engine: Engine, keyring: Keyring) -> Dispatch:
    """Give a newsletter's view of an empty database."""
    return Dispatch(engine, keyring)

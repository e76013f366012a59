"""The pages in tests: the application on both databases, a visitor without memory, and people to visit."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher import settings as settings_module
from dispatcher.settings import Settings
from dispatcher.web.app import create_app
from tests.databases import each_in_turn as pytest_generate_tests  # noqa: F401
from tests.web.visitor import House, Visitor

KEYS = f"k2:{(b'2' * 32).hex()} k1:{(b'1' * 32).hex()}"  # those of the fixture `keyring`


@pytest.fixture
def make_settings(tmp_path: Path, database_url: str) -> Callable[..., Settings]:
    """Make settings; more of them by name, in lower case."""

    def make(**more: str) -> Settings:
        given = {"public_url": "https://news.example.de", "secret_keys": KEYS, "database_url": database_url, **more}
        return settings_module.load({f"DISPATCHER_{k.upper()}": v for k, v in given.items()}, tmp_path)

    return make


@pytest.fixture
def nudged() -> list[int]:
    """Collect the campaigns for which a worker was called."""
    return []


@pytest.fixture
def house_of(engine: Engine, make_settings: Callable[..., Settings], nudged: list[int]) -> Callable[..., House]:
    """Open the pages with these settings."""

    def open_with(**more: str) -> House:
        settings = make_settings(**more)
        return House(create_app(settings, engine, nudged.append), settings, engine)

    return open_with


@pytest.fixture
def house(house_of: Callable[..., House]) -> House:
    """Give the pages as they are by default."""
    return house_of()


@pytest.fixture
def visitor(house: House) -> Visitor:
    """Give somebody who looks at the pages."""
    return house.visitor()

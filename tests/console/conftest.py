"""The console in tests: the application with it, members of every role, and a browser that keeps its cookies."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher import settings as settings_module
from dispatcher.console import beside
from dispatcher.console.app import console
from dispatcher.web.app import create_app
from tests.console.office import Office
from tests.databases import each_in_turn as pytest_generate_tests  # noqa: F401
from tests.web.conftest import KEYS


@pytest.fixture
def office_of(
    engine: Engine, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Office]]:
    """Open the console with these settings. Its pages wait for what is found out beside: a busy machine may be late."""
    for patience in ("_BLINK", "_PATIENCE"):
        monkeypatch.setattr(beside, patience, 30.0)

    def open_with(**more: str) -> Office:
        given = {
            "public_url": "https://news.example.de",
            "secret_keys": KEYS,
            "database_url": database_url,
            "console_totp": "off",
            "broker_url": f"redis+socket://{tmp_path}/no.sock",
            **more,
        }
        settings = settings_module.load({f"DISPATCHER_{k.upper()}": v for k, v in given.items()}, tmp_path)
        return Office(create_app(settings, engine, lambda _: None, [console]), settings, engine)

    yield open_with
    for thread in threading.enumerate():
        if thread.name.startswith(("preflight ", "verifier", "beside ")):  # what was begun in this database ends in it
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def office(office_of: Callable[..., Office]) -> Office:
    """Give the console, with nobody asked for a second factor."""
    return office_of()

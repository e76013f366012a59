"""The API in tests: the application on both databases, keys for it, and a program that asks."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatcher import settings as settings_module
from dispatcher.api.app import PATH, create_api
from dispatcher.api.entrance import Allowance
from dispatcher.settings import Settings
from dispatcher.web.app import create_app
from dispatcher.web.server import listen, make_server
from dispatcher.web.site import mounted
from tests.api.program import House, Program, open_house
from tests.databases import each_in_turn as pytest_generate_tests  # noqa: F401

KEYS = f"k2:{(b'2' * 32).hex()} k1:{(b'1' * 32).hex()}"  # those of the fixture `keyring`


def make_settings(folder: Path, database_url: str, public_url: str) -> Settings:
    """Make the settings of a made-up company; no broker listens there."""
    given = {
        "PUBLIC_URL": public_url, "SECRET_KEYS": KEYS, "DATABASE_URL": database_url,
        "BROKER_URL": f"redis+socket://{folder}/no.sock",
    }  # fmt: skip
    return settings_module.load({f"DISPATCHER_{name}": value for name, value in given.items()}, folder)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Give the settings."""
    return make_settings(tmp_path, database_url, "https://news.example.de")


@pytest.fixture
def api_house(settings: Settings, engine: Engine) -> House:
    """Open pages and API together, as `dispatcher web` does."""
    return open_house(settings, engine, Allowance())


@pytest.fixture
def program(api_house: House) -> Program:
    """Give a program whose key may do everything."""
    return api_house.program()


@pytest.fixture
def served(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[tuple[House, str]]:
    """Serve the API as `dispatcher web` does, over a real line; give the house, and where the API is."""
    with listen("127.0.0.1", 0) as opened:
        url = f"http://127.0.0.1:{opened.getsockname()[1]}"
        settings = make_settings(tmp_path, database_url, url)
        nudged: list[int | str] = []
        drains = partial(nudged.append, "drains")
        api = create_api(settings, engine, nudged.append, drains, Allowance(10**9, 10**9))
        app = create_app(settings, engine, nudged.append, [mounted(PATH, api)])
        server = make_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        yield House(app, settings, engine, nudged), url + PATH
        server.should_exit = True
        thread.join()

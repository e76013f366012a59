"""What all tests share: both databases, each test with one of its own; keys, a house, and made-up people."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from sqlalchemy import Engine

from dispatcher.bench.postgres import PostgresServer
from dispatcher.compose.house import House
from dispatcher.db import migrate
from dispatcher.db.engine import make_engine
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.sending.press import Stationery
from tests.chromium import CHROMIUM, MARK
from tests.databases import (
    TEMPLATE,
    close,
    lasting_engine,
    never_wait_for_the_disk,
    postgres_database,
    rest,
    sqlite_database,
)
from tests.order import long_first
from tests.stage import Stage
from tests.stories import stories as stories  # how hypothesis draws is set before anything is drawn

_SERVER = pytest.StashKey[PostgresServer]()


def pytest_configure(config: pytest.Config) -> None:
    """Start one PostgreSQL for the whole run: in the controller, or in the only process."""
    never_wait_for_the_disk()
    # Where it is set, each worker and each process that a test starts compiles everything anew: a minute of a core.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[_SERVER] = server = PostgresServer()
        server.execute(f"CREATE DATABASE {TEMPLATE}")
        engine = make_engine(server.database(TEMPLATE))
        migrate.upgrade(engine)
        engine.dispose()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it again."""
    if _SERVER in config.stash:
        config.stash[_SERVER].remove()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, after chance has had its say."""
    items[:] = long_first(items, getattr(config, "workerinput", {}).get("workercount", 1))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what lives until the end out of the collector's sight: a full round over it takes a tenth of a second.
    Of what a test makes little is cyclic, so the collector need not look often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End the browser before a test that needs none."""
    if nextitem is None or nextitem.get_closest_marker(MARK) is None:
        CHROMIUM.end()


class _Node:
    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node) -> None:
        node.workerinput["postgres"] = node.config.stash[_SERVER].folder.as_posix()


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Tell xdist's workers where the server is."""
    if manager.hasplugin("dsession") and not manager.hasplugin("dispatcher-node"):
        manager.register(_Node(), "dispatcher-node")


@pytest.fixture(scope="session")
def postgres_folder(request: pytest.FixtureRequest) -> str:
    """Give the folder of the server's socket."""
    config = request.config
    if hasattr(config, "workerinput"):
        return str(config.workerinput["postgres"])
    return config.stash[_SERVER].folder.as_posix()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated, empty SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, sqlite_template: Path, postgres_folder: str, _engines: dict[str, Engine]
) -> str:
    """Give the URL of an empty, migrated database: the test runs once on each kind."""
    if request.param == "sqlite":
        return sqlite_database(sqlite_template)
    return postgres_database(postgres_folder, getattr(request.config, "workerinput", {}).get("workerid", "main"))


@pytest.fixture(scope="session")
def _engines() -> Iterator[dict[str, Engine]]:
    """Keep one engine per database of this process: what it compiled once serves all tests."""
    made: dict[str, Engine] = {}
    yield made
    close(made.values())


@pytest.fixture
def engine(database_url: str, _engines: dict[str, Engine]) -> Iterator[Engine]:
    """Give an engine on an empty database of each kind."""
    if database_url not in _engines:
        _engines[database_url] = lasting_engine(database_url)
    made = _engines[database_url].execution_options()  # a view of it: what listens to this one ends with the test
    yield made
    gates = [thread.name for thread in threading.enumerate() if thread.name.startswith("gate")]
    assert not gates, "a gate was opened and not closed"
    rest(made)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Give the browser, without any window."""
    yield CHROMIUM.browser()
    CHROMIUM.tidy()


@pytest.fixture
def keyring() -> Keyring:
    """Give two keys: an old one, and the one that signs now."""
    return Keyring((Key("k2", b"2" * 32), Key("k1", b"1" * 32)))


@pytest.fixture
def stationery(keyring: Keyring) -> Stationery:
    """Give what letters of a process share."""
    return Stationery(keyring, "https://news.example.de", "bounce.example.de", "news.example.de")


@pytest.fixture
def house() -> House:
    """Give the made-up company."""
    return House(
        name="Beispiel Edelmetalle",
        sender_name="Beispiel Edelmetalle",
        sender_address="news@news.example.de",
        public_url="https://news.example.de",
        feedback_sender_id="news-example-de",
        list_id_domain="news.example.de",
        impressum="Beispiel Edelmetalle GmbH, Musterweg 1, 12345 Musterstadt",
    )


@pytest.fixture
def stage(engine: Engine, keyring: Keyring, stationery: Stationery, house: House) -> Stage:
    """Give an empty house."""
    return Stage(engine, keyring, stationery, house)

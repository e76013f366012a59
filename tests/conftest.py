"""What all tests share: both databases, each test with one of its own; keys, a house, and made-up people."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from dispatcher.bench.postgres import PostgresServer
from dispatcher.compose.house import House
from dispatcher.db import migrate
from dispatcher.db.engine import make_engine
from dispatcher.db.tables import metadata
from dispatcher.domain.tokens import Key, Keyring
from dispatcher.sending.press import Stationery

_SERVER = pytest.StashKey[PostgresServer]()
_TEMPLATE = "dispatcher_template"


def pytest_configure(config: pytest.Config) -> None:
    """Start one PostgreSQL for the whole run: in the controller, or in the only process."""
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[_SERVER] = server = PostgresServer()
        server.execute(f"CREATE DATABASE {_TEMPLATE}")
        engine = make_engine(server.database(_TEMPLATE))
        migrate.upgrade(engine)
        engine.dispose()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it again."""
    if _SERVER in config.stash:
        config.stash[_SERVER].remove()


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
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path, postgres_folder: str
) -> Iterator[str]:
    """Give the URL of an empty, migrated database: the test runs once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "dispatcher.db"
        shutil.copy(sqlite_template, path)
        yield f"sqlite:///{path}"
        return
    yield _postgres_database(postgres_folder, request)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Give an engine on an empty database of each kind."""
    made = make_engine(database_url)
    yield made
    made.dispose()


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


def _postgres_database(folder: str, request: pytest.FixtureRequest) -> str:
    """Give the one database of this process, emptied: that takes a tenth of the time that a new one does."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    name = f"tests_{worker}"
    maintenance = f"postgresql://dispatcher@/postgres?host={folder}"
    with psycopg.connect(maintenance, autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    url = f"postgresql://dispatcher@/{name}?host={folder}"
    with psycopg.connect(url, autocommit=True) as conn:
        # Whoever a test left behind may hold locks for ever.
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
        conn.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
    return url

"""What all tests share: both databases, each test with one of its own; keys, a house, and made-up people."""

import gc
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
from tests.stage import Stage

_SERVER = pytest.StashKey[PostgresServer]()
_TEMPLATE = "dispatcher_template"
_MADE: set[str] = set()  # the databases of this process

# The tables that hold something or have given a number away: to empty only these takes half the time.
_USED = " UNION ".join(
    [
        *(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in metadata.tables),
        """SELECT d.refobjid::regclass::text FROM pg_sequences s
           JOIN pg_depend d ON d.objid = quote_ident(s.sequencename)::regclass AND d.deptype IN ('a', 'i')
           WHERE s.last_value IS NOT NULL AND d.refclassid = 'pg_class'::regclass""",
    ]
)


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


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what lives until the end out of the collector's sight: a full round over it takes a tenth of a second."""
    gc.collect()
    gc.freeze()


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
def database_url(request: pytest.FixtureRequest, sqlite_template: Path, postgres_folder: str) -> str:
    """Give the URL of an empty, migrated database: the test runs once on each kind."""
    if request.param == "sqlite":
        return _sqlite_database(sqlite_template)
    return _postgres_database(postgres_folder, request)


@pytest.fixture(scope="session")
def _engines() -> dict[str, Engine]:
    """Keep one engine per database of this process: what it compiled once serves all tests."""
    return {}


@pytest.fixture
def engine(database_url: str, _engines: dict[str, Engine]) -> Iterator[Engine]:
    """Give an engine on an empty database of each kind, without connections from before."""
    if database_url not in _engines:
        _engines[database_url] = make_engine(database_url)
    made = _engines[database_url].execution_options()  # a view of it: what listens to this one ends with the test
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


def _sqlite_database(template: Path) -> str:
    """Give the one database of this process, new."""
    folder = template.with_name("house")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(template, folder / "dispatcher.db")
    return f"sqlite:///{folder}/dispatcher.db"


def _postgres_database(folder: str, request: pytest.FixtureRequest) -> str:
    """Give the one database of this process, emptied: that takes a tenth of the time that a new one does."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    name = f"tests_{worker}"
    url = f"postgresql://dispatcher@/{name}?host={folder}"
    if name not in _MADE:
        with psycopg.connect(f"postgresql://dispatcher@/postgres?host={folder}", autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        _MADE.add(name)
        return url
    with psycopg.connect(url, autocommit=True) as conn:
        # Whoever a test left behind may hold locks for ever, or still write; so it is gone before anyone looks.
        conn.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
        if used := [row[0] for row in conn.execute(_USED)]:
            conn.execute(f"TRUNCATE {', '.join(used)} RESTART IDENTITY CASCADE")
    return url


@pytest.fixture
def stage(engine: Engine, keyring: Keyring, stationery: Stationery, house: House) -> Stage:
    """Give an empty house."""
    return Stage(engine, keyring, stationery, house)

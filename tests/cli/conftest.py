"""The command line, called as a shell calls it, on a database of each kind."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine

from dispatcher.cli.context import out
from dispatcher.cli.main import main
from dispatcher.db import engine as engines
from dispatcher.db.engine import make_engine
from dispatcher.domain.tokens import Keyring
from tests.databases import each_in_turn as pytest_generate_tests  # noqa: F401


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Give what was printed, which must be one line of JSON and nothing else."""
        assert self.out.count("\n") == 1
        read: dict[str, Any] = json.loads(self.out)
        return read

    @property
    def error(self) -> tuple[str, str]:
        """Give what happened and the cure: exactly two lines, on standard error, with exit code 1."""
        assert (self.code, self.out) == (1, "")
        first, second = self.err.splitlines()
        assert first.startswith("error: ")
        assert second.startswith("  cure: ")
        return first.removeprefix("error: "), second.removeprefix("  cure: ")


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as on a wide screen, wherever the tests run: nothing that is looked for is cut in two."""
    monkeypatch.setattr(out, "width", 200)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keyring: Keyring) -> Path:
    """Stand in an empty folder, with keys of our own and no other setting; give the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPATCHER_SECRET_KEYS", " ".join(f"{key.id}:{key.secret.hex()}" for key in keyring.keys))
    monkeypatch.setenv("DISPATCHER_PUBLIC_URL", "https://news.example.de")
    monkeypatch.setenv("DISPATCHER_BROKER_URL", f"redis+socket://{tmp_path}/no.sock")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture(scope="session")
def _commands_engines() -> dict[str, Engine]:
    """Keep an engine for the commands on each database of this process: what it compiled once serves them all."""
    return {}


@pytest.fixture
def run(
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    _commands_engines: dict[str, Engine],
) -> Iterator[Run]:
    """Give the command `dispatcher`."""
    made: list[Engine] = []
    make = engines.make_engine

    def remember(url: str) -> Engine:
        known = _commands_engines.get(url)
        made.append(make(url) if known is None else known.execution_options())
        return made[-1]

    monkeypatch.setattr(engines, "make_engine", remember)

    def call(*words: str | int | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["dispatcher", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        for engine in made:
            if engine.dialect.name == "sqlite":
                engine.dispose()  # as the end of a process does: a restore looks who has the file open
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    yield call
    structlog.reset_defaults()
    for engine in made:
        engine.dispose()


@pytest.fixture
def dispatcher(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch, _commands_engines: dict[str, Engine]
) -> Run:
    """Give the command `dispatcher`, with a database that is up to date."""
    if database_url not in _commands_engines:
        _commands_engines[database_url] = make_engine(database_url)
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", database_url)
    return run

"""A ground for torture on the database of each kind that every test gets, and a relay that bears witness."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.databases import TEMPLATE, Server
from tests.torture.ground import Bears, Databases, Ground, add_people
from tests.torture.witness import Weather, Witness

_CALM = Weather()
Lay = Callable[..., Ground]


@pytest.fixture
def lay(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Lay]:
    """Give a function that lays out a ground: so many people, this weather (or witness), and more of its fields."""
    with ExitStack() as stack:

        def lay_out(people: int, weather: Weather = _CALM, witness: Bears | None = None, **more: Any) -> Ground:
            with engine.begin() as conn:
                there = add_people(conn, people)
            witness = witness or stack.enter_context(Witness(tmp_path, weather))
            ground = Ground(tmp_path, database_url, there, witness, **more)
            stack.callback(ground.close)
            ground.schedule()
            return ground

        yield lay_out


@pytest.fixture(scope="session")
def databases(
    postgres_folder: str, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Databases]:
    """Give a function that gives databases of a kind."""
    folder = tmp_path_factory.mktemp("torture")
    known = {
        "sqlite": Databases("sqlite", folder, None, str(sqlite_template)),
        "postgresql": Databases("postgresql", folder, Server(postgres_folder), TEMPLATE),
    }
    return known.__getitem__

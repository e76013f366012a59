"""A ground for torture on the database of each kind that every test gets, and a relay that bears witness."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.torture.ground import Bears, Ground, add_people
from tests.torture.witness import Weather, Witness

Lay = Callable[..., Ground]


@pytest.fixture
def lay(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Lay]:
    """Give a function that lays out a ground: so many people, this weather (or witness), and more of its fields."""
    with ExitStack() as stack:

        def lay_out(people: int, weather: Weather = Weather(), witness: Bears | None = None, **more: Any) -> Ground:
            with engine.begin() as conn:
                there = add_people(conn, people)
            witness = witness or stack.enter_context(Witness(tmp_path, weather))
            ground = Ground(tmp_path, database_url, there, witness, **more)
            stack.callback(ground.close)
            ground.schedule()
            return ground

        yield lay_out

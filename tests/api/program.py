"""A program that calls the API in a test, and the house behind it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select
from starlette.applications import Starlette

from dispatcher.api.app import PATH, create_api
from dispatcher.api.entrance import Allowance
from dispatcher.db import clock
from dispatcher.db.tables import metadata
from dispatcher.db.terms import ConsentKind, Scope, Topic
from dispatcher.domain.people import subscribers
from dispatcher.domain.programs import api_keys
from dispatcher.domain.programs.api_keys import Wanted
from dispatcher.domain.tokens import Keyring
from dispatcher.sending import house as houses
from dispatcher.sending import sweep
from dispatcher.settings import Settings
from dispatcher.web.app import create_app
from dispatcher.web.site import mounted
from tests import builders

MARIA = "maria@example.de"
DRAFT = {"topic": "finance-news", "subject": "Gold hält sich", "contents": [{"source": builders.CONTENT}]}
# Without a link to elsewhere, which the look before a release would follow.
PLAIN = builders.CONTENT.replace("[Mehr dazu](https://www.example.de/gold)", "Mehr bald")

# For what does not depend on the kind of database.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass(frozen=True)
class Program:
    """Something that calls the API with a key."""

    app: Starlette
    key: str | None

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request."""
        headers = {"Authorization": f"Bearer {self.key}".encode()} if self.key is not None else {}
        headers = {**headers, **request.pop("headers", {})}

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="https://news.example.de/api/v1") as client:
                return await client.request(method, path, headers=headers, **request)

        return asyncio.run(send())

    def get(self, path: str, **request: Any) -> Any:
        """Get something that is there; give its JSON."""
        answer = self.ask("GET", path, **request)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, said: Any = None, **request: Any) -> Any:
        """Post something that succeeds; give its JSON."""
        answer = self.ask("POST", path, json=said, **request)
        assert answer.is_success, answer.text
        return answer.json()

    def refused(self, method: str, path: str, said: Any = None, **request: Any) -> Any:
        """Ask for something that is refused; give the problem, which must be told as one."""
        answer = self.ask(method, path, **({"json": said} if said is not None else {}), **request)
        assert answer.is_error
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert "/api/v1/problems/" in problem["type"]
        assert problem["title"]
        assert problem["detail"]
        assert problem["cure"]
        return problem

    def all(self, path: str, **params: Any) -> Iterator[Any]:
        """Go through every page of a list."""
        cursor = None
        while True:
            page = self.get(path, params={**params, **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return


def kind_of(problem: Any) -> str:
    """Give the kind of a problem."""
    return str(problem["type"]).rpartition("/")[2]


@dataclass(frozen=True)
class House:
    """The application, and what stands behind it. `nudged`: for what a worker was called."""

    app: Starlette
    settings: Settings
    engine: Engine
    nudged: list[int | str]

    def launch(self, campaign_id: int) -> bool:
        """Launch a campaign that is due, as a worker would that has the same settings."""
        return sweep.begin(self.engine, campaign_id, houses.house(self.settings))

    @property
    def keyring(self) -> Keyring:
        return houses.keyring(self.settings)

    def program(self, *scopes: Scope, name: str = "shop", expires_at: datetime | None = None) -> Program:
        """Make a key, with these scopes or all, and the program that has it."""
        with self.engine.begin() as conn:
            wanted = Wanted(name, frozenset(scopes or Scope), expires_at, "a test")
            _, key = api_keys.create(conn, wanted, clock.now(conn))
        return Program(self.app, key)

    def add(self, *addresses: str, topics: tuple[Topic, ...] = tuple(Topic)) -> list[str]:
        """Add people with current consent; give their public ids."""
        with self.engine.begin() as conn:
            now = clock.now(conn)
            ids = list(builders.add_people(conn, self.keyring, list(addresses), now).values())
            for topic in topics:
                builders.agree(conn, ids, topic, now, ConsentKind.CONFIRMED)
            found = [subscribers.by_id(conn, one) for one in ids]
        return [person.public_id.hex() for person in found if person is not None]

    def rows(self, table: str) -> list[Any]:
        with self.engine.begin() as conn:
            return list(conn.execute(select(metadata.tables[table])).all())


def open_house(settings: Settings, engine: Engine, allowance: Allowance) -> House:
    """Open them with another allowance."""
    nudged: list[int | str] = []
    api = create_api(settings, engine, nudged.append, lambda: nudged.append("drains"), allowance)
    return House(create_app(settings, engine, nudged.append, [mounted(PATH, api)]), settings, engine, nudged)

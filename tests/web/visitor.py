"""Who visits the pages in a test, and how the house behind them is looked at."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, select
from starlette.applications import Starlette

from dispatcher.db import clock
from dispatcher.db.tables import metadata, subscriber
from dispatcher.db.terms import ConsentKind, Language, SubscriptionState, Topic
from dispatcher.domain import consent, declarations, tokens
from dispatcher.domain.people import subscribers
from dispatcher.domain.tokens import Keyring, Link, Purpose
from dispatcher.sending import opt_in
from dispatcher.sending.house import keyring
from dispatcher.settings import Settings
from dispatcher.web import stamp
from dispatcher.web.stamp import Stamp
from tests import builders

MARIA = "maria@example.de"
NAME = "Maria Ziegelmann"
ALL_TOPICS = tuple(Topic)

# For what does not depend on the kind of database.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Visitor:
    """A browser that remembers nothing: every request stands alone."""

    def __init__(self, app: Starlette, ip: str = "192.0.2.7") -> None:
        self._app = app
        self._ip = ip

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request; redirects are not followed."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._ip, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="https://news.example.de") as client:
                return await client.request(method, path, **request)

        return asyncio.run(send())

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("GET", path, **request)

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("POST", path, **request)


@dataclass(frozen=True)
class House:
    """The application, and what stands behind it."""

    app: Starlette
    settings: Settings
    engine: Engine

    @property
    def keyring(self) -> Keyring:
        return keyring(self.settings)

    def visitor(self, ip: str = "192.0.2.7") -> Visitor:
        return Visitor(self.app, ip)

    def now(self) -> datetime:
        with self.engine.begin() as conn:
            return clock.now(conn)

    def add(self, address: str = MARIA, topics: tuple[Topic, ...] = ALL_TOPICS, language: str = "de") -> int:
        """Add somebody with current consent for these topics."""
        with self.engine.begin() as conn:
            now = clock.now(conn)
            person = builders.add_people(conn, self.keyring, [address], now, name=NAME)[address]
            for topic in topics:
                builders.agree(conn, [person], topic, now, ConsentKind.CONFIRMED)
            subscribers.set_language(conn, person, Language(language))
        return person

    def erase(self, person: int) -> None:
        with self.engine.begin() as conn:
            conn.execute(subscriber.update().where(subscriber.c.id == person).values(address=None, name=""))

    def token(self, purpose: Purpose, person: int, topic: Topic | None = None, campaign_id: int = 0) -> str:
        """Sign a link of somebody's."""
        with self.engine.begin() as conn:
            found = subscribers.by_id(conn, person)
        assert found is not None
        return tokens.sign(self.keyring, purpose, Link(found.public_id, topic, campaign_id))

    def token_of_nobody(self, purpose: Purpose) -> str:
        """Sign a link, with our own key, for an id that nobody has."""
        return tokens.sign(self.keyring, purpose, Link(bytes(8), None, 1))

    def states(self, person: int) -> dict[Topic, SubscriptionState]:
        with self.engine.begin() as conn:
            return {topic: state for topic, (state, _) in consent.standing(conn, person).items()}

    def confirmed(self, person: int) -> set[Topic]:
        return {topic for topic, state in self.states(person).items() if state is SubscriptionState.CONFIRMED}

    def rows(self, table: str) -> list[Any]:
        with self.engine.begin() as conn:
            return list(conn.execute(select(metadata.tables[table])).all())

    def everything(self) -> dict[str, list[Any]]:
        """Give every row of every table, to compare."""
        return {name: sorted(map(repr, self.rows(name))) for name in metadata.tables}

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        with self.engine.begin() as conn:
            conn.execute(insert(metadata.tables[table]), rows)

    def stamp(self, age: timedelta = timedelta(minutes=1), language: str = "de") -> str:
        """Make the stamp of a form that was handed out a while ago."""
        with self.engine.begin() as conn:
            declaration = declarations.current(conn, Language(language), clock.now(conn))
            assert declaration is not None
            return stamp.seal(self.keyring, Stamp(clock.now(conn) - age, Language(language), declaration.id))

    def form(self, **changed: Any) -> dict[str, Any]:
        """Fill in the sign-up form as a person does."""
        return {
            "address": MARIA,
            "name": "",
            "topic": ["finance-news"],
            "website": "",
            "stamp": self.stamp(),
            **changed,
        }

    def confirmation_path(self) -> str:
        """Give the path in the newest confirmation mail."""
        request = self.rows("opt_in_request")[-1]
        with self.engine.begin() as conn:
            url = opt_in.asked(conn, request.id, self.keyring, self.settings.public_url).confirm_url
        return url.removeprefix(self.settings.public_url)


def text_of(page: httpx.Response) -> str:
    """Give what a person reads on a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", re.split(r"<body[^>]*>", page.text)[-1]))).strip()


def heading(page: httpx.Response) -> str:
    """Give the one h1."""
    (found,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page.text, re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found)).replace("✓", "")).strip()


def hidden(page: httpx.Response, name: str) -> str:
    """Give the value of a hidden field."""
    (found,) = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', page.text)
    return unescape(found)

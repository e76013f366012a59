"""Who works with the console in a test, and what there is to work with."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, cached_property
from html import unescape
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, select, update
from starlette.applications import Starlette

from dispatcher.console.declare import Page
from dispatcher.console.pages import PAGES
from dispatcher.db import clock
from dispatcher.db.tables import campaign, delivery, metadata
from dispatcher.db.terms import ConsentKind, Language, RightKind, Role, Scope, SessionStage, Topic, UploadKind
from dispatcher.domain import consent, declarations, uploads
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.delivery import workers
from dispatcher.domain.imports import Instructions
from dispatcher.domain.newsletters import campaigns, news_feeds, preflight_runs, series
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.series import Plan
from dispatcher.domain.people import rights
from dispatcher.domain.programs import api_keys, webhooks
from dispatcher.domain.programs.api_keys import Wanted
from dispatcher.domain.rates import slowdowns
from dispatcher.domain.rates.slowdowns import Advice
from dispatcher.domain.rates.slowdowns import Place as Slow
from dispatcher.domain.staff import invitations, members, passwords, sessions
from dispatcher.domain.staff.members import Candidate
from dispatcher.domain.tokens import Keyring
from dispatcher.domain.uploads import Order
from dispatcher.sending import house as houses
from dispatcher.sending import newsroom, notary
from dispatcher.sending.binding import bind
from dispatcher.sending.handed_in import orders, work
from dispatcher.sending.handed_in.place import Place, shelf_of
from dispatcher.sending.house import keyring
from dispatcher.sending.preflight.findings import LETTERS, RECIPIENTS, Check, Finding, Severity
from dispatcher.sending.preflight.report import Report, store
from dispatcher.settings import Settings
from tests import builders

PASSWORD = "vier Pferde lesen Zeitung am Kanal"
FILE = """email,name,topics,consent_at,consent_source,shoe size
anna@example.com,Anna,finance-news,2026-01-31T14:05:00+01:00,form 3,38
berta@example.com,Berta,finance-news,,,39
broken,Carl,finance-news,,,40
thing@example.com,Thing,gold,,,41
"""
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@cache
def password_hash() -> str:
    """Give the hash of everybody's password; made once, for it is meant to be slow."""
    return passwords.make_hash(PASSWORD)


class Browser:
    """A browser that keeps its cookies, names its origin and fills in forms as they stand on the page."""

    def __init__(self, app: Starlette, base: str, ip: str = "192.0.2.7") -> None:
        self._app, self._base, self._ip = app, base, ip
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request to the console; redirects are not followed."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._ip, 4711), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=self._base, cookies=self.cookies) as client:
                return await client.request(method, f"/console{path}", **request)

        answer = asyncio.run(send())
        for line in answer.headers.get_list("set-cookie"):
            ((name, cookie),) = SimpleCookie(line).items()
            self.cookies[name] = cookie.value
            if cookie["max-age"] == "0":
                del self.cookies[name]
        return answer

    def get(self, path: str, **request: Any) -> httpx.Response:
        """Look at a page."""
        return self.ask("GET", path, **request)

    def post(self, path: str, data: dict[str, Any] | None = None, **request: Any) -> httpx.Response:
        """Send a form from a page of the console."""
        headers = {"origin": self._base, **request.pop("headers", {})}
        return self.ask("POST", path, data={"form_token": self.form_token, **(data or {})}, headers=headers, **request)

    def log_in(self, email: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        """Type address and password."""
        return self.post("/login", {"email": email, "password": password, **more})

    @property
    def token(self) -> str:
        """Give the session's cookie."""
        return self.cookies.get("__Host-console", self.cookies.get("console", ""))

    @property
    def form_token(self) -> str:
        """Give what the session's forms carry."""
        return sessions.form_token(self.token) if self.token else ""


@dataclass
class Office:
    """The application, and what stands behind it."""

    app: Starlette
    settings: Settings
    engine: Engine
    ids: dict[str, int] = field(default_factory=dict)

    @property
    def keyring(self) -> Keyring:
        """Give the keys."""
        return keyring(self.settings)

    def browser(self, ip: str = "192.0.2.7") -> Browser:
        """Give a browser in which nobody is logged in."""
        return Browser(self.app, self.settings.public_url, ip)

    def add(self, role: Role = Role.ADMIN, email: str = "", language: str = "de", name: str = "Anna Beispiel") -> int:
        """Add a member whose password is PASSWORD."""
        with self.engine.begin() as conn:
            email = email or f"{role}@example.de"
            member_id = members.create(conn, Candidate(email, name, role, Language(language)), clock.now(conn))
            members.set_password_hash(conn, member_id, password_hash())
        return member_id

    def browser_of(self, role: Role, language: str = "de") -> Browser:
        """Give the browser of somebody who is logged in, and who is added first."""
        return self.let_in(self.add(role, f"{role}-{language}@example.de", language))

    def let_in(self, member_id: int, stage: SessionStage = SessionStage.FULL) -> Browser:
        """Give a browser with a session of this member, without the log-in."""
        browser = self.browser()
        with self.engine.begin() as conn:
            token = sessions.begin(conn, member_id, stage, "Firefox, Linux", clock.now(conn))
        name = "__Host-console" if self.settings.public_url.startswith("https") else "console"
        browser.cookies[name] = token
        return browser

    def rows(self, table: str) -> list[Any]:
        """Give every row of a table."""
        with self.engine.begin() as conn:
            return list(conn.execute(select(metadata.tables[table])).all())

    def deeds(self) -> list[str]:
        """Give what the audit log tells, in order."""
        return [row.action for row in sorted(self.rows("audit_entry"), key=lambda row: row.id)]

    def first_link(self) -> str:
        """Give the token by which the first administrator would name themselves."""
        with self.engine.begin() as conn:
            return invitations.invite_first(conn, clock.now(conn)) or ""

    def liven(self) -> None:
        """Let one campaign be under way, one be planned and one be over; a provider be slow, a relay be away,
        a worker be silent, a checkpoint be there.
        """
        notary.make(self.engine, self.settings)
        with self.engine.begin() as conn:
            now = clock.now(conn)
            slowdowns.heed(conn, Slow("relay.example.de", "t-online"), Advice("421 4.7.0 too many"), None, now)
            workers.write(conn, builders.report("watch", now))
            workers.write(conn, builders.report("waited", now - timedelta(hours=1)))
            away = builders.away("relay.example.de", now)
            workers.write(conn, builders.report("bulk", now - timedelta(minutes=3), away, is_sending=True))
            workers.write(conn, builders.report("bulk", now, away, pid=4713, is_sending=True))
            for state, more in (
                ("sending", {"audience": 48_213, "launched_at": now}),
                ("scheduled", {"send_at": now}),
                ("sent", {"audience": 0, "launched_at": now, "finished_at": now}),
            ):
                made = builders.create_campaign(conn, now)
                conn.execute(update(campaign).where(campaign.c.id == made).values(state=state, **more))

    @cached_property
    def things(self) -> dict[str, str]:
        """Make one thing of each kind that a path can name, and give what stands for it there."""
        with self.engine.begin() as conn:
            made = builders.create_campaign(conn, clock.now(conn), content=builders.PLAIN)
        member = self.add(Role.VIEWER, "thing@example.de", name="Paul Dritter")
        self.look_over(made, member)
        subscriber = self.subscribe("thing@example.com")
        with self.engine.begin() as conn:
            hashed = address_hash(self.keyring, parse_address("thing@example.com"))
            asked = rights.enter(conn, RightKind.ERASURE, hashed, clock.now(conn) - timedelta(days=40))
            rights.enter(conn, RightKind.ACCESS, hashed, clock.now(conn))
            now = clock.now(conn)
            key, _ = api_keys.create(conn, Wanted("shop", frozenset(Scope), None, "Anna Beispiel"), now)
            url = "https://127.0.0.1/hooks"  # nothing is sent to an address inside
            endpoint, _ = webhooks.add(conn, self.keyring, url, webhooks.KINDS, "Anna Beispiel", now)
            again = Plan(
                "Marktbericht", Topic.FINANCE_NEWS, "Der Markt", recurrence("tuesday", "09:00", "Europe/Berlin")
            )
            made_series = series.create(conn, again, clock.now(conn))
            asked_at = "https://127.0.0.1:9/feed.xml"  # nor is anything asked there
            feed = newsroom.add(conn, news_feeds.Wanted(asked_at, made_series), "Anna Beispiel", now)
        made_up = {
            "member": member,
            "series": made_series,
            "feed": feed.id,
            "campaign": made,
            "subscriber": subscriber,
            "request": asked,
            "declaration": 1,
            "key": key.id,
            "endpoint": endpoint.id,
            "upload": self.hand_in(),
        }
        return {"token": "no-such-token", **{name: str(number) for name, number in made_up.items()}}

    def look_over(self, campaign_id: int, member: int) -> None:
        """Let somebody have looked a campaign over, with a finding of each weight, and be about it again."""
        found = [
            Finding(Check.PLACEHOLDERS, "left", Severity.STOP, "news.de.md:9", {"shown": "[Name]"}),
            Finding(Check.PEOPLE, "odd_names", Severity.WARN, RECIPIENTS, {"count": "2", "people": "1, 2"}),
            Finding(Check.SPAM, "off", Severity.NOTE, LETTERS, {}),
        ]  # fmt: skip
        with self.engine.begin() as conn:
            now = clock.now(conn)
            bound = bind(conn, campaigns.get(conn, campaign_id), houses.house(self.settings))
            store(conn, Report(campaign_id, now, now, bound, 48_213, tuple(found)))
            no = preflight_runs.begin(conn, campaign_id, member, now)
            assert no is not None
            preflight_runs.beat(conn, campaign_id, no, (Check.PEOPLE, 12_000, 48_213), now)

    def hand_in(self, text: str = FILE) -> int:
        """Hand in a file of people and have it looked over; give its number."""
        shelf = shelf_of(self.settings)
        arriving = shelf.begin("people.csv")
        arriving.write(text.encode())
        arrived = arriving.finish()
        how = orders.people(Instructions(columns={"email": "email"}), confirm=True)
        order = Order(UploadKind.PEOPLE, "export from the CRM", how, "Anna Beispiel")
        with self.engine.begin() as conn:
            number = uploads.enter(conn, arrived, order, clock.now(conn))
        self.work()
        return number

    def work(self) -> None:
        """Be the worker that looks over and takes in what was handed in."""
        place = Place(self.engine, self.settings, self.keyring, shelf_of(self.settings), "worker", lambda: False)
        work.work_off(place)
        work.sweep(self.engine, place.shelf)

    def subscribe(self, address: str, name: str = "Maria Muster") -> int:
        """Add somebody who agreed to one topic, asked for another and got a letter; give their number."""
        with self.engine.begin() as conn:
            now = clock.now(conn)
            words = declarations.current(conn, Language.DE, now)
            assert words is not None
            who = builders.add_people(conn, self.keyring, [address], now, name=name)[address]
            evidence = Evidence("form at the fair", "192.0.2.9", "Firefox", Language.DE, words.id)
            happened = [
                Event(who, Topic.FINANCE_NEWS, ConsentKind.REQUESTED, evidence),
                Event(who, Topic.SPECIAL_OFFERS, ConsentKind.REQUESTED, evidence),
                Event(who, Topic.FINANCE_NEWS, ConsentKind.CONFIRMED, evidence),
            ]
            *_, confirmed = consent.append(conn, happened, now)
            letter = {
                "campaign_id": builders.create_campaign(conn, now), "subscriber_id": who, "outcome": "sent", "at": now,
                "code": 250, "reply": "2.0.0 queued", "relay": "relay.example.de", "consent_event_id": confirmed,
            }  # fmt: skip
            conn.execute(insert(delivery), letter)
        return who


def path_of(page: Page, things: dict[str, str]) -> str:
    """Fill in a declared path. A kind of thing that no test knows has to be made in `Office.things`."""
    return re.sub(r"{(\w+)}", lambda found: things[found.group(1)], page.path)


def text_of(page: httpx.Response) -> str:
    """Give what a person reads on a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", re.split(r"<body[^>]*>", page.text)[-1]))).strip()


def heading(page: httpx.Response) -> str:
    """Give the one h1."""
    (found,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page.text, re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found))).strip()


def hidden(page: httpx.Response, name: str) -> str:
    """Give the value of a hidden field."""
    return unescape(re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', page.text)[0])


__all__ = ["PAGES", "PASSWORD", "Browser", "Office", "heading", "hidden", "on_sqlite", "path_of", "text_of"]

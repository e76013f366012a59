"""The preference centre in a real browser, by keyboard, with scripts switched off, on a phone and on a desk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.terms import Topic
from dispatcher.domain import tokens
from dispatcher.domain.people import subscribers
from dispatcher.domain.people.subscribers import Subscriber
from dispatcher.domain.tokens import Link, Purpose
from tests import builders
from tests.journeys.house import RunningHouse, open_house

pytestmark = pytest.mark.browser


@pytest.fixture
def running(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=1, relay_options=())


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the button or field of this name has the focus; it must be seen there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if name in {focused.inner_text(), focused.get_attribute("id")}:
            assert focused.evaluate("element => getComputedStyle(element).outlineWidth") == "3px"
            return
    raise AssertionError(f"Tab does not lead to {name}")


def press_enter(page: Page) -> None:
    with page.expect_navigation():
        page.keyboard.press("Enter")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_people_pause_and_ask_for_another_address_by_keyboard(
    browser: Browser, running: RunningHouse, engine: Engine
) -> None:
    running.start_web()
    for width, address in ((360, "maria@example.de"), (1280, "maja@example.de")):
        pause_and_ask(browser, running, subscriber_at(engine, running, address), width)


def subscriber_at(engine: Engine, running: RunningHouse, address: str) -> Subscriber:
    with engine.begin() as conn:
        now = clock.now(conn)
        who = builders.add_people(conn, running.keyring, [address], now)[address]
        builders.agree(conn, [who], Topic.FINANCE_NEWS, now)
        person = subscribers.by_id(conn, who)
    assert person is not None
    return person


def pause_and_ask(browser: Browser, running: RunningHouse, person: Subscriber, width: int) -> None:
    token = tokens.sign(running.keyring, Purpose.PREFERENCES, Link(person.public_id, None))
    context = browser.new_context(
        viewport={"width": width, "height": 740}, java_script_enabled=False, locale="de-DE",
        base_url=f"http://127.0.0.1:{running.web_port}",
    )  # fmt: skip
    page = context.new_page()
    page.goto(f"/p/{token}")
    tab_to(page, "4 Wochen")
    press_enter(page)
    assert "Pausiert bis" in page.locator("main").inner_text()
    tab_to(page, "address")
    page.keyboard.type("keine Adresse")
    press_enter(page)
    assert page.locator("#address-error").is_visible()
    page.get_by_label("Neue E-Mail-Adresse").fill(f"m.muster-{width}@example.com")
    press_enter(page)
    assert "Bitte sehen Sie in das Postfach von m***@example.de" in page.locator("main").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()

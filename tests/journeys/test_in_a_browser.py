"""Letters and pages in a real browser, on a phone and on a desk, by day and by night."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dispatcher.assets import templates
from dispatcher.compose.content import parse_content
from dispatcher.compose.freezing import freeze
from dispatcher.compose.house import House
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.delivery.recipients import Recipient
from dispatcher.sending.press import CampaignPress, Stationery
from dispatcher.web import stamp
from tests.journeys.house import RunningHouse, open_house
from tests.stage import Stage

pytestmark = pytest.mark.browser


def letter_page(topic: Topic, language: Language, house: House, stationery: Stationery) -> str:
    """Compose the sample letter of a topic as a browser shows it."""
    file = f"sample.{language}.md"
    source = (templates() / "mail" / topic / file).read_text(encoding="utf-8")
    edition = freeze(parse_content(source, file=file), topic=topic, subject="x", house=house, campaign_id=1)
    of = Stage.made_up_campaign(topic, language)
    press = CampaignPress(of, {language: edition.to_json()}, stationery)
    to = Recipient(
        1, bytes(8), "maria@example.de", "Maria Sabine Freifrau von Musterhausen", language, date(2026, 1, 1), 1
    )
    return press.page(to, datetime(2026, 11, 22, tzinfo=UTC))


def test_a_letter_needs_no_sideways_scrolling_and_has_no_tiny_print(
    browser: Browser, house: House, stationery: Stationery
) -> None:
    wrong = []
    for width in (360, 1280):
        page = browser.new_page(viewport={"width": width, "height": 800})
        for topic, language in itertools.product(Topic, Language):
            page.set_content(letter_page(topic, language, house, stationery))
            content = page.evaluate("document.documentElement.scrollWidth")
            small = page.evaluate(
                """() => [...document.querySelectorAll('a')].filter(a => a.offsetParent)
                         .filter(a => parseFloat(getComputedStyle(a).fontSize) < 14).map(a => a.textContent)"""
            )
            if content > width or small:
                wrong.append((topic, language, width, content, small))
        page.close()
    assert wrong == []


def test_a_letter_turns_dark_with_the_readers_screen(browser: Browser, house: House, stationery: Stationery) -> None:
    shown = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.set_content(letter_page(Topic.FINANCE_NEWS, Language.DE, house, stationery))
        shown.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert shown == ["rgb(251, 250, 247)", "rgb(22, 21, 15)"]


def take_a_minute(page: Page, running: RunningHouse) -> None:
    """Make the form a minute old, as it is for someone who reads what they agree to."""
    field = page.locator("[name=stamp]")
    given = stamp.read(running.keyring, field.input_value())
    assert given is not None
    older = replace(given, issued_at=given.issued_at - timedelta(minutes=1))
    field.evaluate("(element, value) => { element.value = value }", stamp.seal(running.keyring, older))


@pytest.fixture
def running(tmp_path: Path, database_url: str) -> Iterator[RunningHouse]:
    yield from open_house(tmp_path, database_url, lanes=1, relay_options=())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_person_signs_up_on_a_phone_with_scripts_switched_off(browser: Browser, running: RunningHouse) -> None:
    running.start_web()
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, java_script_enabled=False, locale="de-DE",
        base_url=f"http://127.0.0.1:{running.web_port}",
    )  # fmt: skip
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto("/")
    assert page.locator("html").get_attribute("lang") == "de"
    take_a_minute(page, running)
    page.get_by_label("E-Mail-Adresse").fill("not an address")
    page.get_by_role("button", name="Anmelden").click()
    assert page.locator("#address-error").is_visible()
    take_a_minute(page, running)
    page.get_by_label("E-Mail-Adresse").fill("maria@example.de")
    page.get_by_label("Finanznews").check()
    page.get_by_role("button", name="Anmelden").click()
    page.wait_for_load_state()
    assert "bestätigen" in page.locator("main").inner_text()
    assert [c for c in complaints if "422" not in c] == []  # the refused address, which Chromium reports
    context.close()

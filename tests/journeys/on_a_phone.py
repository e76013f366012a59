"""A recipient with a phone, in a real browser without scripts: signs up, confirms, reads, leaves, finds back."""

import email
import email.policy
from email.message import EmailMessage

from playwright.sync_api import Browser, Page, expect

from tests.journeys.house import RunningHouse, wait_for
from tests.journeys.test_in_a_browser import take_a_minute
from tests.journeys.test_one_person import links_in
from tests.relay import ScriptedRelay

WIDTH = 360


def phone(browser: Browser, house: RunningHouse) -> Page:
    """Take a phone that is set to German."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": 740}, java_script_enabled=False, locale="de-DE",
        base_url=f"http://127.0.0.1:{house.web_port}",
    )  # fmt: skip
    return context.new_page()


def sign_up_and_confirm(page: Page, house: RunningHouse, relay: ScriptedRelay, address: str) -> None:
    """Sign up for one topic, and press the button that the mail leads to."""
    page.goto("/")
    take_a_minute(page, house)
    page.get_by_label("E-Mail-Adresse").fill(address)
    page.get_by_label("Finanznews").check()
    page.get_by_role("button", name="Anmelden").click()
    wait_for(lambda: any(letter.recipient == address for letter in relay.accepted), "the mail that asks to confirm")
    follow(page, relay, address, "/c/")
    page.get_by_role("button", name="bestätigen").click()
    expect(page.locator("h1")).to_contain_text("Sie sind angemeldet")


def read_and_leave(page: Page, relay: ScriptedRelay, address: str) -> None:
    """View a letter in the browser; leave by its link with one click; find the topics one click further."""
    follow(page, relay, address, "/v/")
    expect(page.locator("body")).to_contain_text("zwei Angebote für Sie")
    follow(page, relay, address, "/u/")
    page.get_by_role("button", name="Abmelden", exact=True).click()
    expect(page.locator("h1")).to_contain_text("abgemeldet")
    page.locator("main a.button").click()
    expect(page.locator("h1")).to_have_text("Ihre Einstellungen")
    expect(page.get_by_label("Angebote")).not_to_be_checked()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH


def follow(page: Page, relay: ScriptedRelay, address: str, kind: str) -> None:
    """Open the link of this kind in the newest mail to an address."""
    raw = next(letter.raw for letter in reversed(relay.accepted) if letter.recipient == address)
    message = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
    assert isinstance(message, EmailMessage)
    page.goto(next(link for link in links_in(message) if kind in link))

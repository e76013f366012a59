"""A marketer's whole day with nothing but the console, in a real browser, from the first link to who is missing.

the first administrator -> a second person joins -> readers are imported, those who complained are barred
-> a newsletter is begun, mended, looked at, tried, looked over -> asked for by its author, released by the other
-> watched, paused, resumed to its end -> who is missing, and why
"""

import csv
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.terms import CampaignState
from dispatcher.domain.staff import invitations
from tests.journeys import on_a_phone
from tests.journeys.house import RunningHouse, stage_of
from tests.journeys.talkative import open_house_with
from tests.relay import ScriptedRelay, say

pytestmark = pytest.mark.browser

PASSWORD = "vier Pferde lesen Zeitung am Kanal"
PEOPLE = 12
GONE = "leser-3@example.com"  # the relay knows no such mailbox
LEFT = "leser-5@example.com"  # complains after the import
READER = "leser-1@example.com"
NAME = "Angebote im Advent"


@dataclass
class Worker:
    """Somebody at their own browser, with an app that shows codes."""

    page: Page
    email: str
    app: pyotp.TOTP

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()


@pytest.fixture
def relay() -> ScriptedRelay:
    return ScriptedRelay(script={("RCPT", GONE): say("550 5.1.1 no such user")})


@pytest.fixture
def house(tmp_path: Path, database_url: str, relay: ScriptedRelay) -> Iterator[RunningHouse]:
    """Give a house in which four eyes are asked for."""
    with ExitStack() as stack:
        house = open_house_with(relay, tmp_path, database_url, stack)
        house.extra |= {"DISPATCHER_FOUR_EYES": "on", "DISPATCHER_INTERNAL_HOSTS": "127.0.0.1"}
        yield house


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_newsletter_goes_from_the_first_log_in_to_the_list_of_who_is_missing(
    browser: Browser, house: RunningHouse, relay: ScriptedRelay, engine: Engine
) -> None:
    house.start("worker", "--concurrency", "1")
    house.start_web()
    stage = stage_of(house, engine)
    with engine.begin() as conn:
        first = f"/console/invitation/{invitations.invite_first(conn, clock.now(conn))}"
    anna = the_first_joins(window(browser, house), first)
    jonas = invited(anna, window(browser, house))
    log_in_again(anna)
    import_people(anna)
    make(anna, house, relay)
    release(jonas)
    number = int(jonas.page.url.rsplit("/", 1)[1])
    watch(jonas)
    jonas.click("Pausieren")
    expect(jonas.page.locator("h1")).to_have_text(f"{NAME} · pausiert")
    assert stage.status(number).state is CampaignState.PAUSED
    go_on_to_the_end(jonas)
    see_who_is_missing(anna, number)
    served = {letter.recipient for letter in relay.accepted}
    assert served == {*addresses(), anna.email} - {GONE, LEFT}
    reader = on_a_phone.phone(browser, house)
    on_a_phone.read_and_leave(reader, relay, READER)
    on_a_phone.sign_up_and_confirm(reader, house, relay, "neu@example.com")
    for page in (anna.page, jonas.page, reader):
        page.context.close()


def addresses() -> set[str]:
    return {f"leser-{number}@example.com" for number in range(PEOPLE)}


def import_people(by: Worker) -> None:
    """Let people come in with proof of their consent, and those who complained be written to no more."""
    proof = "de,special-offers,2025-03-04T10:12:45+01:00,form 3"
    rows = ["email,name,language,topics,consent_at,consent_source"]
    rows += [f"{address},Maria Muster,{proof}" for address in sorted(addresses())]
    by.follow("Empfänger")
    by.follow("Importe")
    by.follow("Datei importieren")
    hand_in(by, "people.csv", "\n".join(rows), f"{PEOPLE} Personen importieren")
    by.follow("Importe")
    by.follow("Nie anschreiben")
    by.follow("Liste importieren")
    hand_in(by, "complained.txt", LEFT, "Eine Adresse sperren")


def hand_in(by: Worker, name: str, text: str, decision: str) -> None:
    """Hand a file in; see what would become of it; say that it is to be so."""
    by.page.get_by_label(re.compile("Woher komm")).fill("altes System, November")
    by.page.get_by_label("Datei", exact=True).set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
    )
    by.click("Prüfen")
    by.page.get_by_role("button", name=decision).click(timeout=60_000)
    expect(by.page.locator("h1")).to_contain_text("importiert", timeout=60_000)
    expect(by.page.locator("main")).to_contain_text("auf das Wort von Anna Beispiel", timeout=60_000)


def window(browser: Browser, house: RunningHouse) -> Page:
    """Open a browser of somebody's own on the console; what a page complains about fails the test."""
    context = browser.new_context(locale="de-DE", base_url=f"http://127.0.0.1:{house.web_port}")
    context.set_default_timeout(20_000)
    return context.new_page()


def the_first_joins(page: Page, link: str) -> Worker:
    page.goto(link)
    page.get_by_label("Name").fill("Anna Beispiel")
    page.get_by_label("E-Mail-Adresse").fill("anna@example.de")
    return joined(page, "anna@example.de")


def joined(page: Page, email: str) -> Worker:
    """Set the password and a second factor, as the pages ask."""
    page.get_by_label("Neues Passwort").fill(PASSWORD)
    page.get_by_label("Noch einmal").fill(PASSWORD)
    page.get_by_role("button", name="Passwort setzen").click()
    worker = Worker(page, email, pyotp.TOTP(page.locator("code.secret").inner_text()))
    page.get_by_label("Code").fill(worker.app.now())
    page.get_by_role("button").last.click()
    expect(page.locator("ul.codes li")).to_have_count(10)
    page.locator("main a.button").click()
    expect(page.locator("h1")).to_have_text("Übersicht")
    return worker


def invited(by: Worker, page: Page) -> Worker:
    """Invite a second person, who opens the link in a browser of their own."""
    by.follow("Mitarbeiter")
    by.follow("Einladen")
    by.page.get_by_label("Name").fill("Jonas Winter")
    by.page.get_by_label("E-Mail-Adresse").fill("jonas@example.de")
    by.page.get_by_label("Versand", exact=True).check()
    by.click("Einladen")
    page.goto(by.page.get_by_label("Link").input_value())
    return joined(page, "jonas@example.de")


def log_in_again(worker: Worker) -> None:
    """Log out, and in again with the app's next code: one that was used is good no more."""
    worker.click("Abmelden")
    worker.page.get_by_label("E-Mail-Adresse").fill(worker.email)
    worker.page.get_by_label("Passwort").fill(PASSWORD)
    worker.click("Anmelden")
    worker.page.get_by_label("Code").fill(worker.app.at(datetime.now(UTC) + timedelta(seconds=30)))
    worker.click("Weiter")
    expect(worker.page.locator("h1")).to_have_text("Übersicht")


def make(by: Worker, house: RunningHouse, relay: ScriptedRelay) -> None:
    """Make a newsletter, up to where a second person is needed."""
    begin(by)
    write(by, house)
    look(by)
    try_out(by, relay)
    look_over_and_mend(by)
    ask_for_release(by)


def begin(by: Worker) -> None:
    """Begin with the sample of a topic, in German."""
    by.follow("Kampagnen")
    by.follow("Neuer Newsletter")
    by.page.get_by_label("Angebote", exact=True).check()
    by.page.get_by_label("Ihr Name dafür").fill(NAME)
    by.page.get_by_label("Englisch").uncheck()
    by.click("Beginnen")
    expect(by.page.locator("h1")).to_have_text(f"{NAME} · Entwurf")


def write(by: Worker, house: RunningHouse) -> None:
    """Replace what is not ours; a price in words is refused beside its field, and nothing is lost."""
    letter = by.page.locator("details.letter")
    letter.get_by_label("Text", exact=True).first.fill("{{ greeting }},\n\nzwei Angebote für Sie, [Vorname].")
    for link in letter.get_by_label("Link", exact=True).all():
        link.fill(f"http://127.0.0.1:{house.web_port}/")
    for day in letter.get_by_label("Gültig bis").all():
        day.fill(f"{datetime.now(UTC) + timedelta(days=7):%Y-%m-%d}")
    letter.get_by_label("Stand").fill(f"{datetime.now(UTC):%Y-%m-%d}")
    by.page.get_by_label("Höchstens Briefe pro Minute").fill("60")
    price = letter.get_by_label("Preis", exact=True).first
    price.fill("viel")
    by.click("Speichern")
    expect(by.page.get_by_role("alert")).to_contain_text("nichts von Ihrem Text ist verloren")
    expect(price).to_have_attribute("aria-invalid", "true")
    expect(by.page.locator(".field.wrong .error")).to_be_visible()
    price.fill("489,00")
    by.click("Speichern und ansehen")


def look(by: Worker) -> None:
    """See it as a real reader does: at a desk, on a phone, by night, as plain text."""
    expect(by.page.locator("h1")).to_have_text(f"{NAME} · Vorschau")
    by.follow("Der erste wirkliche Leser")
    expect(by.page.locator("section.reader")).to_contain_text("Maria Muster, leser-")
    for view, background in (("Telefon", "rgb(251, 250, 247)"), ("Dunkel", "rgb(22, 21, 15)")):
        by.follow(view)
        letter = by.page.frame_locator("iframe.letter-frame").locator("body")
        expect(letter).to_contain_text("Guten Tag Maria Muster")
        expect(letter).to_have_css("background-color", background)
    by.follow("Nur Text")
    expect(by.page.locator("pre.paper")).to_contain_text("Guten Tag Maria Muster")


def try_out(by: Worker, relay: ScriptedRelay) -> None:
    """Have a test copy sent to oneself."""
    by.click("Testexemplar an mich senden")
    expect(by.page.get_by_role("status")).to_contain_text("unterwegs")
    (letter,) = relay.accepted
    assert letter.recipient == by.email
    assert message_from_bytes(letter.raw, policy=policy.default)["Subject"].startswith("[Test]")


def look_over_and_mend(by: Worker) -> None:
    """Let it be looked over; what was left between brackets stops it; mend that, and nothing does."""
    by.follow("Weiter zur Durchsicht")
    by.click("Durchsehen")
    expect(by.page.locator("main")).to_contain_text("Etwas hält die Kampagne auf.", timeout=60_000)
    expect(by.page.locator("li.stop")).to_contain_text("[Vorname]")
    by.follow("Im Entwurf beheben")
    text = by.page.locator("details.letter").get_by_label("Text", exact=True).first
    text.fill(text.input_value().replace(", [Vorname]", ""))
    by.click("Speichern und ansehen")
    by.follow("Weiter zur Durchsicht")
    by.click("Noch einmal durchsehen")
    expect(by.page.locator("main")).to_contain_text("Nichts hält sie auf.", timeout=60_000)


def ask_for_release(author: Worker) -> None:
    """Ask: an author's own eyes are not the second ones."""
    author.follow("Weiter zur Freigabe")
    expect(author.page.locator("main")).to_contain_text("Sie haben diese Fassung geschrieben.")
    author.page.get_by_label("Sofort").check()
    author.click("Um Freigabe bitten")
    expect(author.page.get_by_role("status").first).to_contain_text("Die Bitte um Freigabe")


def release(by: Worker) -> None:
    """Find what was asked for on the first page, and send it to the number of people that the button names."""
    by.follow("Übersicht")
    by.follow(NAME)
    expect(by.page.get_by_role("status").first).to_contain_text("Anna Beispiel bittet um Freigabe")
    by.follow("Freigeben")
    expect(by.page.get_by_label("Sofort")).to_be_checked()
    by.click(f"An {PEOPLE - 1} Empfänger senden")


def watch(by: Worker) -> None:
    """See the figures grow on a page that nobody loads anew."""
    expect(by.page.locator("h1")).to_have_text(f"{NAME} · sendet", timeout=60_000)
    by.page.evaluate("window.isTheSamePage = true")
    sent = by.page.locator("dl.parts dd").first
    before = sent.inner_text()
    expect(sent).not_to_have_text(before, timeout=20_000)
    assert by.page.evaluate("window.isTheSamePage")


def go_on_to_the_end(by: Worker) -> None:
    """Resume, now as fast as can be, and see it end."""
    by.click("Weiter senden")
    by.page.get_by_label("Briefe pro Minute").fill("")
    by.click("Tempo setzen")
    expect(by.page.locator("h1")).to_have_text(f"{NAME} · gesendet", timeout=60_000)


def see_who_is_missing(by: Worker, number: int) -> None:
    """See who did not get it and why, and take the list along."""
    by.page.goto(f"/console/campaigns/{number}")
    by.follow("Wer es nicht bekommen hat, und warum")
    expect(by.page.locator("td", has_text=GONE)).to_be_visible()
    with by.page.expect_download() as coming:
        by.click("Als CSV holen")
    with coming.value.path().open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    assert {row[0]: row[1] for row in rows} == {GONE: "fehlgeschlagen", LEFT: "zurückgehalten"}
    assert "550 5.1.1" in next(row[3] for row in rows if row[0] == GONE)

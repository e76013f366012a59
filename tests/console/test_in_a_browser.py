"""Every page of the console in a real browser: on a phone and on a desk, by day and by night, for eyes and for ears."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from dispatcher.console import live
from dispatcher.console.declare import ANYONE, Look
from dispatcher.console.declare import Page as Declared
from dispatcher.console.signed import ASKED
from dispatcher.db import clock
from dispatcher.db.terms import Role, SessionStage
from dispatcher.domain.audience import filters
from dispatcher.domain.staff import audit, sessions
from dispatcher.domain.staff.audit import Deed
from tests import builders
from tests.console.office import PAGES, PASSWORD, Office, on_sqlite, path_of
from tests.console.serving import serving

pytestmark = [pytest.mark.browser, on_sqlite]

AXE = Axe().axe_script
# What lies in a frame is a letter, and runs no script: not axe's either, which would complain there.
FULL = {"resultTypes": ["violations"], "iframes": False}
COLOURS = {**FULL, "runOnly": ["color-contrast", "link-in-text-block"]}
# What width and colours may change where the same elements are to be seen; axe's other rules read the document alone.
LOOKS = {**FULL, "runOnly": [*COLOURS["runOnly"], "scrollable-region-focusable", "target-size"]}
# axe looks by the first rules where the same is to be seen as before, and by the others where something else is.
LOOK = """async ([before, rules, others]) => {
  const wholly = {visibilityProperty: true, opacityProperty: true};
  const shown = [...document.body.querySelectorAll("*")].map(it => Number(it.checkVisibility(wholly))).join("");
  const found = (await axe.run(shown === before ? rules : others)).violations;
  const nodes = it => it.nodes.slice(0, 3).map(node => node.html.slice(0, 120));
  return [document.documentElement.scrollWidth, shown, found.map(it => [it.id, nodes(it)])];
}"""
PHONE = ViewportSize(width=360, height=800)
DESK = ViewportSize(width=1280, height=800)
SHARES = 4  # of one walk, for as many processes

# A letter in its frame is no page: tests/compose looks at letters. What is for anyone is looked at by itself.
WALK = [
    page
    for page in PAGES
    if isinstance(page, Look)
    and page.template != ""
    and page.admits is not ANYONE
    and not page.path.endswith("/preview/letter")
]


@pytest.fixture
def served(office_of: Callable[..., Office]) -> Iterator[Office]:
    with serving(office_of) as office:
        yield office


def window(browser: Browser, office: Office, token: str) -> BrowserContext:
    """Open a window in which somebody is logged in."""
    context = browser.new_context(viewport=DESK, locale="de")
    context.add_init_script(AXE)
    if token:
        let_in(context, office, token)
    return context


def let_in(context: BrowserContext, office: Office, token: str) -> None:
    """Let a window go on with this session."""
    context.add_cookies([{"name": "console", "value": token, "url": office.settings.public_url}])


def stage_of(page: Declared) -> SessionStage:
    return page.admits if isinstance(page.admits, SessionStage) else SessionStage.FULL


@pytest.mark.parametrize("share", range(SHARES))
def test_every_page_fits_is_silent_and_axe_finds_nothing(browser: Browser, served: Office, share: int) -> None:
    things, who = served.things, served.add(Role.ADMIN)
    served.liven()
    wrong: list[str] = []
    context = window(browser, served, "")  # one for all: a window of its own starts three processes
    page = context.new_page()
    page.on("console", lambda message: wrong.append(f"said: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"said: {error}"))
    for stage in SessionStage:
        let_in(context, served, served.let_in(who, stage).token)
        for declared in (it for it in WALK[share::SHARES] if stage_of(it) is stage):
            page.goto(f"{served.settings.public_url}/console{path_of(declared, things)}")
            wrong += [f"{declared.path}: {what}" for what in problems(page)]
    context.close()
    assert wrong == []


def test_pages_for_anyone_fit_and_axe_finds_nothing(browser: Browser, served: Office) -> None:
    context = window(browser, served, "")
    page = context.new_page()
    wrong = []
    invitation = f"/invitation/{served.first_link()}"
    for path, language in product(("/login", invitation, "/nothing"), ("de", "en")):
        page.goto(f"{served.settings.public_url}/console{path}?lang={language}")
        expect(page.locator("html")).to_have_attribute("lang", language)
        wrong += [f"{path}, {language}: {what}" for what in problems(page)]
    context.close()
    assert wrong == []


def problems(page: Page) -> Iterator[str]:
    """Give what is wrong with the page as it stands: too wide on a desk or a phone, or anything that axe finds, on a
    desk by day and on a phone by night. What only a phone shows is looked at by day, too.

    A page is asked for once; its words are German, which are the longer ones.
    """
    on_a_desk, found = seen(page, DESK, "", FULL)
    yield from found
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    on_a_phone, found = seen(page, PHONE, on_a_desk, LOOKS)
    yield from found
    page.emulate_media(color_scheme="light")
    if on_a_phone != on_a_desk:
        yield from seen(page, PHONE, on_a_phone, COLOURS)[1]
    page.set_viewport_size(DESK)


def seen(page: Page, size: ViewportSize, before: str, rules: dict[str, Any]) -> tuple[str, list[str]]:
    """Give which elements are to be seen, and what is wrong by these rules; by all, unless the same are as before."""
    width, shown, found = page.evaluate(LOOK, [before, rules, FULL])
    wide = [f"{size}: {width} wide"] * (width > size["width"])
    return shown, [*wide, *(f"{size}: {rule}: {nodes}" for rule, nodes in found)]


def test_somebody_logs_in_by_keyboard_and_sees_the_overview(browser: Browser, served: Office) -> None:
    served.add(Role.VIEWER, "vera@example.de", name="Vera Schau")
    context = window(browser, served, "")
    page = context.new_page()
    page.goto(f"{served.settings.public_url}/console/audit")
    page.get_by_label("E-Mail-Adresse").fill("vera@example.de")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Das darf Ihre Rolle nicht").wait_for()
    page.get_by_role("link", name="Zur Übersicht").click()
    assert page.locator("h1").inner_text() == "Übersicht"
    assert page.get_by_role("navigation").get_by_role("link").all_inner_texts() == [
        "Übersicht",
        "Kampagnen",
        "Einwilligungen",
        "Zustand",
    ]
    page.get_by_role("button", name="Abmelden").click()
    assert "Sie sind abgemeldet." in page.locator("main").inner_text()
    context.close()


def test_the_overview_renews_itself_and_leads_to_the_log_in_when_the_session_ends(
    browser: Browser, served: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.3)
    who, wanted = served.add(Role.SENDER, name="Berta Beispiel"), int(served.things["campaign"])
    context = window(browser, served, served.let_in(who).token)
    page = context.new_page()
    page.goto(f"{served.settings.public_url}/console/")
    expect(page.locator("main")).to_contain_text("Gerade wird nichts gesendet.")
    expect(page.get_by_role("heading", name="Wartet auf Freigabe")).to_have_count(0)
    served.liven()
    with served.engine.begin() as conn:
        facts = {"version": 1, "how": "at", "date": "2030-01-07", "time": "09:00", "zone": "Europe/Berlin"}
        audit.record(conn, audit.member(who), Deed(ASKED, "campaign", wanted, facts), clock.now(conn))
    expect(page.get_by_label("Läuft gerade")).to_contain_text("48.213")
    asked = page.get_by_label("Wartet auf Freigabe")
    expect(asked).to_contain_text("An 48.213 Empfänger · am 7. Jan. 2030, 09:00, Zone Europe/Berlin")
    expect(asked).to_contain_text("Berta Beispiel")
    assert list(problems(page)) == []
    with served.engine.begin() as conn:
        sessions.end_all(conn, who)
    expect(page.locator("h1")).to_have_text("Anmelden")
    context.close()


def test_a_file_is_handed_in_looked_over_and_goes_on_when_the_browser_is_closed(
    browser: Browser, served: Office
) -> None:
    who = served.add(Role.ADMIN)
    context = window(browser, served, served.let_in(who).token)
    page = context.new_page()
    page.goto(f"{served.settings.public_url}/console/subscribers/imports/new")
    page.get_by_label("Woher kommen diese Menschen?").fill("Export aus dem CRM")
    row = b"email,topics,consent_at,consent_source\nanna@example.de,finance-news,2026-01-31T14:05:00+01:00,form 3\n"
    page.get_by_label("Datei", exact=True).set_input_files({"name": "crm.csv", "mimeType": "text/csv", "buffer": row})
    page.get_by_role("button", name="Prüfen").click()
    expect(page.locator("h1")).to_have_text("crm.csv · wird geprüft")
    served.work()  # the page hears of it by itself
    expect(page.locator("h1")).to_have_text("crm.csv · wartet auf Sie")
    assert list(problems(page)) == []
    page.get_by_role("button", name="Eine Person importieren").click()
    expect(page.locator("h1")).to_have_text("crm.csv · wird importiert")
    assert list(problems(page)) == []
    place = page.url
    context.close()
    served.work()
    context = window(browser, served, served.let_in(who).token)
    page = context.new_page()
    page.goto(place)
    expect(page.locator("h1")).to_have_text("crm.csv · importiert")
    context.close()


def test_the_count_of_recipients_follows_what_is_ticked(browser: Browser, served: Office) -> None:
    served.subscribe("anna@example.de")
    with served.engine.begin() as conn:
        number = builders.create_campaign(conn, clock.now(conn), filter=filters.parse(["name=known"]))
    context = window(browser, served, served.let_in(served.add(Role.EDITOR)).token)
    page = context.new_page()
    page.set_viewport_size(PHONE)
    page.goto(f"{served.settings.public_url}/console/campaigns/{number}/audience")
    counted = page.get_by_role("status")
    expect(counted).to_contain_text("1 von 1 Menschen")
    for condition in ("Sprache", "Domain der Adresse", "Eingewilligt seit", "Früherer Newsletter"):
        page.get_by_label("Weitere Bedingung").select_option(condition)
        page.get_by_role("button", name="Hinzufügen").click()
    assert list(problems(page)) == []
    for condition in ("Früherer Newsletter", "Eingewilligt seit", "Domain der Adresse"):
        page.get_by_role("button", name=f"Entfernen {condition}").click()
    page.get_by_label("Englisch").check()
    expect(counted).to_contain_text("0 von 1 Menschen")
    page.get_by_label("Wie es gemeint ist").last.select_option("liest nicht")
    expect(counted).to_contain_text("1 von 1 Menschen")
    context.close()

"""For whom a newsletter is, at the console: put together row by row without a script, counted, saved, told."""

import re
from typing import Any

import httpx
from sqlalchemy import update

from dispatcher.db import clock
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import Role
from dispatcher.domain.audience import filters
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign
from tests import builders
from tests.console.office import Browser, Office, on_sqlite, text_of


def _draft(office: Office, *only: str) -> int:
    with office.engine.begin() as conn:
        return builders.create_campaign(conn, clock.now(conn), filter=filters.parse(only))


def _get(office: Office, number: int) -> Campaign:
    with office.engine.begin() as conn:
        return campaigns.get(conn, number)


def _people(office: Office) -> None:
    """Three who agreed, one of whom reads English."""
    ids = [office.subscribe(f"p{n}@example.{domain}") for n, domain in enumerate(("de", "de", "com"))]
    with office.engine.begin() as conn:
        conn.execute(update(subscriber).where(subscriber.c.id == ids[2]).values(language="en"))


def _rows(*rows: tuple[str, str, list[str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {"rows": [str(n) for n in range(len(rows))]}
    for n, (field, way, values) in enumerate(rows):
        fields |= {f"{n}.field": field, f"{n}.way": way, f"{n}.value": values}
    return fields


def _counted(page: httpx.Response) -> str:
    (found,) = re.findall(r'<p class="lead">(.*?)</p>', page.text)
    return str(found)


def _post(browser: Browser, number: int, do: str, version: int = 1, **fields: Any) -> httpx.Response:
    said = {"do": do, "version": str(version), **fields}
    return browser.post(f"/campaigns/{number}/audience", said)


@on_sqlite
def test_a_filter_is_put_together_row_by_row_counted_and_saved(office: Office) -> None:
    _people(office)
    number, browser = _draft(office), office.browser_of(Role.EDITOR, "en")
    page = browser.get(f"/campaigns/{number}/audience")
    assert _counted(page) == "3 of 3 people"
    page = _post(browser, number, "add", more="language")
    assert page.status_code == 200
    assert 'name="0.field" value="language"' in page.text
    assert "Please fill" not in page.text
    page = _post(browser, number, "count", **_rows(("language", "without", ["en"])))
    assert _counted(page) == "2 of 3 people"
    both = (("language", "without", ["en"]), ("domain", "only", ["example.com, @example.de"]))
    page = _post(browser, number, "remove 0", **_rows(*both))
    assert _counted(page) == "3 of 3 people"
    assert 'value="example.com, @example.de"' in page.text.replace("example.com, @", "example.com, @")
    assert _post(browser, number, "save", **_rows(*both)).status_code == 303
    of = _get(office, number)
    assert of.filter == filters.parse(["domain=example.de,example.com"], ["language=en"])
    assert of.version == 2
    page = browser.get(f"/campaigns/{number}/audience")
    assert _counted(page) == "2 of 3 people"
    assert "does not read English" in text_of(browser.get(f"/campaigns/{number}"))
    assert "To 2 of 3 people: address at example.com or example.de; does not read English." in text_of(
        browser.get(f"/campaigns/{number}/release")
    )


@on_sqlite
def test_what_is_wrong_is_said_at_its_row_and_nothing_is_saved(office: Office) -> None:
    _people(office)
    number, browser = _draft(office), office.browser_of(Role.EDITOR)
    wrong = (("language", "only", []), ("agreed-since", "only", ["2999-01-01"]), ("domain", "only", ["kein Wort!"]))
    page = _post(browser, number, "save", **_rows(*wrong))
    assert page.status_code == 422
    for row, key in ((0, "Bitte füllen Sie dies aus"), (2, "Das lässt sich nicht lesen")):
        assert key in re.findall(rf'id="row-{row}-error">(.*?)</p>', page.text, re.DOTALL)[0]
    page = _post(browser, number, "save", **_rows(wrong[1]))
    assert "kommt erst noch" in re.findall(r'id="row-0-error">(.*?)</p>', page.text, re.DOTALL)[0]
    page = _post(browser, number, "count", **_rows(("name", "only", ["known"]), ("domain", "only", ["example.org"])))
    assert "Niemand bleibt übrig" in text_of(page)
    assert not _get(office, number).filter


@on_sqlite
def test_of_two_who_save_the_second_is_told_and_keeps_what_was_chosen(office: Office) -> None:
    number, browser = _draft(office, "language=de"), office.browser_of(Role.EDITOR, "en")
    assert _post(browser, number, "save", **_rows(("name", "only", ["known"]))).status_code == 303
    page = _post(browser, number, "save", **_rows(("consent", "only", ["imported"])))
    assert page.status_code == 422
    assert "As saved: name is known." in text_of(page)
    assert 'value="imported" id="0.imported" checked' in page.text
    assert _get(office, number).filter == filters.parse(["name=known"])


@on_sqlite
def test_a_script_asks_for_the_count_alone_and_what_is_released_is_only_told(office: Office) -> None:
    _people(office)
    number, browser = _draft(office, "language=de"), office.browser_of(Role.EDITOR, "en")
    asked = browser.get(f"/campaigns/{number}/audience/count", params=_rows(("language", "only", ["en"])))
    assert _counted(asked) == "1 of 3 people"
    assert "<html" not in asked.text
    with office.engine.begin() as conn:
        campaigns.cancel(conn, number, clock.now(conn))
    page = browser.get(f"/campaigns/{number}/audience")
    assert "As saved: reads German." in text_of(page)
    assert "<fieldset" not in page.text
    assert _post(browser, number, "save", **_rows(("name", "only", ["known"]))).status_code == 422
    assert office.browser_of(Role.VIEWER).get(f"/campaigns/{number}/audience").status_code == 403

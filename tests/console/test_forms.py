"""Where a form has to come from, what every answer carries, and that what is refused changes nothing."""

import re
from collections.abc import Callable
from itertools import cycle

import pytest
from sqlalchemy.exc import DBAPIError

from dispatcher.console.declare import Act, Live
from dispatcher.db import clock
from dispatcher.db.tables import audit_entry, metadata
from dispatcher.db.terms import Role
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Deed, Wanted
from dispatcher.domain.staff.roles import Permission
from tests.console.office import PAGES, Office, heading, on_sqlite, path_of, text_of

ACTS = [page for page in PAGES if isinstance(page, Act)]
# One guard stands before all acts, so each is tried with one of these, in turn.
ELSEWHERE = ("https://evil.example", "null", "http://news.example.de", None)
NOT_OURS = ("", "x", "ä", "0" * 64)
LETTER = "/campaigns/{campaign}/preview/letter"  # no page of ours: test_preview.py says what it may


def everything(office: Office) -> dict[str, list[str]]:
    return {name: sorted(map(repr, office.rows(name))) for name in metadata.tables}


@on_sqlite
def test_no_form_from_elsewhere_does_anything(office: Office) -> None:
    things, browser = office.things, office.browser_of(Role.ADMIN)
    before = everything(office)
    for page, origin in zip(ACTS, cycle(ELSEWHERE)):
        headers = {} if origin is None else {"origin": origin}
        data = {"form_token": browser.form_token, "role": "viewer"}
        answer = browser.ask("POST", path_of(page, things), data=data, headers=headers)
        assert answer.status_code == 403, (page.path, origin)
        assert heading(answer) == "Diese Anfrage kam nicht von der Konsole"
    assert everything(office) == before


@on_sqlite
def test_no_form_without_the_sessions_own_token_does_anything(office: Office) -> None:
    things, browser = office.things, office.browser_of(Role.ADMIN)
    before = everything(office)
    permitted = [page for page in ACTS if isinstance(page.admits, Permission)]
    for page, token in zip(permitted, cycle(NOT_OURS)):
        answer = browser.post(path_of(page, things), {"form_token": token, "role": "viewer"})
        assert (answer.status_code, heading(answer)) == (403, "Diese Seite war zu lange offen"), (page.path, token)
    assert everything(office) == before


@on_sqlite
def test_a_form_of_an_older_browser_is_known_by_where_it_was_sent_from(office: Office) -> None:
    browser = office.browser_of(Role.VIEWER)
    data = {"form_token": browser.form_token, "name": "Neuer Name", "language": "de"}
    sent = browser.ask("POST", "/profile", data=data, headers={"sec-fetch-site": "same-origin"})
    assert sent.status_code == 303


@on_sqlite
def test_every_answer_forbids_foreign_scripts_frames_and_copies(office: Office) -> None:
    things, browser = office.things, office.browser_of(Role.ADMIN)
    for page in PAGES:
        if isinstance(page, Live) or page.path == LETTER:
            continue
        headers = (browser.post if isinstance(page, Act) else browser.get)(path_of(page, things)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers["referrer-policy"] == "same-origin"


@on_sqlite
def test_no_page_holds_a_style_or_a_script_of_its_own_or_names_another_host(office: Office) -> None:
    things, browser = office.things, office.browser_of(Role.ADMIN)
    for page in PAGES:
        if isinstance(page, Act | Live) or page.path == LETTER:
            continue
        source = re.sub(r"<textarea.*?</textarea>", "", browser.get(path_of(page, things)).text, flags=re.DOTALL)
        for ours in (office.settings.public_url, "https://127.0.0.1/hooks"):
            source = source.replace(ours, "")
        assert "style=" not in source, page.path
        assert source.count("<script") <= 1, page.path
        assert re.findall(r'(?:src|href|action)="http[^"]*|url\(', source) == [], page.path


@on_sqlite
def test_cookies_are_bound_to_the_host_and_out_of_reach_of_scripts(office: Office) -> None:
    office.add(Role.VIEWER, "vera@example.de")
    cookies = office.browser().log_in("vera@example.de").headers.get_list("set-cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"__Host-console", "__Host-console-known"}
    for cookie in cookies:
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


@on_sqlite
def test_on_this_machine_without_https_the_cookie_works_too(office_of: Callable[..., Office]) -> None:
    office = office_of(public_url="http://127.0.0.1:8080")
    office.add(Role.VIEWER, "vera@example.de")
    browser = office.browser()
    cookie = browser.log_in("vera@example.de").headers["set-cookie"]
    assert cookie.startswith("console=")
    assert "Secure" not in cookie
    assert browser.get("/profile").status_code == 200
    local = browser.ask(
        "POST", "/logout", headers={"origin": "http://localhost:8080", "host": "localhost:8080"}, data={}
    )
    assert local.status_code == 303


@on_sqlite
def test_what_does_not_exist_is_said_in_the_consoles_look(office: Office) -> None:
    for browser in (office.browser(), office.browser_of(Role.ADMIN)):
        for path in ("/nothing", "/people/4711", "/people/x", "/people/99999999999999999999999", "/invitation/x"):
            answer = browser.get(path)
            if answer.status_code == 303:
                continue
            assert (answer.status_code, heading(answer)) == (404, "Das gibt es nicht"), path
    assert office.browser_of(Role.VIEWER).get("/people").status_code == 403


@pytest.mark.both_databases
def test_looking_changes_nothing(office: Office) -> None:
    things, browser = office.things, office.browser_of(Role.ADMIN)
    before = everything(office)
    for page in PAGES:
        if not isinstance(page, Act | Live):  # a part that renews itself is a stream without an end
            browser.get(path_of(page, things))
            browser.ask("HEAD", path_of(page, things))
    assert everything(office) == before


@pytest.mark.both_databases
def test_the_last_administrator_stays(office: Office) -> None:
    anna, paul = office.add(Role.ADMIN, "anna@example.de"), office.add(Role.ADMIN, "paul@example.de")
    browser = office.let_in(anna)
    assert "ein anderer Administrator" in text_of(browser.post(f"/people/{anna}/off"))
    assert browser.post(f"/people/{paul}/off").status_code == 303
    other = office.add(Role.ADMIN, "ida@example.de")
    assert office.let_in(other).post(f"/people/{anna}/role", {"role": "viewer"}).status_code == 303
    assert [row.role for row in office.rows("staff_member")].count("admin") == 2
    with office.engine.begin() as conn:
        entries = audit.newest(conn, Wanted(action="people.role"), 10)
    assert [(entry.about_id, dict(entry.facts)) for entry in entries] == [(anna, {"role": "viewer", "before": "admin"})]


@pytest.mark.both_databases
def test_the_database_itself_refuses_to_change_what_was_done(office: Office) -> None:
    office.browser_of(Role.VIEWER)
    with office.engine.begin() as conn:
        audit.record(conn, audit.operator("root"), Deed("people.invited"), clock.now(conn))
    for change in (audit_entry.update().values(action="x"), audit_entry.delete()):
        with pytest.raises(DBAPIError, match="never changed"), office.engine.begin() as conn:
            conn.execute(change)


@on_sqlite
def test_the_audit_log_is_read_page_by_page_in_both_directions(office: Office) -> None:
    browser = office.browser_of(Role.ADMIN)
    with office.engine.begin() as conn:
        for number in range(120):
            audit.record(conn, audit.operator("root"), Deed("people.off", "member", number), clock.now(conn))
    page, seen = browser.get("/audit?action=people.off"), []
    for link in ("older", "older", "newer", "newer"):
        seen.append(page.text.count("<tr>") - 1)
        rel = {"older": "next", "newer": "prev"}[link]
        path = page.text.partition(f'rel="{rel}" href="')[2].partition('"')[0].replace("&amp;", "&")
        page = browser.get(f"/audit{path}")
    assert seen == [50, 50, 20, 50]
    assert 'rel="prev"' not in page.text
    assert page.text.count("<tr>") - 1 == 50

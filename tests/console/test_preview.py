"""A letter looked at before it goes: through whose eyes, in what frame; and the test copy to oneself."""

import re
from collections.abc import Callable
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from sqlalchemy import update

from dispatcher.console.inspection import inert
from dispatcher.db import clock
from dispatcher.db.tables import campaign
from dispatcher.db.terms import Language, Role, Topic
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.staff import audit
from dispatcher.domain.staff.audit import Deed
from tests import builders
from tests.console.office import Office, on_sqlite, text_of
from tests.relay import ScriptedRelay, say

ENGLISH = builders.CONTENT.replace("language: de", "language: en\nsubject: Gold holds").replace(
    "Gold hält sich", "Gold"
)


@pytest.fixture
def draft(office: Office) -> str:
    return enter(office)


def enter(office: Office) -> str:
    with office.engine.begin() as conn:
        number = builders.create_campaign(conn, clock.now(conn))
        campaigns.write_contents(
            conn, number, {Language.DE: ("a.de.md", builders.CONTENT), Language.EN: ("a.en.md", ENGLISH)}
        )
    return f"/campaigns/{number}/preview"


def readers(office: Office) -> dict[str, int]:
    """Add three who agreed, and one who did not."""
    with office.engine.begin() as conn:
        now = clock.now(conn)
        names = ("anna@example.com", "bert@example.com", "nobody@example.com", "carl@example.com")
        ids = {name: builders.add_people(conn, office.keyring, [name], now, name=name[:4])[name] for name in names}
        builders.agree(conn, [ids[n] for n in names if n != "nobody@example.com"], Topic.FINANCE_NEWS, now)
    return ids


@on_sqlite
def test_each_view_shows_the_letter_as_a_real_reader_gets_it_in_either_language(office: Office, draft: str) -> None:
    bert = readers(office)["bert@example.com"]
    browser = office.browser_of(Role.EDITOR)
    for view, says in (
        ("desktop", "Betreff Gold hält sich"),
        ("text", "Guten Tag bert,"),
        ("source", "To: bert <bert@example.com>"),
        ("headers", "List-Unsubscribe-Post List-Unsubscribe=One-Click"),
        ("size", "von höchstens 100.000"),
    ):
        assert says in text_of(browser.get(f"{draft}?reader={bert}&view={view}")), view
    assert "Betreff Gold holds" in text_of(browser.get(f"{draft}?reader={bert}&language=en&view=phone"))
    letter = browser.get(f"{draft}/letter?reader={bert}").text
    assert ("Guten Tag bert" in letter, "<script" in letter) == (True, False)
    assert office.rows("delivery") == []


@on_sqlite
def test_one_goes_from_reader_to_reader_of_the_audience_and_finds_one_by_address(office: Office, draft: str) -> None:
    ids = readers(office)
    browser = office.browser_of(Role.EDITOR)

    def beside(page: str, rel: str) -> str:
        return "".join(re.findall(rf'rel="{rel}" href="\?reader=(\d+)', page))

    assert beside(browser.get(draft).text, "next") == str(ids["anna@example.com"])
    page = browser.get(f"{draft}?reader={ids['bert@example.com']}").text
    assert (beside(page, "prev"), beside(page, "next")) == (str(ids["anna@example.com"]), str(ids["carl@example.com"]))
    found = browser.post(f"{draft}/reader", {"address": "Nobody@example.com"})
    assert found.headers["location"].endswith(f"?reader={ids['nobody@example.com']}")
    told = text_of(browser.get(f"{draft}?reader={ids['nobody@example.com']}&view=source"))
    assert "hat diesem Thema nicht zugestimmt" in told
    assert "Für diese Person entsteht kein Brief." in told
    assert "Diese Adresse hat hier niemand." in text_of(browser.post(f"{draft}/reader", {"address": "x@example.org"}))
    assert office.deeds() == ["preview.chosen"]


@on_sqlite
def test_who_may_not_see_people_sees_a_made_up_one(office: Office, draft: str) -> None:
    anna = readers(office)["anna@example.com"]
    viewer = office.browser_of(Role.VIEWER)
    page = viewer.get(f"{draft}?view=source")
    assert ("maria.muster@example.com" in page.text, "anna@example.com" in page.text) == (True, False)
    assert viewer.get(f"{draft}?reader={anna}").status_code == 403
    assert viewer.get(f"{draft}/letter?reader={anna}").status_code == 403
    assert viewer.post(f"{draft}/reader", {"address": "anna@example.com"}).status_code == 403


@on_sqlite
def test_the_frame_runs_nothing_sends_nothing_and_leads_nowhere(office: Office, draft: str) -> None:
    browser = office.browser_of(Role.VIEWER)
    assert re.search(r'<iframe class="letter-frame desktop" sandbox src="', browser.get(draft).text)
    letter = browser.get(f"{draft}/letter")
    directives = letter.headers["content-security-policy"].split("; ")
    assert {"sandbox", "default-src 'none'", "form-action 'none'", "frame-ancestors 'self'", "base-uri 'none'"} <= {
        *directives
    }
    assert [one for one in directives if "script" in one] == []
    assert "<a " in letter.text
    assert re.findall(r"<a\b[^>]*href=", letter.text) == []
    assert 'title="https://www.example.de/gold"' in letter.text


def test_a_letter_is_shown_by_day_or_by_night_whatever_the_browser_prefers() -> None:
    page = "<style>@media (prefers-color-scheme: dark) { a {} }</style><A class='x' HREF=\"https://a\">x</A>"
    assert "@media all" in inert(page, is_dark=True)
    assert "@media not all" in inert(page, is_dark=False)
    assert "HREF" not in inert(page, is_dark=True)


@on_sqlite
def test_what_cannot_be_composed_is_said(office: Office, draft: str) -> None:
    with office.engine.begin() as conn:
        conn.execute(update(campaign).values(subject=""))
        campaigns.write_contents(conn, 1, {Language.DE: ("a.de.md", builders.CONTENT)})
    browser = office.browser_of(Role.VIEWER)
    assert "Der Brief lässt sich nicht zusammensetzen:" in text_of(browser.get(draft))
    assert browser.get(f"{draft}/letter").status_code == 404


def test_a_test_copy_goes_to_whoever_asks_says_that_it_is_one_and_is_counted_nowhere(
    office_of: Callable[..., Office],
) -> None:
    with ScriptedRelay(keep_raw=True) as relay:
        office = office_of(smtp_url=f"smtp://127.0.0.1:{relay.port}?tls=none")
        draft = enter(office)
        browser = office.browser_of(Role.EDITOR)
        sent = browser.post(f"{draft}/test", {"language": "en", "address": "somebody@example.org"})
        assert "unterwegs" in text_of(browser.get(sent.headers["location"].removeprefix("/console")))
    (copy,) = relay.accepted
    assert copy.recipient == "editor-de@example.de"
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(copy.raw)
    assert message["Subject"] == "[Test] Gold holds"
    assert (office.rows("delivery"), office.rows("edition")) == ([], [])
    assert office.deeds() == ["preview.tested"]


@on_sqlite
def test_test_copies_are_few_within_an_hour(office: Office, draft: str) -> None:
    who = office.add(Role.EDITOR)
    browser = office.let_in(who)
    with office.engine.begin() as conn:
        now = clock.now(conn)
        for _ in range(10):
            audit.record(conn, audit.member(who), Deed("preview.tested", "campaign", 1), now - timedelta(minutes=50))
    told = browser.post(f"{draft}/test")
    assert (told.status_code, "Zehn Testexemplare in einer Stunde genügen." in text_of(told)) == (422, True)


def test_a_relay_that_refuses_a_test_copy_is_quoted(office_of: Callable[..., Office]) -> None:
    with ScriptedRelay(script={"RCPT": say("550 5.1.1 nobody")}) as relay:
        office = office_of(smtp_url=f"smtp://127.0.0.1:{relay.port}?tls=none")
        draft = enter(office)
        browser = office.browser_of(Role.EDITOR)
        browser.post(f"{draft}/test")
        assert "550 5.1.1 nobody" in text_of(browser.get(draft))

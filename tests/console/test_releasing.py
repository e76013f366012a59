"""From the draft to the readers: a newsletter is looked over, asked for, released, taken back and replaced."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from dispatcher.db import clock
from dispatcher.db.tables import campaign, preflight, staff_member
from dispatcher.db.terms import CampaignState, Language, Role, Topic
from dispatcher.domain.newsletters import authors, campaigns
from dispatcher.domain.newsletters.campaigns import Campaign, Draft
from dispatcher.domain.staff import audit
from dispatcher.sending import house as houses
from dispatcher.sending import release
from dispatcher.sending.binding import bind
from dispatcher.sending.preflight.findings import Check, Finding, Severity
from dispatcher.sending.preflight.report import Report, newest, store
from tests import builders
from tests.builders import PLAIN
from tests.console.office import Browser, Office, heading, hidden, on_sqlite, text_of
from tests.console.serving import serving

DEAD = Finding(Check.LINKS, "dead", Severity.STOP, "news.de.md:9", {"link": "https://x.example", "said": "404"})
NEXT_YEAR = date.today().year + 1  # noqa: DTZ011  (a year, not a day)


@dataclass
class Letter:
    """A newsletter that Klara wrote, for three people."""

    office: Office
    id: int
    klara: int

    @property
    def path(self) -> str:
        return f"/campaigns/{self.id}"

    def now_is(self) -> Campaign:
        with self.office.engine.begin() as conn:
            return campaigns.get(conn, self.id)

    def look_over(self, *found: Finding) -> None:
        """Have it looked over, with these findings."""
        with self.office.engine.begin() as conn:
            now = clock.now(conn)
            bound = bind(conn, campaigns.get(conn, self.id), houses.house(self.office.settings))
            store(conn, Report(self.id, now, now, bound, 3, found))

    def release(self, browser: Browser, **said: str) -> httpx.Response:
        """Open the page and send its form."""
        page = browser.get(f"{self.path}/release")
        return browser.post(f"{self.path}/release", {"seal": hidden(page, "seal"), **said})


def written(office: Office) -> Letter:
    klara = office.add(Role.SENDER, "klara@example.de", name="Klara Feldmann")
    with office.engine.begin() as conn:
        now = clock.now(conn)
        people = builders.add_people(conn, office.keyring, [f"p{n}@example.de" for n in range(4)], now)
        builders.agree(conn, list(people.values()), Topic.FINANCE_NEWS, now)
        builders.withdraw(conn, [people["p3@example.de"]], Topic.FINANCE_NEWS, now)
        files = {Language.DE: ("news.de.md", PLAIN)}
        draft = Draft(Topic.FINANCE_NEWS, "Gold, KW 49", "Gold hält sich", Language.DE, files, by=audit.member(klara))
        return Letter(office, release.draft(conn, draft, houses.house(office.settings), now), klara)


def await_looks() -> None:
    """Wait until no look is under way."""
    for thread in threading.enumerate():
        if thread.name.startswith("preflight"):
            thread.join(30)


@pytest.fixture
def letter(office: Office) -> Letter:
    return written(office)


@on_sqlite
def test_a_check_goes_on_when_the_browser_is_closed_and_its_page_says_what_it_found(
    office_of: Callable[..., Office],
) -> None:
    with serving(office_of) as office:
        letter = written(office)
        browser = office.browser_of(Role.EDITOR)
        assert browser.post(f"{letter.path}/check").headers["location"] == f"/console{letter.path}/check"
        await_looks()
        page = text_of(browser.get(f"{letter.path}/check"))
    assert "3 Briefe zur Probe gesetzt. Nichts hält sie auf." in page
    assert "Spamfilter" in page
    assert "✓ Abmelden mit einem Klick" in page
    assert office.deeds() == ["checking.begun"]
    with office.engine.begin() as conn:
        found = newest(conn, letter.id)
        assert found is not None
        assert found[1].people == 3


@on_sqlite
def test_findings_lead_to_the_line_and_a_check_of_another_state_says_what_has_changed(letter: Letter) -> None:
    letter.look_over(DEAD)
    browser = letter.office.browser_of(Role.VIEWER)
    page = browser.get(f"{letter.path}/check")
    assert f'href="/console{letter.path}/source#news.de.md-9"' in page.text
    assert 'id="news.de.md-9"' in browser.get(f"{letter.path}/source").text
    assert "Seit dieser Durchsicht" not in text_of(page)
    with letter.office.engine.begin() as conn:
        conn.execute(update(campaign).values(subject="Silber hält sich"))
    assert "Seit dieser Durchsicht hat sich geändert: was geschrieben wurde." in text_of(
        browser.get(f"{letter.path}/check")
    )


def test_a_newsletter_is_released_at_once_by_name_and_stands_in_the_audit_log_once(letter: Letter) -> None:
    letter.look_over()
    browser = letter.office.browser_of(Role.SENDER)
    page = browser.get(f"{letter.path}/release")
    assert heading(page) == "„Gold, KW 49“ an 3 Empfänger senden"
    assert "Hat die Einwilligung widerrufen. 1" in text_of(page)
    answer = letter.release(browser, how="now")
    assert answer.headers["location"] == f"/console{letter.path}"
    assert letter.now_is().state is CampaignState.SCHEDULED
    assert letter.office.deeds() == ["campaigns.release"]
    told = text_of(browser.get(letter.path))
    assert "geht jetzt an 3 Empfänger hinaus" in told
    assert "Fassung 1 von Klara Feldmann" in told
    assert "Fassung 1 freigegeben von Anna Beispiel" in told
    assert letter.office.browser_of(Role.ADMIN).get("/audit").status_code == 200


@on_sqlite
def test_what_was_not_looked_over_is_not_released(letter: Letter) -> None:
    browser = letter.office.browser_of(Role.SENDER)
    assert "Die letzte Durchsicht fehlt" in text_of(browser.get(f"{letter.path}/release"))
    letter.look_over()
    seal = hidden(browser.get(f"{letter.path}/release"), "seal")
    with letter.office.engine.begin() as conn:
        conn.execute(update(preflight).values(at=clock.now(conn) - timedelta(hours=2)))
    answer = browser.post(f"{letter.path}/release", {"seal": seal, "how": "now"})
    assert (answer.status_code, letter.now_is().state) == (422, CampaignState.DRAFT)
    assert "Durchsehen" in text_of(browser.get(f"{letter.path}/release"))


@on_sqlite
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"how": "at", "date": "2020-01-01", "time": "09:00"}, "Diese Zeit ist vorbei."),
        ({"how": "at", "date": f"{NEXT_YEAR}-01-01", "time": ""}, "Bitte eine Uhrzeit angeben"),
        ({"how": "at", "date": "31.12.", "time": "09:00"}, "Bitte ein Datum angeben."),
        ({"how": "local", "date": f"{NEXT_YEAR}-01-01", "time": "09:00", "zone": "Mars"}, "Diese Zeitzone gibt es"),
        ({"how": "at", "date": "2027-03-28", "time": "02:30"}, "die Uhren werden vorgestellt"),
        ({}, "Bitte wählen, wann sie hinausgeht."),
    ],
)  # fmt: skip
def test_a_moment_that_cannot_be_meant_is_given_back_with_the_cure(
    letter: Letter, said: dict[str, str], told: str
) -> None:
    letter.look_over()
    answer = letter.release(letter.office.browser_of(Role.SENDER), **said)
    assert answer.status_code == 422
    assert told in text_of(answer)
    assert letter.now_is().state is CampaignState.DRAFT


@on_sqlite
def test_an_hour_that_comes_twice_is_pointed_out_once_and_then_the_first_is_meant(letter: Letter) -> None:
    letter.look_over()
    browser = letter.office.browser_of(Role.SENDER)
    said = {"how": "at", "date": "2027-10-31", "time": "02:30", "zone": "Europe/Berlin"}
    answer = letter.release(browser, **said)
    assert (answer.status_code, "kommt an dem Tag dort zweimal" in text_of(answer)) == (422, True)
    again = {**said, "twice": hidden(answer, "twice"), "seal": hidden(answer, "seal")}
    assert browser.post(f"{letter.path}/release", again).status_code == 303
    assert letter.now_is().send_at == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


@on_sqlite
def test_a_newsletter_goes_by_each_readers_clock_and_may_be_put_off(letter: Letter) -> None:
    letter.look_over()
    browser = letter.office.browser_of(Role.SENDER)
    said = {"how": "local", "date": f"{NEXT_YEAR}-01-07", "time": "09:00", "zone": "Europe/Berlin"}
    assert letter.release(browser, **said).status_code == 303
    assert letter.now_is().wall_time == f"{NEXT_YEAR}-01-07T09:00"
    page = browser.get(f"{letter.path}/release")
    assert f'value="{NEXT_YEAR}-01-07"' in page.text
    assert letter.release(browser, **{**said, "how": "at", "time": "10:00"}).status_code == 303
    assert (letter.now_is().wall_time, letter.now_is().send_at) == (None, datetime(NEXT_YEAR, 1, 7, 9, tzinfo=UTC))


@on_sqlite
def test_what_stops_it_needs_a_reason_which_stands_with_the_release(letter: Letter) -> None:
    letter.look_over(DEAD)
    browser = letter.office.browser_of(Role.SENDER)
    answer = letter.release(browser, how="now")
    assert (answer.status_code, "schreiben Sie, warum sie trotzdem" in text_of(answer)) == (422, True)
    assert letter.now_is().state is CampaignState.DRAFT
    assert letter.release(browser, how="now", **{"because-links": "Der Shop öffnet um neun."}).status_code == 303
    assert "Trotz „Links“: Der Shop öffnet um neun." in text_of(browser.get(letter.path))
    with letter.office.engine.begin() as conn:
        assert authors.signatures(conn, letter.id)[-1].despite == {"links": "Der Shop öffnet um neun."}


@on_sqlite
def test_what_changed_since_the_page_was_opened_is_not_released(letter: Letter) -> None:
    letter.look_over()
    browser = letter.office.browser_of(Role.SENDER)
    seal = hidden(browser.get(f"{letter.path}/release"), "seal")
    with letter.office.engine.begin() as conn:
        conn.execute(update(campaign).values(subject="Silber hält sich"))
    letter.look_over()  # somebody else has looked at it
    answer = browser.post(f"{letter.path}/release", {"seal": seal, "how": "now"})
    assert (answer.status_code, "Seit Sie die Seite öffneten" in text_of(answer)) == (422, True)
    assert letter.now_is().state is CampaignState.DRAFT


@on_sqlite
def test_a_role_that_is_taken_away_while_the_page_is_open_releases_nothing(letter: Letter) -> None:
    letter.look_over()
    browser = letter.office.browser_of(Role.SENDER)
    seal = hidden(browser.get(f"{letter.path}/release"), "seal")
    with letter.office.engine.begin() as conn:
        conn.execute(update(staff_member).values(role=Role.EDITOR))
    assert browser.post(f"{letter.path}/release", {"seal": seal, "how": "now"}).status_code == 403
    assert letter.now_is().state is CampaignState.DRAFT


@on_sqlite
def test_with_four_eyes_the_author_asks_and_somebody_else_releases_and_both_are_named(
    office_of: Callable[..., Office],
) -> None:
    letter = written(office_of(four_eyes="on"))
    letter.look_over()
    author = letter.office.let_in(letter.klara)
    page = author.get(f"{letter.path}/release")
    assert "Sie haben diese Fassung geschrieben." in text_of(page)
    assert letter.release(author, how="now").status_code == 422
    wish = {"how": "at", "date": f"{NEXT_YEAR}-01-07", "time": "09:00", "zone": "Europe/Berlin"}
    assert author.post(f"{letter.path}/release/ask", wish).status_code == 303
    other = letter.office.browser_of(Role.SENDER)
    inbox = text_of(other.get("/"))
    assert "Klara Feldmann" in inbox
    assert f"An 3 Empfänger · am 7. Jan. {NEXT_YEAR}, 09:00, Zone Europe/Berlin" in inbox
    assert "Klara Feldmann bittet um Freigabe" in text_of(other.get(letter.path))
    page = other.get(f"{letter.path}/release")
    assert f'value="{NEXT_YEAR}-01-07"' in page.text
    assert letter.release(other, **wish).status_code == 303
    told = text_of(other.get(letter.path))
    assert "bittet um Freigabe" not in told
    assert "Fassung 1 von Klara Feldmann" in told
    assert "freigegeben von Anna Beispiel" in told
    assert letter.office.deeds() == ["releasing.asked", "campaigns.release"]


@on_sqlite
def test_what_is_scheduled_is_taken_back_with_a_reason(letter: Letter) -> None:
    letter.look_over()
    browser = letter.office.browser_of(Role.SENDER)
    letter.release(browser, how="at", date=f"{NEXT_YEAR}-01-07", time="09:00")
    assert browser.post(f"{letter.path}/take-back", {"why": ""}).status_code == 422
    assert browser.post(f"{letter.path}/take-back", {"why": "Der Silberpreis stimmt nicht."}).status_code == 303
    assert letter.now_is().state is CampaignState.DRAFT
    assert "Zurückgenommen von Anna Beispiel: Der Silberpreis stimmt nicht." in text_of(browser.get(letter.path))
    assert browser.post(f"{letter.path}/take-back", {"why": "Noch einmal."}).status_code == 422


@on_sqlite
def test_content_is_replaced_under_way_once_what_changes_was_seen_and_goes_on_when_it_is_released(
    office_of: Callable[..., Office],
) -> None:
    with serving(office_of) as office:
        letter = written(office)
        letter.look_over()
        browser = office.browser_of(Role.SENDER)
        letter.release(browser, how="now")
        with office.engine.begin() as conn:
            conn.execute(update(campaign).values(state="paused", audience=3, launched_at=clock.now(conn)))
        other = {"source-de": PLAIN.replace("kaum bewegt", "bewegt").replace("\n", "\r\n"), "version": "1"}
        seen = browser.post(f"{letter.path}/replace", {**other, "step": "look"})
        assert "− der Goldpreis hat sich in dieser Woche kaum bewegt." in text_of(seen)
        assert "Gespeichert ist noch nichts." in text_of(seen)
        assert letter.now_is().version == 1
        unread = browser.post(f"{letter.path}/replace", {**other, "version": "0", "step": "save"})
        assert "Es wurde nichts überschrieben" in text_of(unread)
        assert browser.post(f"{letter.path}/replace", {**other, "step": "save"}).status_code == 303
        await_looks()  # it was begun by the saving
        assert (letter.now_is().version, letter.now_is().state) == (2, CampaignState.PAUSED)
        assert browser.post(f"{letter.path}/resume").status_code == 422
        assert letter.release(browser).status_code == 303
        assert letter.now_is().edition_no == 2

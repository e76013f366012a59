"""Newsletters that come again, and the month they stand in, at the console."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from dispatcher.console.rhythm import in_words
from dispatcher.db import clock
from dispatcher.db.tables import campaign
from dispatcher.db.tables import series as series_table
from dispatcher.db.terms import Language, Role, SeriesState
from dispatcher.domain.newsletters import campaigns, series
from dispatcher.domain.newsletters.recurrence import recurrence
from dispatcher.domain.newsletters.series import Series
from tests import builders
from tests.console.office import Browser, Office, heading, on_sqlite, text_of

PLAN = {
    "name": "Marktbericht",
    "topic": "finance-news",
    "subject": "Der Markt",
    "time": "09:00",
    "zone": "Europe/Berlin",
}


def create(browser: Browser, **said: object) -> str:
    answer = browser.post("/campaigns/series/new", {**PLAN, **said})
    assert answer.status_code == 303, text_of(answer)
    return answer.headers["location"].removeprefix("/console")


def only(office: Office) -> Series:
    with office.engine.begin() as conn:
        (found,) = series.newest(conn)
        return found


@on_sqlite
def test_a_series_is_created_skipped_paused_resumed_and_ended_and_all_of_it_is_on_record(office: Office) -> None:
    browser = office.browser_of(Role.SENDER)
    path = create(browser, week=["tuesday", "friday"])
    page = browser.get(path)
    assert heading(page) == "Marktbericht · läuft"
    assert "dienstags und freitags um 09:00" in text_of(page)
    assert text_of(page).count("noch kein Inhalt, fällt sonst aus") == 6
    due = only(office).next_at
    assert browser.post(f"{path}/skip").status_code == 303
    assert only(office).next_at != due
    assert "ausgelassen" in text_of(browser.get(path))
    for deed, state in (("pause", SeriesState.PAUSED), ("resume", SeriesState.ACTIVE), ("end", SeriesState.ENDED)):
        assert browser.post(f"{path}/{deed}").status_code == 303
        assert only(office).state is state
    assert browser.post(f"{path}/resume").status_code == 422
    assert "Marktbericht" in text_of(browser.get("/campaigns/series"))
    assert office.deeds() == [f"series.{word}" for word in ("created", "skipped", "paused", "resumed", "ended")]
    assert office.browser_of(Role.ADMIN).get("/audit").status_code == 200


@on_sqlite
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"days": ""}, "Bitte mindestens einen Tag angeben"),
        ({"days": "31"}, "Tage des Monats von 1 bis 28"),
        ({"days": "1", "week": ["monday"]}, "entweder Wochentage oder Tage des Monats"),
        ({"days": "1", "time": "neun"}, "Bitte eine Uhrzeit angeben"),
        ({"days": "1", "zone": "Mars"}, "Diese Zeitzone gibt es nicht."),
        ({"days": "1", "name": ""}, "Bitte ausfüllen"),
    ],
)
def test_what_is_no_series_is_given_back_with_what_was_typed(office: Office, said: dict[str, str], told: str) -> None:
    answer = office.browser_of(Role.EDITOR).post("/campaigns/series/new", {**PLAN, **said})
    assert answer.status_code == 422
    assert told in text_of(answer)
    assert "Der Markt" in answer.text


@pytest.mark.parametrize(
    ("every", "words"),
    [
        ("1 15", "am 1. des Monats und am 15. des Monats um 09:00"),
        ("last", "am letzten Tag des Monats um 09:00"),
        ("workdays", "werktags (Montag bis Freitag) um 09:00"),
        ("daily", "täglich um 09:00"),
    ],
)
def test_days_that_come_again_are_said_in_words(every: str, words: str) -> None:
    assert in_words(recurrence(every, "09:00", "Europe/Berlin"), Language.DE) == words


@on_sqlite
def test_the_german_word_for_the_last_day_is_understood(office: Office) -> None:
    create(office.browser_of(Role.EDITOR), days="1 letzter")
    assert only(office).every == "1 last"


@on_sqlite
def test_a_month_shows_what_went_what_is_to_go_and_series_in_the_houses_zone(office: Office) -> None:
    with office.engine.begin() as conn:
        now = clock.now(conn)
        names = {}
        for name, values in {
            "Gesendete": {"state": "sent", "launched_at": datetime(2031, 11, 30, 23, 30, tzinfo=UTC), "audience": 0},
            "Geplante": {"state": "scheduled", "send_at": datetime(2031, 12, 24, 8, tzinfo=UTC)},
            "Entwurf": {"state": "draft", "send_at": datetime(2031, 12, 24, 8, tzinfo=UTC)},
            "Januar": {"state": "scheduled", "send_at": datetime(2031, 12, 31, 23, 30, tzinfo=UTC)},
        }.items():
            names[name] = builders.create_campaign(conn, now)
            conn.execute(update(campaign).where(campaign.c.id == names[name]).values(name=name, **values))
        assert campaigns.get(conn, names["Geplante"]).name == "Geplante"
    browser = office.browser_of(Role.VIEWER)
    create(office.browser_of(Role.EDITOR), days="15")
    with office.engine.begin() as conn:
        conn.execute(update(series_table).values(next_at=datetime(2031, 12, 15, 8, tzinfo=UTC)))
    page = browser.get("/campaigns/calendar?month=2031-12")
    assert heading(page) == "Kalender · Dezember 2031"
    table = text_of(page)
    assert "00:30 Gesendete gesendet" in table
    assert "09:00 Geplante geplant" in table
    assert ("Entwurf" in table, "Januar" in table) == (False, False)
    assert "Januar" in text_of(browser.get("/campaigns/calendar?month=2032-01"))
    assert 'href="?month=2031-11"' in page.text
    assert 'href="?month=2032-01"' in page.text
    assert browser.get("/campaigns/calendar?month=2031-13").status_code == 200

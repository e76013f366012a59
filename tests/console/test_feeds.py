"""Feeds at the console: entered, asked, changed, switched off, removed; whatever comes of one is told in words."""

import pytest
from sqlalchemy import update

from dispatcher.compose.news import Unread, read
from dispatcher.console.paper import has
from dispatcher.console.tidings import tiding, unread
from dispatcher.db import clock
from dispatcher.db.tables import news_feed
from dispatcher.db.terms import Language, Role
from dispatcher.domain.newsletters import news_feeds, series
from dispatcher.domain.newsletters.news_feeds import NewsFeed
from dispatcher.outgoing import Trouble
from tests.compose.test_news import rss
from tests.console.office import Browser, Office, heading, on_sqlite, text_of
from tests.console.test_series import create
from tests.web_server import Says, running_web

FORM = {"url": "https://www.example.de/feed.xml", "language": "de", "most": "10", "releases": "no"}


def only(office: Office) -> NewsFeed:
    with office.engine.begin() as conn:
        (found,) = news_feeds.listed(conn)
        return found


def enter(browser: Browser, **said: str) -> str:
    number = create(browser, week=["tuesday"]).rpartition("/")[2]
    answer = browser.post("/campaigns/feeds/new", {**FORM, "series": number, **said})
    assert answer.status_code == 303, text_of(answer)
    return answer.headers["location"].removeprefix("/console")


@on_sqlite
def test_a_feed_is_entered_asked_changed_switched_off_and_removed_and_all_of_it_is_on_record(
    office_of: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_web({"/feed.xml": Says(200, rss("<title>Gold</title>", "<title>Silber</title>"))}) as web:
        office = office_of(internal_hosts=f"127.0.0.1:{web.port}")  # type: ignore[operator]
        browser = office.browser_of(Role.SENDER)
        path = enter(browser, url=web.url("/feed.xml"), most="1")
        page = text_of(browser.get(path))
        assert heading(browser.get(path)) == f"127.0.0.1:{web.port} · an"
        assert "Vor jeder Ausgabe, 4 Stunden vorher. Ist er nicht zu lesen, alle 5 Minuten wieder" in page
        assert web.url("/feed.xml") in page
        assert "Er wurde noch nicht gefragt." in page
        asked = text_of(browser.post(f"{path}/ask"))
        assert "In der nächsten Ausgabe wären neu: 1." in asked
        assert "Weitere neue, für die kein Platz ist: 1 (höchstens 1 je Ausgabe)." in asked
        assert only(office).said is None
        changed = {**FORM, "url": web.url("/no.xml"), "releases": "yes", "ahead": "30", "language": "en"}
        assert browser.post(f"{path}/change", changed).status_code == 303
        assert (only(office).releases, only(office).ahead_s, only(office).language) == (True, 1800, Language.EN)
        assert "Sein Server antwortet mit 404." in text_of(browser.post(f"{path}/ask"))
    assert browser.post(f"{path}/off").status_code == 303
    assert "aus" in heading(browser.get(path))
    assert browser.post(f"{path}/on").status_code == 303
    assert f"127.0.0.1:{web.port}" in text_of(browser.get("/campaigns/feeds"))
    assert f"127.0.0.1:{web.port}" in text_of(browser.get("/campaigns/series/1"))
    assert browser.post(f"{path}/remove").status_code == 303
    assert browser.get(path).status_code == 404
    done = ("added", "asked", "changed", "asked", "off", "on", "removed")
    assert office.deeds() == ["series.created", *(f"feeds.{word}" for word in done)]


@on_sqlite
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"url": "ftp://example.de/x"}, "beginnt, höchstens 1.000 Zeichen lang"),
        ({"url": "https://a:b@example.de/x"}, "ohne Benutzer und Passwort"),
        ({"most": "21"}, "eine Zahl von 1 bis 20"),
        ({"most": ""}, "eine Zahl von 1 bis 20"),
        ({"ahead": "1441"}, "eine Zahl von 1 bis 1440"),
        ({"language": "xx"}, "Bitte eine Sprache wählen."),
        ({"series": "99"}, "eine Reihe wählen, die noch keinen Feed hat"),
    ],
)
def test_what_is_no_feed_is_given_back_with_what_was_typed(office: Office, said: dict[str, str], told: str) -> None:
    browser = office.browser_of(Role.EDITOR)
    create(browser, week=["tuesday"])
    answer = browser.post("/campaigns/feeds/new", {**FORM, "series": "1", **said})
    assert answer.status_code == 422
    assert told in text_of(answer)
    assert f'value="{ {**FORM, **said}["url"] }"' in answer.text


@on_sqlite
def test_who_may_not_send_lets_no_feed_send_by_itself(office: Office) -> None:
    sender, editor = office.browser_of(Role.SENDER), office.browser_of(Role.EDITOR)
    number = create(sender, week=["tuesday"]).rpartition("/")[2]
    sends = {**FORM, "releases": "yes"}
    assert editor.post("/campaigns/feeds/new", {**sends, "series": number}).status_code == 403
    path = enter(sender, releases="yes")
    assert editor.post(f"{path}/change", FORM).status_code == 403
    assert editor.post(f"{path}/off").status_code == 303
    assert editor.post(f"{path}/on").status_code == 403
    assert sender.post(f"{path}/on").status_code == 303
    assert "https://" not in text_of(office.browser_of(Role.VIEWER).get(path))


@on_sqlite
def test_what_is_wrong_with_a_feed_is_said_with_its_cure(office: Office) -> None:
    browser = office.browser_of(Role.EDITOR)
    path = enter(browser)
    with office.engine.begin() as conn:
        now = clock.now(conn)
        said = "it could not be read: its server answers 404"
        conn.execute(update(news_feed).values(said=said, said_at=now, failing_since=now))
        assert [feed.id for feed in news_feeds.failing(conn)] == [1]
    page = browser.get(path)
    assert "nicht lesbar" in heading(page)
    assert "Sein Server antwortet mit 404. Bei 404 oder 410 gibt es ihn dort nicht mehr" in text_of(page)
    browser.post(f"{path}/off")
    with office.engine.begin() as conn:
        assert news_feeds.failing(conn) == []
        of = series.get(conn, 1)
        assert of.next_at is not None
        assert news_feeds.due(conn, of.next_at) == []
        assert not news_feeds.is_awaited(conn, of)


SAID = (
    "not asked: campaign 7 waits in series 1 already", "it brought nothing new", "campaign 7 is in series 1",
    "campaign 7 is a draft: brought by feed 1, and waits for somebody to look at it: dispatcher series fill 1",
    "campaign 7 is a draft: feed 1 could not release it: preflight stops it (links); look at it",
    "what it brought is no letter: subject: it is empty; write one", "it could not be read: its server answers 503",
)  # fmt: skip
UNREAD = (
    "it is redirected from one address to the next, without end", "its server sends it packed, though asked not to",
    "its server broke off in the middle", "its server says that nothing has changed, though not asked",
    *(f"it does not answer ({trouble}: whatever\nit was)" for trouble in Trouble),
)  # fmt: skip
OCTETS = (
    b"", b"<x", b"<x/>", b"x" * 2_000_001, b"<?xml version='1.0' encoding='none'?><x/>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", b"<x>" * 101,
)  # fmt: skip


def test_whatever_comes_of_a_feed_is_told_in_the_readers_language_with_a_cure_if_it_is_wrong() -> None:
    came = [tiding(said) for said in SAID]
    whys = [found.why for octets in OCTETS if isinstance(found := read(octets, "https://example.de/f"), Unread)]
    assert len(whys) == len(OCTETS)
    found = [one.key if one else "" for one in came] + [unread(why).key for why in (*UNREAD, *whys)]
    assert "" not in found
    well = {"not_asked", "nothing_new", "is_in", "is_draft"}
    for language in Language:
        assert [key for key in found if not has(language, f"feeds.said_{key}")] == []
        assert [key for key in found if has(language, f"feeds.cure_{key}") is (key in well)] == []
    assert tiding(None) is None
    assert tiding("something new") == ("", {}, "something new")

"""`dispatcher feeds`: from an address to the entries that the next issue would have."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.compose.test_news import rss
from tests.web_server import Says, running_web

NEW = ["--name", "Markt", "--topic", "finance-news", "--subject", "Der Markt", "--every", "daily", "--at", "09:00"]


def test_a_feed_is_added_looked_at_shown_and_removed(
    dispatcher: Run, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = rss("<title>Gold [1]</title><guid>1</guid>", "<title>Silber</title>", "<category>x</category>")
    with running_web({"/feed.xml": Says(200, entries), "/no.xml": Says(200, b"<html/>")}) as web:
        monkeypatch.setenv("DISPATCHER_INTERNAL_HOSTS", f"127.0.0.1:{web.port}")
        added = dispatcher("feeds", "add", web.url("/feed.xml"), *NEW, "--most", 1)
        assert added.err == ""
        assert added.out.splitlines()[0] == (
            "feed 1 fills series 1 (daily at 09:00 Europe/Berlin); what it brings waits as a draft for you to look at"
        )
        looked = dispatcher("feeds", "fetch", 1)
        assert [line.split()[0] for line in looked.out.splitlines()[1:3]] == ["new", "beyond"]
        assert "Gold [1]" in looked.out
        assert "1 new, 1 beyond the 1 of an issue" in looked.out
        assert "1 without title and text" in looked.out
        assert [one["is_new"] for one in dispatcher("feeds", "fetch", 1, "--json").json["entries"]] == [True, False]
        assert dispatcher("feeds", "list", "--json").json["feeds"][0]["said"] is None
        assert "not asked yet" in dispatcher("feeds", "list").out
        assert "left as a draft" in dispatcher("feeds", "show", 1).out
        assert dispatcher("feeds", "show", 1, "--json").json["ahead_s"] == 14400
        assert "what feed 1 brings" in dispatcher("series", "show", 1).out
        series = dispatcher("feeds", "add", web.url("/no.xml"), *NEW, "--send", "--json").json["series_id"]
        assert dispatcher("feeds", "fetch", 2).error[0] == "feed 2 cannot be read: it is XML, but neither RSS nor Atom"
    assert "series 1 goes on" in dispatcher("feeds", "remove", 1).out
    assert dispatcher("feeds", "show", 1).error[0] == "there is no feed 1"
    again = dispatcher("feeds", "add", "https://example.de/f", "--series", series)
    assert again.error[0] == f"series {series} has feed 2 already"
    assert dispatcher("feeds", "add", "https://example.de/f").code == 2
    assert dispatcher("feeds", "add", "https://example.de/f", "--series", 1, "--name", "x").code == 2


def test_a_feed_is_changed_and_switched_off_and_on(dispatcher: Run) -> None:
    assert dispatcher("feeds", "add", "https://example.de/f", *NEW, "--send").code == 0
    changed = dispatcher("feeds", "change", 1, "--most", 3, "--draft", "--json").json
    assert (changed["most"], changed["releases"], changed["ahead_s"], changed["language"]) == (3, False, 14400, "de")
    assert dispatcher("feeds", "change", 1, "--most", 21).error[0] == "an issue cannot have 21 articles"
    assert "https://example.de/g" in dispatcher("feeds", "change", 1, "--url", "https://example.de/g").out
    assert "is asked no more" in dispatcher("feeds", "off", 1).out
    assert "off since" in dispatcher("feeds", "show", 1).out
    assert dispatcher("feeds", "on", 1).code == 0
    assert dispatcher("feeds", "show", 1, "--json").json["off_at"] is None

"""When something goes wrong: a page in words with a cure, and a log without addresses or tokens."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete
from structlog.testing import capture_logs

from dispatcher.db import side_file
from dispatcher.db.tables import consent_event, declaration, opt_in_request
from dispatcher.db.terms import SuppressionReason
from dispatcher.domain import suppression
from dispatcher.domain.endings import Ending, written
from dispatcher.domain.tokens import Purpose
from dispatcher.sending import endings
from dispatcher.web.app import create_app
from tests.guards import unguarded
from tests.web.visitor import MARIA, House, Visitor, heading, on_sqlite, text_of

pytestmark = on_sqlite


def take_the_database_away(house: House) -> None:
    """Let nothing connect any more: where the file was there is a folder."""
    house.engine.dispose()
    for path in Path(house.engine.url.database or "").parent.glob("dispatcher.db*"):
        path.unlink()
    Path(house.engine.url.database or "").mkdir()


def test_a_page_that_does_not_exist_says_so_and_leads_on(visitor: Visitor) -> None:
    page = visitor.get("/nothing")
    assert page.status_code == 404
    assert heading(page) == "Diese Seite gibt es nicht"
    assert 'href="/?lang=de">Zur Newsletter-Anmeldung</a>' in page.text


def test_a_wrong_method_is_refused_and_the_right_ones_are_named(visitor: Visitor) -> None:
    page = visitor.ask("DELETE", "/")
    assert page.status_code == 405
    assert {method.strip() for method in page.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}
    assert heading(page) == "Das geht hier nicht"


@pytest.mark.parametrize("path", ["/", "/c/token", "/p/token"])
def test_a_body_of_more_than_64_kilobytes_is_refused(visitor: Visitor, path: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert visitor.post(path, content=b"x=" + b"a" * 65_535, headers=form).status_code == 413
    assert visitor.post(path, content=b"x=" + b"a" * 65_534, headers=form).status_code != 413


def test_a_form_that_cannot_be_read_is_refused_in_words(visitor: Visitor) -> None:
    page = visitor.post("/", content=b"--x", headers={"content-type": "multipart/form-data"})
    assert page.status_code == 400
    assert heading(page) == "Das haben wir nicht verstanden"


def test_a_fault_of_ours_becomes_a_page_and_a_line_without_values(house: House) -> None:
    with house.engine.begin() as conn, unguarded(conn):
        for table in (consent_event, opt_in_request, declaration):
            conn.execute(delete(table))
    with capture_logs() as lines:
        page = house.visitor().get("/")
    assert page.status_code == 500
    assert heading(page) == "Hier ist bei uns etwas schiefgegangen"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    (line,) = lines
    assert line["error"] == "AssertionError"
    assert "declarations.py" in line["places"][-1]


def test_a_database_that_comes_back_older_gets_what_it_lacks_before_the_next_page(house: House) -> None:
    file = endings.file_of(house.settings)
    first = file.first()
    ending = Ending(b"h" * 32, None, SuppressionReason.COMPLAINT, datetime(2026, 11, 24, tzinfo=UTC))
    side_file.add(file.path, written([ending], len(first.octets) + 1, 7))
    house.engine.dispose()
    live = Path(house.engine.url.database or "")
    backup = live.read_bytes()
    take_the_database_away(house)
    assert house.visitor().get("/").status_code == 503
    live.rmdir()
    live.write_bytes(backup)
    assert house.visitor().get("/").status_code == 200
    with house.engine.begin() as conn:
        assert len(suppression.entries(conn, b"h" * 32)) == 1


def test_while_the_database_is_away_the_page_says_when_to_come_back(house: House) -> None:
    path = f"/u/{house.token(Purpose.UNSUBSCRIBE, house.add())}"
    take_the_database_away(house)
    for method in ("GET", "POST"):
        page = house.visitor().ask(method, path)
        assert page.status_code == 503
        assert page.headers["retry-after"] == "30"
        assert heading(page) == "Wir sind gleich wieder da"


def test_health_is_green_while_the_database_answers(visitor: Visitor) -> None:
    answer = visitor.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok"})


def test_health_says_in_words_what_is_wrong_and_names_no_host_or_path(house: House) -> None:
    take_the_database_away(house)
    answer = house.visitor().get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "does not answer"
    assert "look whether the database runs" in answer.json()["cure"]
    assert "dispatcher.db" not in answer.text


def test_the_log_of_a_whole_visit_holds_no_address_and_no_token(house: House) -> None:
    token = house.token(Purpose.PREFERENCES, house.add("paul@example.com"))
    with capture_logs() as lines:
        house.visitor().post("/", data=house.form())
        house.visitor().post("/", data=house.form(website="x"))
        house.visitor().get(f"/p/{token}")
        take_the_database_away(house)
        house.visitor().get(f"/p/{token}")
        house.visitor().post("/", data={"address": MARIA})
    assert lines
    assert not [line for line in lines if token in str(line) or "example" in str(line) or "192.0.2" in str(line)]


def test_a_worker_that_cannot_be_called_spoils_no_answer(house: House) -> None:
    def call(campaign_id: int) -> None:
        raise RuntimeError(f"no broker for {MARIA}")

    broken = House(create_app(house.settings, house.engine, call), house.settings, house.engine)
    with capture_logs() as lines:
        page = broken.visitor().post("/", data=house.form())
    assert heading(page) == "Bitte bestätigen Sie noch"
    assert [line["error"] for line in lines] == ["RuntimeError"]
    assert MARIA not in str(lines)


def test_robots_are_kept_from_peoples_links(visitor: Visitor) -> None:
    lines = visitor.get("/robots.txt").text.splitlines()
    assert lines == ["User-agent: *", "Disallow: /c/", "Disallow: /u/", "Disallow: /p/", "Disallow: /v/"]


def test_notices_are_shown_in_full_and_clean(house_of: Callable[..., House], tmp_path: Path) -> None:
    notice = tmp_path / "impressum.md"
    notice.write_text("**Muster GmbH**\nMusterweg 1\n\n<script>alert(1)</script>", encoding="utf-8")
    house = house_of(impressum=str(notice))
    page = house.visitor().get("/impressum")
    assert "<strong>Muster GmbH</strong><br>" in page.text
    assert "<script" not in page.text
    privacy = text_of(house.visitor().get("/privacy"))
    assert "Verantwortlich ist Beispiel Edelmetalle." in privacy
    assert "Art. 15 bis 20 DSGVO" in privacy


def test_the_pages_work_below_a_path_of_the_public_url(house_of: Callable[..., House]) -> None:
    house = house_of(public_url="https://www.example.de/news")
    for path in ("/news", "/news/"):
        page = house.visitor().get(path)
        assert page.status_code == 200
        assert 'action="/news/?lang=de"' in page.text
    (sheet,) = [part.partition('"')[0] for part in page.text.split('<link rel="stylesheet" href="')[1:]]
    assert house.visitor().get(sheet).status_code == 200
    token = house.token(Purpose.UNSUBSCRIBE, house.add())
    assert house.visitor().post(f"/news/u/{token}").status_code == 200
    assert house.visitor().get("/news/u/wrong").content == house.visitor().get("/news/v/wrong").content
    assert "Disallow: /news/u/" in house.visitor().get("/news/robots.txt").text

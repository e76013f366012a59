"""What people may ask of us, at the console: served, entered in the log, and due within a month."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from dispatcher.db import clock
from dispatcher.db.tables import rights_request
from dispatcher.db.terms import RightKind, Role
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import rights
from dispatcher.rights import sealed
from tests.console.office import Browser, Office, on_sqlite, text_of

MARIA = "maria.muster@example.com"
ADDRESS = {"address": MARIA}


@pytest.fixture
def maria(office: Office) -> int:
    return office.subscribe(MARIA)


@pytest.fixture
def officer(office: Office) -> Browser:
    return office.browser_of(Role.DATA_PROTECTION)


def enter(office: Office, kind: RightKind, days_ago: int) -> int:
    with office.engine.begin() as conn:
        hashed = address_hash(office.keyring, parse_address(MARIA))
        return rights.enter(conn, kind, hashed, clock.now(conn) - timedelta(days=days_ago))


@pytest.mark.parametrize("kind", ["html", "json"])
def test_a_dossier_is_a_sealed_file_that_names_nobody_by_its_own_name(
    office: Office, officer: Browser, maria: int, kind: str
) -> None:
    answer = officer.post(f"/subscribers/{maria}/dossier", {"language": "en", "format": kind})
    assert answer.status_code == 200
    assert f'filename="dossier-{maria}-' in answer.headers["content-disposition"]
    assert sealed.check(answer.content).problem is None
    assert MARIA.encode() in answer.content
    assert [(row.action, row.about_id, row.detail) for row in office.rows("audit_entry")] == [
        ("rights.dossier", maria, {"format": kind})
    ]


@on_sqlite
def test_a_house_whose_seal_lies_elsewhere_says_where_the_dossier_is_made(
    office_of: Callable[..., Office], tmp_path: Path
) -> None:
    office = office_of(seal_key=str(tmp_path / "elsewhere.pem"))
    maria, officer = office.subscribe(MARIA), office.browser_of(Role.DATA_PROTECTION)
    answer = officer.post(f"/subscribers/{maria}/dossier", {"language": "de", "format": "html"})
    assert (answer.status_code, "Hier fehlt der Schlüssel für das Siegel" in text_of(answer)) == (422, True)
    assert office.deeds() == []


def test_access_is_one_archive_and_ends_what_was_asked_for(office: Office, officer: Browser, maria: int) -> None:
    enter(office, RightKind.PORTABILITY, 3)
    answer = officer.post(f"/subscribers/{maria}/export", {"language": "de"})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist() == [f"export-{maria}.html", f"export-{maria}.json"]
    assert json.loads(archive.read(f"export-{maria}.json"))["person"]["address"] == MARIA
    assert {(row.kind, row.operator, row.outcome) for row in office.rows("rights_request")} == {
        (kind, "Anna Beispiel", "everything held was exported") for kind in ("access", "portability")
    }
    assert office.deeds() == ["rights.exported"]


def test_data_is_put_right_and_another_address_is_asked_first(office: Office, officer: Browser, maria: int) -> None:
    same = {"name": "Maria Muster", "language": "de", "new": ""}
    assert "Es steht alles so da wie vorher" in text_of(officer.post(f"/subscribers/{maria}/rectify", same))
    officer.post(f"/subscribers/{maria}/rectify", same | {"name": "Maria Müller", "language": "en"})
    (person,) = office.rows("subscriber")
    assert (person.name, person.language) == ("Maria Müller", "en")
    right = {"name": "Maria Müller", "language": "en", "new": "maria.mueller@example.com"}
    assert officer.post(f"/subscribers/{maria}/rectify", right).status_code == 303
    assert [row.state for row in office.rows("subscription") if row.subscriber_id == maria] == ["withdrawn"] * 2
    assert len(office.rows("opt_in_request")) == 1
    entries = office.rows("audit_entry")
    assert "@" not in repr([entry.detail for entry in entries])
    assert len(entries) == 2


def test_an_erased_person_is_found_and_proven_by_whoever_knows_the_address(
    office: Office, officer: Browser, maria: int
) -> None:
    enter(office, RightKind.ERASURE, 3)
    page = text_of(officer.get(f"/subscribers/{maria}/erase"))
    assert "Der Nachweis der Einwilligung, nur über einen Prüfwert zu finden" in page
    assert officer.post(f"/subscribers/{maria}/erase").status_code == 303
    (person,), (asked,) = office.rows("subscriber"), office.rows("rights_request")
    assert (person.address, person.name, asked.outcome) == (None, "", "erased")
    assert MARIA not in officer.get(f"/subscribers/{maria}").text
    assert officer.post("/subscribers/search", ADDRESS).headers["location"].endswith(f"/subscribers/{maria}")
    form = {"language": "de", "format": "json"}
    for typed, status in ((MARIA, 200), ("somebody.else@example.com", 422), ("", 422)):
        assert officer.post(f"/subscribers/{maria}/dossier", form | {"address": typed}).status_code == status
    assert office.deeds() == ["rights.erased", "rights.dossier"]


def test_what_is_restricted_is_not_erased_until_it_is_released(office: Office, officer: Browser, maria: int) -> None:
    officer.post(f"/subscribers/{maria}/restrict")
    told = text_of(officer.get(f"/subscribers/{maria}"))
    assert "Finanznews nein Die Verarbeitung ist eingeschränkt." in told
    refused = officer.post(f"/subscribers/{maria}/erase")
    assert (refused.status_code, "Beenden Sie zuerst die Einschränkung" in text_of(refused)) == (422, True)
    assert "Wann hat die Person es erfahren" in text_of(officer.post(f"/subscribers/{maria}/release"))
    assert officer.post(f"/subscribers/{maria}/release", {"told": "2026-01-01"}).status_code == 303
    assert officer.post(f"/subscribers/{maria}/erase").status_code == 303
    assert office.deeds() == ["rights.restricted", "rights.released", "rights.erased"]


def test_an_objection_is_for_good(office: Office, officer: Browser, maria: int) -> None:
    for notice in ("Der Widerspruch ist eingetragen", "Der Widerspruch stand schon da"):
        officer.post(f"/subscribers/{maria}/object", {"scope": "all", "source": "Brief vom 3. November"})
        assert notice in text_of(officer.get(f"/subscribers/{maria}"))
    assert [(row.scope, row.reason) for row in office.rows("suppression")] == [("all", "objected")]
    assert officer.get(f"/subscribers/{maria}").text.count("/lift") == 0
    (asked,) = office.rows("rights_request")
    assert (asked.kind, asked.done_at is not None) == ("objection", True)


def test_the_log_has_the_most_urgent_on_top_in_words(office: Office, officer: Browser) -> None:
    enter(office, RightKind.ACCESS, 0)
    late = enter(office, RightKind.ERASURE, 45)
    with office.engine.begin() as conn:
        due = (clock.now(conn) - timedelta(days=2)).date()
        conn.execute(update(rights_request).where(rights_request.c.id == late).values(due_on=due))
    told = text_of(officer.get("/rights"))
    assert "Eine Anfrage ist überfällig." in told
    assert told.index("seit 2 Tagen überfällig") < told.index("Auskunft")
    assert "Adresse" not in told.partition("Offene Anfragen")[2]


def test_a_request_is_entered_put_off_once_and_closed_in_words(office: Office, officer: Browser) -> None:
    form = {"address": MARIA, "kind": "access", "received": ""}
    number = officer.post("/rights/new", form).headers["location"].rpartition("/")[2]
    assert f'href="/console/rights/{number}/extend"' in officer.get(f"/rights/{number}").text
    named = officer.post(f"/rights/{number}/extend", {"reason": f"waiting for {MARIA}"})
    assert (named.status_code, "Bitte ohne E-Mail-Adresse" in text_of(named)) == (422, True)
    assert officer.post(f"/rights/{number}/extend", {"reason": "many at once"}).status_code == 303
    again = officer.post(f"/rights/{number}/extend", {"reason": "many at once"})
    assert (again.status_code, "Das war nicht möglich" in text_of(again)) == (422, True)
    assert officer.post(f"/rights/{number}/close", {"outcome": "identity not shown"}).status_code == 303
    (row,) = office.rows("rights_request")
    assert (row.extension_reason, row.operator, row.outcome) == ("many at once", "Anna Beispiel", "identity not shown")
    assert office.deeds() == ["rights.entered", "rights.extended", "rights.closed"]

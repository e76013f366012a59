"""That nobody has altered the ledger, at the console: verified, signed, handed out, and a dossier that is checked."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from dispatcher.db.tables import consent_event
from dispatcher.db.terms import Role
from dispatcher.domain.proof import seal
from dispatcher.domain.proof.checkpoints import Checkpoint
from dispatcher.rights import sealed
from tests.console.office import Browser, Office, on_sqlite, text_of

MARIA = "maria.muster@example.com"


@pytest.fixture
def officer(office: Office) -> Browser:
    office.subscribe(MARIA)
    return office.browser_of(Role.DATA_PROTECTION)


def verified(office: Office, browser: Browser) -> str:
    """Verify, and give what the page says once it is over."""
    before = office.deeds().count("consent.verified")
    assert browser.post("/consent/proof/verify").status_code == 303
    while office.deeds().count("consent.verified") == before:
        pass
    return text_of(browser.get("/consent/proof"))


def test_what_was_verified_is_said_in_words_and_what_was_altered_is_found(office: Office, officer: Browser) -> None:
    assert "noch nie geprüft" in text_of(officer.get("/consent/proof"))
    assert "Das Nachweisbuch ist unversehrt: 3 Einträge" in verified(office, officer)
    with office.engine.begin() as conn:
        conn.execute(update(consent_event).where(consent_event.c.id == 2).values(topic="product-news"))
    says = verified(office, officer)
    assert "Das Nachweisbuch ist beschädigt" in says
    assert "Ein Eintrag ist nicht, was geschrieben wurde. Eintrag 2." in says
    assert "Zuletzt geprüft am" in says
    assert "Anna Beispiel" in says
    assert [row.detail["well"] for row in office.rows("audit_entry") if row.action == "consent.verified"] == [
        True, False
    ]  # fmt: skip


@on_sqlite
def test_a_checkpoint_is_taken_and_handed_out_with_the_key_that_verifies_it(office: Office, officer: Browser) -> None:
    assert officer.get("/consent/proof/key").status_code == 404
    assert officer.post("/consent/proof/take").status_code == 303
    assert "Der Prüfpunkt ist gemacht" in text_of(officer.get("/consent/proof"))
    handed = officer.get("/consent/proof/checkpoints")
    assert "attachment" in handed.headers["content-disposition"]
    point = Checkpoint(**json.loads(handed.text))
    assert point.is_signed_by([officer.get("/consent/proof/key").text])
    assert point.events == 3
    assert "Ein Prüfpunkt stimmt; seitdem noch nicht unterschrieben: 0." in verified(office, officer)


@on_sqlite
def test_a_house_whose_seal_lies_elsewhere_says_so(office_of: Callable[..., Office], tmp_path: Path) -> None:
    office = office_of(seal_key=str(tmp_path / "elsewhere.pem"))
    office.subscribe(MARIA)
    refused = office.browser_of(Role.DATA_PROTECTION).post("/consent/proof/take")
    assert refused.status_code == 422
    assert "Der Schlüssel für Unterschriften ist hier nicht zu lesen" in text_of(refused)


def handed_in(browser: Browser, octets: bytes) -> str:
    answer = browser.post("/consent/proof/dossier", files={"file": ("maria.html", octets)})
    assert answer.status_code in {200, 422}
    return text_of(answer)


@on_sqlite
def test_a_dossier_is_checked_and_not_stored(office: Office, officer: Browser, tmp_path: Path) -> None:
    data = {"language": "de", "format": "html"}
    dossier = officer.post("/subscribers/1/dossier", data).content
    before = [office.rows(table) for table in ("audit_entry", "consent_event")]
    assert "mit unserem Schlüssel" in handed_in(officer, dossier)
    assert "nicht mehr, was versiegelt wurde" in handed_in(officer, dossier.replace(b"Maria Muster", b"Maria Master"))
    other = sealed.seal_html(b"<!DOCTYPE html><p>maria</p>", seal.make(tmp_path / "other.pem"))
    assert "mit einem anderen Schlüssel" in handed_in(officer, other)
    assert "trägt kein Siegel" in handed_in(officer, b"<p>no dossier</p>")
    assert "wählen Sie eine Datei" in handed_in(officer, b"")
    assert [office.rows(table) for table in ("audit_entry", "consent_event")] == before


@on_sqlite
def test_a_file_is_taken_in_from_nobody_who_may_not_hand_it_in_and_not_without_end(
    office: Office, officer: Browser
) -> None:
    large = {"file": ("maria.html", b"x" * 9 * 1024 * 1024)}
    assert officer.post("/consent/proof/dossier", files=large).status_code == 413
    stranger = office.browser().post("/consent/proof/dossier", files=large)
    assert (stranger.status_code, stranger.headers["location"]) == (303, "/console/login")
    assert officer.post("/subscribers/search", files={"address": ("a", b"x" * 70_000)}).status_code == 413

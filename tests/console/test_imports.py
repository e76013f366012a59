"""Files are handed in at the console: looked over, imported, read otherwise, discarded; and what does not get in."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from dispatcher.db import clock
from dispatcher.db.tables import subscriber
from dispatcher.db.terms import Role, SuppressionReason, UploadState
from dispatcher.domain import suppression, uploads
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.sending.handed_in.place import shelf_of
from tests.console.office import FILE, Browser, Office, heading, on_sqlite, text_of

pytestmark = on_sqlite
PROOF = "2026-01-31T14:05:00+01:00,form 3"
HEADER = "email,topics,consent_at,consent_source\n"


def hand_in(browser: Browser, text: str | bytes, name: str = "people.csv", **fields: str | list[str]) -> httpx.Response:
    """Send a file from the page."""
    data = {"form_token": browser.form_token, "origin": "export from the CRM", "encoding": "utf-8", **fields}
    headers = {"origin": browser._base}
    octets = text.encode() if isinstance(text, str) else text
    return browser.ask("POST", "/subscribers/imports/new", data=data, files={"file": (name, octets)}, headers=headers)


def place_of(answer: httpx.Response) -> str:
    """Give the page that an answer leads to."""
    assert answer.status_code == 303, text_of(answer)
    return answer.headers["location"].removeprefix("/console")


def people(office: Office) -> int:
    with office.engine.begin() as conn:
        return int(conn.execute(select(func.count()).select_from(subscriber)).scalar_one())


def test_a_file_is_handed_in_looked_over_and_imported_on_somebodys_word(office: Office) -> None:
    with office.engine.begin() as conn:
        hashed = address_hash(office.keyring, parse_address("never@example.de"))
        suppression.suppress(conn, [hashed], None, SuppressionReason.COMPLAINT, "a letter", clock.now(conn))
    browser = office.browser_of(Role.ADMIN)
    text = (
        f"{HEADER}anna@example.de,finance-news,{PROOF}\nnever@example.de,finance-news,{PROOF}\nbroken,finance-news,,\n"
    )
    place = place_of(hand_in(browser, text))
    waits = browser.get(place)
    assert heading(waits) == "people.csv · wird geprüft"
    assert "Sie können diese Seite schließen." in text_of(waits)
    office.work()  # the browser is not asked any more
    looked = browser.get(place)
    assert heading(looked) == "people.csv · wartet auf Sie"
    assert "1 Einwilligung mit Nachweis; gilt ab sofort" in text_of(looked)
    assert "Ein Mensch aus dieser Datei darf nie angeschrieben werden. Dabei bleibt es." in text_of(looked)
    assert "Eine Person importieren" in text_of(looked)
    assert "4 Das ist keine gültige E-Mail-Adresse." in text_of(looked)
    assert people(office) == 0
    assert browser.post(f"{place}/start").status_code == 303
    assert heading(browser.get(place)) == "people.csv · wird importiert"
    office.work()
    done = browser.get(place)
    assert heading(done) == "people.csv · importiert"
    assert "Die Datei ist gelöscht. Die abgelehnten Zeilen gehen am" in text_of(done)
    assert people(office) == 1


def test_rejected_rows_are_handed_out_and_what_was_done_stands_in_the_list_and_in_the_audit_log(office: Office) -> None:
    browser = office.browser_of(Role.ADMIN)
    place = place_of(hand_in(browser, f"{HEADER}anna@example.de,finance-news,{PROOF}\nbroken,finance-news,,\n"))
    office.work()
    browser.post(f"{place}/start")
    office.work()
    rejects = browser.post(f"{place}/rejects")
    assert rejects.text.splitlines()[1] == "3,An email address must have an @-sign.,broken,finance-news,,"
    assert "attachment" in rejects.headers["content-disposition"]
    assert office.deeds() == ["imports.handed_in", "imports.started", "imports.rejects_handed_out"]
    listed = text_of(browser.get("/subscribers/imports"))
    assert "people.csv export from the CRM importiert 1 mit Einwilligung, 1 abgelehnt" in listed
    twice = browser.post(f"{place}/start")
    assert twice.status_code == 422
    assert heading(twice) == "people.csv · importiert"


def test_a_file_that_cannot_be_read_is_read_otherwise_without_being_handed_in_anew(office: Office) -> None:
    browser = office.browser_of(Role.DATA_PROTECTION)
    place = place_of(hand_in(browser, "E-Mail;Vorname\nmüller@example.de;Jörg\n".encode("windows-1252")))
    office.work()
    failed = text_of(browser.get(place))
    assert "Als windows-1252 gelesen steht dort „müller@example.de;Jörg“" in failed or "Als latin-1 gelesen" in failed
    again = {"encoding": "windows-1252"}
    assert browser.post(f"{place}/again", again).status_code == 303
    office.work()
    assert "Es fehlen die Spalten email und topics." in text_of(browser.get(place))
    mapped = {**again, "column_email": "E-Mail", "column_name": "Vorname", "topic": "finance-news", "confirm": "yes"}
    assert browser.post(f"{place}/again", mapped).status_code == 303
    office.work()
    looked = text_of(browser.get(place))
    assert "E-Mail E-Mail-Adresse Vorname Name" in looked
    assert "1 kein Nachweis, der trägt" in looked
    assert browser.post(f"{place}/discard").status_code == 303
    assert "Verworfen von Anna Beispiel" in text_of(browser.get(place))
    assert list(office.settings.uploads.iterdir()) == []


def test_what_is_no_file_to_be_imported_leaves_nothing_behind(office_of: Callable[..., Office]) -> None:
    office = office_of(upload_limit="1")
    browser = office.browser_of(Role.ADMIN)
    said = {
        "no file": text_of(browser.post("/subscribers/imports/new", {"origin": "CRM", "encoding": "utf-8"})),
        "not chosen": text_of(hand_in(browser, "", name="")),
        "empty": text_of(hand_in(browser, "")),
        "large": text_of(hand_in(browser, b"x" * 1_000_001)),
        "no origin": text_of(hand_in(browser, FILE, origin="")),
        "an address": text_of(hand_in(browser, FILE, origin="list of anna@example.de")),
        "no encoding": text_of(hand_in(browser, FILE, encoding="ebcdic")),
    }
    assert {name: _error(text) for name, text in said.items()} == {
        "no file": "Bitte wählen Sie eine Datei.",
        "not chosen": "Bitte wählen Sie eine Datei.",
        "empty": "Diese Datei ist leer.",
        "large": "Diese Datei ist zu groß.",
        "no origin": "Bitte schreiben Sie eine Zeile",
        "an address": "Bitte ohne E-Mail-Adresse",
        "no encoding": "Bitte wählen Sie einen Zeichensatz.",
    }
    forged = {"form_token": "0" * 64, "origin": "CRM", "encoding": "utf-8"}
    headers = {"origin": browser._base}
    files = {"file": ("people.csv", FILE.encode())}
    assert browser.ask("POST", "/subscribers/imports/new", data=forged, files=files, headers=headers).status_code == 403
    assert list(office.settings.uploads.iterdir()) == []
    assert office.rows("upload") == []


def _error(text: str) -> str:
    known = (
        "Bitte wählen Sie eine Datei.", "Diese Datei ist leer.", "Diese Datei ist zu groß.",
        "Bitte schreiben Sie eine Zeile", "Bitte ohne E-Mail-Adresse", "Bitte wählen Sie einen Zeichensatz.",
    )  # fmt: skip
    return next((each for each in known if f"! {each}" in text), text)


@pytest.mark.parametrize(
    "body",
    [b"", b"--b\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx", b"nonsense" * 100,
     b'--b\r\nContent-Disposition: form-data; name="file"; filename="p.csv"\r\n\r\nhalf a file'],
)  # fmt: skip
def test_a_form_that_breaks_off_is_refused_and_its_file_does_not_stay(office: Office, body: bytes) -> None:
    browser = office.browser_of(Role.ADMIN)
    headers = {"origin": browser._base, "content-type": "multipart/form-data; boundary=b"}
    answer = browser.ask("POST", "/subscribers/imports/new", content=body, headers=headers)
    assert answer.status_code == 400
    assert not office.settings.uploads.exists() or list(office.settings.uploads.iterdir()) == []


def test_nobodys_file_is_read_who_may_not_hand_one_in(office: Office) -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"x")
        yield b"x" * 1000

    def send(browser: Browser) -> int:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(office.app)
            async with httpx.AsyncClient(
                transport=transport, base_url=browser._base, cookies=browser.cookies
            ) as client:
                headers = {"origin": browser._base, "content-type": "multipart/form-data; boundary=b"}
                return await client.post("/console/subscribers/imports/new", content=body(), headers=headers)

        return asyncio.run(ask()).status_code

    assert send(office.browser()) == 303  # to the log-in
    assert send(office.browser_of(Role.EDITOR)) == 403
    assert not office.settings.uploads.exists()


def test_a_large_file_is_never_held_in_memory(office: Office, tmp_path: Path) -> None:
    from starlette.requests import Request

    from dispatcher.web.receiving import receive

    piece, pieces = b"0123456789abcdef" * 4096, 200  # 13 MB
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="..\\..\\p.csv"\r\n\r\n'
    left = [head, *[piece] * pieces, b"\r\n--b--\r\n"]

    async def come() -> dict[str, object]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=b")]}
    tracemalloc.start()
    form = asyncio.run(receive(Request(scope, come), shelf_of(office.settings)))  # type: ignore[arg-type]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert form.file is not None
    assert (form.file.file, form.file.octets) == ("p.csv", len(piece) * pieces)
    assert most < 2_000_000
    path = shelf_of(office.settings).path(form.file.stored)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_an_erasure_takes_files_along_that_may_name_the_person(office: Office) -> None:
    browser = office.browser_of(Role.ADMIN)
    person = office.subscribe("thing@example.com")
    waiting, taken = office.hand_in(), office.hand_in()
    browser.post(f"/subscribers/imports/{taken}/start")
    office.work()
    assert browser.post(f"/subscribers/{person}/erase", {"received": ""}).status_code == 303
    office.work()
    assert list(office.settings.uploads.iterdir()) == []
    assert "inzwischen jemand gelöscht wurde" in text_of(browser.get(f"/subscribers/imports/{waiting}"))
    assert "Die abgelehnten Zeilen sind nicht mehr da" in text_of(browser.get(f"/subscribers/imports/{taken}"))
    assert browser.post(f"/subscribers/imports/{taken}/rejects").status_code == 422


def test_the_never_mail_list_takes_a_file_in_and_gives_one_out_that_comes_in_again(office: Office) -> None:
    browser = office.browser_of(Role.ADMIN)
    data = {"form_token": browser.form_token, "origin": "old system", "encoding": "utf-8", "scope": "all",
            "reason": "operator"}  # fmt: skip
    path, headers = "/subscribers/suppressions/import", {"origin": browser._base}
    files = {"file": ("never.txt", b"a@example.de\nb@example.de\nbroken@\n")}
    place = place_of(browser.ask("POST", path, data=data, files=files, headers=headers))
    office.work()
    assert "2 neu auf der Liste 1 nicht lesbar; bleiben draußen" in text_of(browser.get(place))
    assert "2 Adressen sperren" in text_of(browser.get(place))
    browser.post(f"{place}/start")
    office.work()
    listed = text_of(browser.get("/subscribers/suppressions?reason=operator"))
    assert listed.count("import: old system") == 2
    given = browser.post("/subscribers/suppressions/export").text
    assert given.splitlines()[0] == "key,address_hash,scope,reason,source,at"
    assert len(given.splitlines()) == 3
    place = place_of(browser.ask("POST", path, data=data, files={"file": ("n.csv", given.encode())}, headers=headers))
    office.work()
    assert "2 standen schon auf der Liste" in text_of(browser.get(place))
    assert "Diese Datei bringt nichts Neues." in text_of(browser.get(place))


def test_everybody_is_exported_as_the_command_line_does_and_it_stands_in_the_audit_log(office: Office) -> None:
    office.subscribe("maria@example.de", "=Maria")
    browser = office.browser_of(Role.DATA_PROTECTION)
    assert "Bitte wählen Sie mindestens ein Thema" in text_of(browser.post("/subscribers/export"))
    given = browser.post("/subscribers/export", {"topic": "finance-news", "state": "confirmed"})
    lines = given.text.removeprefix("\ufeff").splitlines()
    assert lines[0].startswith("email,name,language,zone,finance-news,")
    assert lines[1].startswith("maria@example.de,'=Maria,de,,confirmed,")
    assert len(lines) == 2
    assert office.deeds() == ["exporting.exported"]


def test_pages_of_the_never_mail_list_lead_through_all_of_it_and_back(office: Office) -> None:
    with office.engine.begin() as conn:
        now = clock.now(conn)
        hashes = [bytes([n]) * 32 for n in range(130)]
        suppression.suppress(conn, hashes, None, SuppressionReason.BOUNCED, "a bounce", now)  # all at one moment
    browser = office.browser_of(Role.EDITOR)
    seen, path = [], "/subscribers/suppressions"
    pages = [browser.get(path).text]
    for word in ("next", "next", "prev", "prev"):
        query = pages[-1].split(f'rel="{word}" href="')[1].split('"')[0].replace("&amp;", "&")
        pages.append(browser.get(path + query).text)
    seen = [sorted(n for n in range(130) if f'<code title="{(bytes([n]) * 32).hex()}"' in page) for page in pages]
    assert sorted(seen[0] + seen[1] + seen[2]) == list(range(130))
    assert (seen[3], seen[4]) == (seen[1], seen[0])
    assert 'rel="prev"' not in pages[0] + pages[4]
    assert "unzustellbar" in pages[0]
    assert browser.get(path + "?before=nonsense").status_code == 200


def test_the_state_of_a_file_that_waits_for_its_folder_is_told(office: Office) -> None:
    browser = office.browser_of(Role.ADMIN)
    number = office.hand_in()
    browser.post(f"/subscribers/imports/{number}/start")
    for path in office.settings.uploads.iterdir():
        path.unlink()
    office.work()
    with office.engine.begin() as conn:
        stands = uploads.by_id(conn, number)
    assert stands is not None
    assert stands.state is UploadState.IMPORTING
    assert "Der Worker findet die Datei nicht." in text_of(browser.get(f"/subscribers/imports/{number}"))

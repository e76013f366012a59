"""People at the console: found by address, told whole, and ended, barred or added on their word."""

import re

import pytest
from sqlalchemy import select

from dispatcher.db import clock
from dispatcher.db.tables import suppression
from dispatcher.db.terms import ConsentKind, Role, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain import consent
from dispatcher.domain.address_hashes import address_hash
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.people import directory
from dispatcher.domain.people.directory import Wanted
from tests import builders
from tests.console.office import Browser, Office, heading, on_sqlite, text_of

MARIA = "maria.muster@example.com"
SOURCE = "Anruf am 30. November"


@pytest.fixture
def maria(office: Office) -> int:
    return office.subscribe(MARIA)


def staff(office: Office) -> Browser:
    return office.browser_of(Role.DATA_PROTECTION)


@on_sqlite
@pytest.mark.parametrize("typed", [MARIA, f"  {MARIA.upper()} "])
def test_an_address_leads_to_its_person_by_number(office: Office, maria: int, typed: str) -> None:
    answer = staff(office).post("/subscribers/search", {"address": typed})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/subscribers/{maria}")


@on_sqlite
def test_of_an_address_that_is_nobodys_the_search_says_what_is_known(office: Office) -> None:
    with office.engine.begin() as conn:
        builders.suppress(conn, office.keyring, ["gone@example.com"], clock.now(conn))
    browser = staff(office)
    page = browser.post("/subscribers/search", {"address": "gone@example.com"})
    assert (page.status_code, heading(page)) == (200, "Niemand hat diese Adresse")
    assert "Alle Themen : Beschwerde" in text_of(page)
    mended = browser.post("/subscribers/search", {"address": "gone@"})
    assert (mended.status_code, "keine vollständige E-Mail-Adresse" in text_of(mended)) == (422, True)
    assert 'value="gone@"' in mended.text


@on_sqlite
def test_a_persons_page_tells_words_letters_and_what_the_gate_would_say(office: Office, maria: int) -> None:
    browser = office.browser_of(Role.EDITOR)
    page = browser.get(f"/subscribers/{maria}")
    told = text_of(page)
    assert heading(page) == MARIA
    assert "Finanznews ja eingewilligt" in told
    assert "Angebote nein Die Anmeldung ist nicht bestätigt." in told
    assert "form at the fair" in told
    assert "Diese Einwilligung kann ich jederzeit" in told  # the words they read, whole
    assert "Edelmetalle der Woche Finanznews gesendet 250 2.0.0 queued" in told
    with office.engine.begin() as conn:
        builders.suppress(conn, office.keyring, [MARIA], clock.now(conn))
    assert "Finanznews nein Die Adresse steht auf der Sperrliste." in text_of(browser.get(f"/subscribers/{maria}"))


@on_sqlite
def test_words_that_were_altered_since_are_not_shown_as_what_was_agreed_to(office: Office, maria: int) -> None:
    with office.engine.begin() as conn:
        conn.exec_driver_sql("DROP TRIGGER declaration_no_update")
        conn.exec_driver_sql("UPDATE declaration SET text = 'Ich will alles.'")
    told = text_of(staff(office).get(f"/subscribers/{maria}"))
    assert "Dieser Wortlaut wurde nachträglich verändert." in told
    assert "Ich will alles." not in told


def test_a_consent_is_ended_for_one_topic_or_for_all(office: Office, maria: int) -> None:
    browser = staff(office)
    ended = browser.post(f"/subscribers/{maria}/withdraw", {"scope": "special-offers", "source": SOURCE})
    assert ended.status_code == 303
    with office.engine.begin() as conn:
        assert {topic: state.value for topic, (state, _) in consent.standing(conn, maria).items()} == {
            Topic.FINANCE_NEWS: "confirmed",
            Topic.SPECIAL_OFFERS: "withdrawn",
        }
    browser.post(f"/subscribers/{maria}/withdraw", {"scope": "all", "source": SOURCE})
    told = text_of(browser.get(f"/subscribers/{maria}"))
    assert "operator Anna Beispiel, console: Anruf am 30. November" in told
    assert "Finanznews nein Die Adresse steht auf der Sperrliste." in told
    assert office.deeds() == ["subscribers.withdrew", "subscribers.withdrew"]


def test_what_the_house_barred_it_lifts_and_a_complaint_stays(office: Office, maria: int) -> None:
    browser = staff(office)
    barred = {"scope": "all", "reason": "operator", "source": SOURCE}
    assert browser.post(f"/subscribers/{maria}/suppress", barred).status_code == 303
    assert f'href="/console/subscribers/{maria}/lift"' in browser.get(f"/subscribers/{maria}").text
    assert browser.post(f"/subscribers/{maria}/lift", {"scope": "all", "source": SOURCE}).status_code == 303
    assert office.rows("suppression") == []
    browser.post(f"/subscribers/{maria}/suppress", barred | {"reason": "complaint"})
    refused = browser.post(f"/subscribers/{maria}/lift", {"scope": "all", "source": SOURCE})
    assert (refused.status_code, "Hier steht nichts, was Sie aufheben können" in text_of(refused)) == (422, True)
    assert [row.reason for row in office.rows("suppression")] == ["complaint"]
    assert office.deeds() == ["subscribers.suppressed", "subscribers.lifted", "subscribers.suppressed"]


@on_sqlite
@pytest.mark.parametrize(
    "said", [{"reason": "objected"}, {"scope": "x"}, {"source": ""}, {"source": f"mail of {MARIA}"}]
)
def test_an_entry_needs_its_reason_its_scope_and_a_word_about_it(
    office: Office, maria: int, said: dict[str, str]
) -> None:
    form = {"scope": "all", "reason": "operator", "source": SOURCE} | said
    answer = staff(office).post(f"/subscribers/{maria}/suppress", form)
    assert (answer.status_code, 'aria-invalid="true"' in answer.text or 'class="wrong"' in answer.text) == (422, True)
    assert office.rows("suppression") == []


@on_sqlite
def test_an_address_that_is_nobodys_can_be_barred_and_no_page_keeps_it(office: Office) -> None:
    browser = staff(office)
    form = {"address": "never@example.com", "scope": "all", "reason": "bounced", "source": SOURCE}
    assert browser.post("/subscribers/suppress", form).headers["location"] == "/console/subscribers"
    hashed = address_hash(office.keyring, parse_address("never@example.com"))
    with office.engine.begin() as conn:
        assert conn.execute(select(suppression.c.reason).where(suppression.c.address_hash == hashed)).scalar_one() == (
            SuppressionReason.BOUNCED
        )
    assert office.rows("subscriber") == []
    browser.post("/subscribers/lift", {"address": "never@example.com", "scope": "all", "source": SOURCE})
    assert {row.reason for row in office.rows("suppression")} == {"withdrawn"}  # no file brings them in


def test_somebody_who_is_added_is_asked_by_mail(office: Office) -> None:
    browser = staff(office)
    form = {
        "address": "Neu@Example.com",
        "name": "Jörg Neu",
        "language": "de",
        "topic": ["finance-news"],
        "source": SOURCE,
    }
    answer = browser.post("/subscribers/new", form)
    (person,), (asked,) = office.rows("subscriber"), office.rows("opt_in_request")
    assert answer.headers["location"] == f"/console/subscribers/{person.id}"
    assert (person.address, person.name, asked.topics) == ("Neu@example.com", "Jörg Neu", ["finance-news"])
    assert "Die Person bekommt jetzt eine Mail" in text_of(browser.get(f"/subscribers/{person.id}"))
    browser.post("/subscribers/new", form)
    assert "Es geht keine Mail hinaus" in text_of(browser.post("/subscribers/new", form, follow_redirects=True))


@on_sqlite
def test_with_evidence_consent_counts_at_once_and_without_a_time_of_day_it_does_not(office: Office) -> None:
    browser = staff(office)
    form = {"address": "neu@example.com", "language": "de", "topic": ["finance-news"], "source": SOURCE,
            "day": "2026-03-01", "evidence": "Formular 117, Ordner 4"}  # fmt: skip
    assert "ein Datum allein beweist nichts" in text_of(browser.post("/subscribers/new", form))
    assert browser.post("/subscribers/new", form | {"time": "10:30"}).status_code == 303
    (event,) = office.rows("consent_event")
    assert (event.kind, event.given_at.isoformat()) == ("imported", "2026-03-01T09:30:00+00:00")
    assert event.source == f"operator Anna Beispiel, console: {SOURCE}; evidence: Formular 117, Ordner 4"


@on_sqlite
def test_nobody_is_added_who_is_never_to_be_mailed(office: Office) -> None:
    with office.engine.begin() as conn:
        builders.suppress(conn, office.keyring, ["never@example.com"], clock.now(conn))
    form = {"address": "never@example.com", "language": "de", "topic": ["finance-news"], "source": SOURCE}
    answer = staff(office).post("/subscribers/new", form)
    assert (answer.status_code, "Die Adresse steht auf der Sperrliste" in text_of(answer)) == (422, True)
    assert office.rows("subscriber") == []


@pytest.mark.both_databases
def test_people_are_listed_page_by_page_in_both_directions(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with office.engine.begin() as conn:
        now = clock.now(conn)
        ids = list(builders.add_people(conn, office.keyring, [f"p{n}@example.com" for n in range(7)], now).values())
        builders.agree(conn, ids[:5], Topic.FINANCE_NEWS, now)
        builders.withdraw(conn, ids[:1], Topic.FINANCE_NEWS, now)

        def numbers(**wanted: object) -> list[int]:
            return [ids.index(line.id) for line in directory.page(conn, Wanted(**wanted), 3)]  # type: ignore[arg-type]

        assert numbers() == [6, 5, 4]
        assert numbers(before=ids[4]) == [3, 2, 1]
        assert numbers(after=ids[1]) == [4, 3, 2]
        assert numbers(topic=Topic.FINANCE_NEWS) == [4, 3, 2]
        assert numbers(topic=Topic.FINANCE_NEWS, state="confirmed", before=ids[2]) == [1]
        assert numbers(topic=Topic.SPECIAL_OFFERS) == []
        builders.agree(conn, ids[:6], Topic.PRODUCT_NEWS, now, ConsentKind.REQUESTED)
        for few in (5_000, 5):  # by their own index, and among all the others
            monkeypatch.setattr(directory, "_FEW", few)
            pending = {"topic": Topic.PRODUCT_NEWS, "state": SubscriptionState.PENDING}
            assert numbers(**pending) == [5, 4, 3]
            assert numbers(**pending, before=ids[2]) == [1, 0]
            assert numbers(**pending, after=ids[1]) == [4, 3, 2]


@on_sqlite
def test_the_list_leads_on_and_back(office: Office) -> None:
    with office.engine.begin() as conn:
        builders.add_people(conn, office.keyring, [f"p{n}@example.com" for n in range(120)], clock.now(conn))
    browser = staff(office)
    page, seen = browser.get("/subscribers"), []
    for rel in ("next", "next", "prev", "prev"):
        seen.append(page.text.count("<tr>") - 1)
        page = browser.get(
            "/subscribers" + re.findall(rf'rel="{rel}" href="([^"]*)"', page.text)[0].replace("&amp;", "&")
        )
    assert seen == [50, 50, 20, 50]
    assert 'rel="prev"' not in page.text


@on_sqlite
def test_no_address_stands_in_the_audit_log_or_in_a_path_that_a_page_leads_to(office: Office, maria: int) -> None:
    browser = staff(office)
    form = {"address": MARIA, "scope": "all", "reason": "operator", "source": SOURCE, "language": "de"}
    for path in (
        "/subscribers/suppress",
        f"/subscribers/{maria}/lift",
        f"/subscribers/{maria}/withdraw",
        "/subscribers/new",
    ):
        assert browser.post(path, form | {"topic": ["finance-news"]}).status_code == 303
    entries = office.rows("audit_entry")
    assert len(entries) == 4
    assert {entry.about_id for entry in entries} == {maria}
    assert "@" not in repr([entry.detail for entry in entries])
    pages = [browser.get(path).text for path in ("/subscribers", f"/subscribers/{maria}")]
    assert not [link for page in pages for link in re.findall(r'(?:href|action)="([^"]*)"', page) if "@" in link]

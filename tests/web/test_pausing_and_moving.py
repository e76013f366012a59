"""The preference centre beyond topics: pause, leave all, another address; and what a forwarded link cannot do."""

from datetime import timedelta

import pytest

from dispatcher.db.terms import Topic
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.consent import Evidence
from dispatcher.domain.people import pauses, restriction
from dispatcher.domain.tokens import Purpose
from tests.web.visitor import MARIA, House, heading, text_of

FINANCE, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS
NEW = "m.muster@example.com"


@pytest.fixture
def maria(house: House) -> int:
    return house.add(topics=(FINANCE, OFFERS))


@pytest.fixture
def path(house: House, maria: int) -> str:
    return f"/p/{house.token(Purpose.PREFERENCES, maria, FINANCE, 7)}"


def _do(house: House, path: str, what: str, **fields: str) -> str:
    page = house.visitor().post(path, data={"do": what, **fields})
    assert page.status_code == 200
    return text_of(page)


@pytest.mark.parametrize("weeks", pauses.WEEKS)
def test_a_pause_begins_at_once_shows_its_day_and_can_be_ended(house: House, maria: int, path: str, weeks: int) -> None:
    words = _do(house, path, "pause", weeks=str(weeks))
    until = pauses.ends_on(weeks, house.now())
    assert "Die Pause gilt ab sofort, bis" in words
    assert f"Pausiert bis {until.day}." in words
    assert house.rows("subscriber")[0].paused_until == until
    assert house.confirmed(maria) == {FINANCE, OFFERS}
    event = house.rows("consent_event")[-1]
    assert (event.kind, event.topic, event.source) == ("paused", None, "preferences page")
    assert "Die Pause ist beendet." in _do(house, path, "resume")
    assert house.rows("subscriber")[0].paused_until is None


@pytest.mark.parametrize("weeks", ["", "3", "-2", "520", "x"])
def test_a_pause_that_is_not_offered_is_not_made(house: House, path: str, weeks: str) -> None:
    before = house.everything()
    _do(house, path, "pause", weeks=weeks)
    assert house.everything() == before


def test_one_button_leaves_everything(house: House, maria: int, path: str) -> None:
    assert "Sie sind von allen Themen abgemeldet." in _do(house, path, "leave")
    assert house.confirmed(maria) == set()
    assert "Pause" not in text_of(house.visitor().get(path))


def test_a_button_that_is_not_ours_counts_as_the_form_of_topics_and_in_doubt_the_person_leaves(
    house: House, maria: int, path: str
) -> None:
    _do(house, path, "steal")
    assert house.confirmed(maria) == set()


@pytest.mark.both_databases
def test_a_person_moves_by_two_buttons_in_two_mailboxes(house: House, maria: int, path: str, nudged: list[int]) -> None:
    words = _do(house, path, "move", address=f" {NEW} ")
    assert "Bitte sehen Sie in das Postfach von m***@example.de" in words
    first = house.confirmation_path()
    assert first.startswith("/a/")
    page = house.visitor().get(first)
    assert heading(page) == "Adresse ändern?"
    assert all(shown in text_of(page) for shown in ("m***@example.de", "m***@example.com"))
    assert MARIA not in page.text
    assert NEW not in page.text
    assert heading(house.visitor().post(first)) == "Noch ein Schritt"
    assert house.rows("subscriber")[0].address == MARIA

    second = house.confirmation_path()
    assert heading(house.visitor().get(second)) == "Ist das Ihre neue Adresse?"
    assert "example.de" not in text_of(house.visitor().get(second))
    assert heading(house.visitor().post(second)) == "Ihre Adresse ist geändert"
    assert heading(house.visitor().post(second)) == "Ihre Adresse ist geändert"
    assert heading(house.visitor().get(first)) == "Noch ein Schritt"
    assert house.rows("subscriber")[0].address == NEW
    assert house.confirmed(maria) == {FINANCE, OFFERS}
    assert len(nudged) == 3
    event = next(e for e in house.rows("consent_event") if e.kind == "address-changed")
    assert event.source.startswith("https://news.example.de/a/ address page 2026-01: ")
    assert event.ip == "192.0.2.7"
    assert "m***@example.com" in text_of(house.visitor().get(path))


def test_whoever_got_a_forwarded_letter_cannot_carry_the_subscription_off(
    house: House, path: str, nudged: list[int]
) -> None:
    _do(house, path, "move", address="stranger@example.com")
    assert house.rows("subscriber")[0].address == MARIA
    (request,) = house.rows("opt_in_request")
    assert request.errand == "leave-address"  # the one mail there is goes to Maria
    assert len(nudged) == 1


def test_the_answer_is_the_same_to_the_byte_whatever_we_know_of_the_address(house: House, path: str) -> None:
    house.add("known@example.com")
    answers = set()
    for address in ("known@example.com", "unknown@example.com", MARIA):
        with_stamp = house.visitor().post(path, data={"do": "move", "address": address}).text
        before, _, rest = with_stamp.partition('name="stamp" value="')
        answers.add(before + rest.partition('"')[2])
    assert len(answers) == 1
    house.visitor().post(house.confirmation_path())


def test_an_address_that_cannot_be_one_is_said_beside_the_field_and_stands_there_still(house: House, path: str) -> None:
    for typed, words in (("not an address", "keine vollständige E-Mail-Adresse"), (" ", "geben Sie Ihre E-Mail")):
        page = house.visitor().post(path, data={"do": "move", "address": typed})
        assert page.status_code == 422
        assert words in text_of(page)
        assert f'value="{typed}"' in page.text
    assert house.rows("opt_in_request") == []


def test_wishes_count_in_the_limits_of_the_sign_up_form(house: House, path: str) -> None:
    codes = [
        house.visitor().post(path, data={"do": "move", "address": f"p{n}@example.com"}).status_code for n in range(21)
    ]
    assert codes == [200] * 20 + [429]
    assert len(house.rows("opt_in_request")) == 2  # and one person is asked twice a day at most


@pytest.mark.both_databases
def test_an_address_that_many_name_is_not_asked_any_more_and_nobody_is_told(house: House, path: str) -> None:
    at = house.now() - timedelta(hours=1)
    house.visitor().post(path, data={"do": "move", "address": NEW})
    attempt = next(row for row in house.rows("signup_attempt") if row.bucket == "address")
    copy = {"at": at, "bucket": "address", "bucket_hash": attempt.bucket_hash}
    house.insert("signup_attempt", [{**copy, "number": attempt.number - n} for n in (1, 2, 3)])
    assert "Bitte sehen Sie in das Postfach" in _do(house, path, "move", address=NEW)
    assert len(house.rows("opt_in_request")) == 1
    assert parse_address(NEW).domain == "example.com"


def test_whose_data_is_restricted_can_leave_and_nothing_else(house: House, maria: int, path: str) -> None:
    now = house.now()
    with house.engine.begin() as conn:
        restriction.restrict(conn, maria, Evidence(source="a test"), now)
    words = text_of(house.visitor().get(path))
    assert "Die Verarbeitung Ihrer Daten ist eingeschränkt (Art. 18 DSGVO)." in words
    assert not any(button in words for button in ("2 Wochen", "Adresse ändern", "Sprache der E-Mails"))
    before = house.everything()
    for what, fields in (("pause", {"weeks": "2"}), ("move", {"address": NEW}), ("resume", {})):
        _do(house, path, what, **fields)
    stood = f"{FINANCE} {OFFERS}"
    _do(house, path, "", topic=FINANCE, stood=FINANCE, language="en")
    assert house.everything() == before
    assert "Abgemeldet, ab sofort: " in _do(house, path, "", topic=FINANCE, stood=stood)
    assert house.confirmed(maria) == {FINANCE}
    assert "Sie sind von allen Themen abgemeldet." in _do(house, path, "leave")
    assert house.confirmed(maria) == set()

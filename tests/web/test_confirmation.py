"""The confirmation page: looking changes nothing, the button confirms once."""

from datetime import timedelta

import pytest

from dispatcher.db import clock
from dispatcher.db.tables import opt_in_request
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import consent, declarations
from dispatcher.domain.consent import Evidence
from dispatcher.domain.declarations import Draft
from tests import builders
from tests.web.visitor import MARIA, House, heading, hidden, text_of


@pytest.fixture
def path(house: House) -> str:
    """Sign Maria up; give the path in her confirmation mail."""
    house.visitor().post("/", data=house.form(topic=["finance-news", "special-offers"]))
    return house.confirmation_path()


def person_id(house: House) -> int:
    return int(house.rows("subscriber")[0].id)


def test_the_page_says_what_will_be_confirmed_and_shows_no_whole_address(house: House, path: str) -> None:
    page = house.visitor().get(path)
    assert page.status_code == 200
    words = text_of(page)
    assert "m***@example.de" in words
    assert "Finanznews und Angebote" in words
    assert MARIA not in page.text
    assert page.text.count("<button") == 1


@pytest.mark.both_databases
def test_the_button_makes_consent_current_with_its_own_proof(house: House, path: str) -> None:
    page = house.visitor("198.51.100.9").post(path, data={}, headers={"user-agent": "Browser/1"})
    assert page.status_code == 200
    assert heading(page) == "Sie sind angemeldet"
    assert house.confirmed(person_id(house)) == {Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS}
    (event,) = (
        row for row in house.rows("consent_event") if row.kind == "confirmed" and row.topic == Topic.FINANCE_NEWS
    )
    request = house.rows("opt_in_request")[0]
    assert (event.ip, event.user_agent, event.request_id) == ("198.51.100.9", "Browser/1", request.id)
    assert event.declaration_id == request.declaration_id
    assert event.privacy_sha256 is not None
    assert "confirmation page" in event.source


def enter(house: House, version: str, *renews: Topic, covers: tuple[Topic, ...] = tuple(Topic)) -> None:
    texts = dict.fromkeys(Language, f"Words of {version}")
    with house.engine.begin() as conn:
        declarations.enter(conn, Draft(version, texts, covers, frozenset(renews)), clock.now(conn))


def words_of_consent(house: House) -> str:
    event = house.rows("consent_event")[-1]
    assert event.kind == "confirmed"
    (words,) = [row for row in house.rows("declaration") if row.id == event.declaration_id]
    return str(words.version)


def test_words_that_came_between_are_shown_before_the_button_agrees_to_them(house: House, path: str) -> None:
    enter(house, "2027-01", Topic.SPECIAL_OFFERS)
    unseen = house.visitor().post(path)  # the page was opened before the new words came
    assert heading(unseen) == "Anmeldung bestätigen?"
    assert "Words of 2027-01" in text_of(unseen)
    assert house.confirmed(person_id(house)) == set()
    assert heading(house.visitor().post(path, data={"declaration": "4711"})) == "Anmeldung bestätigen?"
    house.visitor().post(path, data={"declaration": hidden(house.visitor().get(path), "declaration")})
    assert house.confirmed(person_id(house)) == {Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS}
    assert words_of_consent(house) == "2027-01"


def test_words_that_came_between_and_cover_less_confirm_less(house: House, path: str) -> None:
    enter(house, "2027-01", Topic.SPECIAL_OFFERS, covers=(Topic.SPECIAL_OFFERS,))
    page = house.visitor().get(path)
    assert "Finanznews" not in text_of(page)
    house.visitor().post(path, data={"declaration": hidden(page, "declaration")})
    assert house.confirmed(person_id(house)) == {Topic.SPECIAL_OFFERS}


def test_words_that_came_between_and_cover_nothing_of_it_end_the_link(house: House, path: str) -> None:
    enter(house, "2027-01", Topic.SPECIAL_OFFERS)
    enter(house, "2027-02", Topic.PRODUCT_NEWS, covers=(Topic.PRODUCT_NEWS,))
    for page in (house.visitor().get(path), house.visitor().post(path)):
        assert page.status_code == 404
    assert house.confirmed(person_id(house)) == set()


def test_words_that_cover_the_older_leave_a_request_under_those_it_was_made_with(house: House, path: str) -> None:
    enter(house, "2027-01", Topic.PRODUCT_NEWS)
    assert "Words of 2027-01" not in house.visitor().get(path).text
    house.visitor().post(path)
    assert words_of_consent(house) == "2026-01"


def test_a_request_that_named_no_words_is_shown_those_of_today(house: House, path: str) -> None:
    with house.engine.begin() as conn:
        conn.execute(opt_in_request.update().values(declaration_id=None))
    assert heading(house.visitor().post(path)) == "Anmeldung bestätigen?"
    house.visitor().post(path, data={"declaration": hidden(house.visitor().get(path), "declaration")})
    assert words_of_consent(house) == "2026-01"


def test_a_renewal_says_so_and_shows_the_new_words(house: House, path: str) -> None:
    maria = person_id(house)
    with house.engine.begin() as conn:
        conn.execute(opt_in_request.update().values(renews=1))
        for topic in (Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS):
            builders.agree(conn, [maria], topic, clock.now(conn))
    page = house.visitor().get(path)
    assert heading(page) == "Einwilligung erneuern?"
    assert "Ja, ich willige neu ein" in text_of(page)
    assert heading(house.visitor().get(path + "?lang=en")) == "Renew your consent?"
    assert heading(house.visitor().post(path)) == "Sie sind angemeldet"


def test_the_page_after_it_leads_to_the_preferences(house: House, path: str) -> None:
    page = house.visitor().post(path)
    (link,) = [part.partition('"')[0] for part in page.text.split('href="') if part.startswith("/p/")]
    assert heading(house.visitor().get(link)) == "Ihre Einstellungen"


def test_to_press_the_button_again_is_friendly_and_changes_nothing(house: House, path: str) -> None:
    house.visitor().post(path)
    before = house.everything()
    for page in (house.visitor().post(path), house.visitor().get(path)):
        assert page.status_code == 200
        assert heading(page) == "Schon bestätigt"
    assert house.everything() == before


def test_a_used_link_does_not_tell_somebody_who_has_left_that_they_are_subscribed(house: House, path: str) -> None:
    house.visitor().post(path)
    person = person_id(house)
    with house.engine.begin() as conn:
        consent.withdraw(conn, person, [Topic.FINANCE_NEWS], Evidence(source="a test"), clock.now(conn))
    for page in (house.visitor().post(path), house.visitor().get(path)):
        assert heading(page) == "Dieser Link ist verbraucht"
    assert house.confirmed(person_id(house)) == {Topic.SPECIAL_OFFERS}


def test_a_used_link_tells_of_no_topic_that_its_button_did_not_confirm(house: House, path: str) -> None:
    enter(house, "2027-01", Topic.SPECIAL_OFFERS, covers=(Topic.SPECIAL_OFFERS,))
    house.visitor().post(path, data={"declaration": hidden(house.visitor().get(path), "declaration")})
    page = house.visitor().get(path)
    assert heading(page) == "Schon bestätigt"
    assert "(Angebote)" in text_of(page)


def test_a_used_link_does_not_tell_somebody_under_older_words_that_it_stands_nor_that_they_left(
    house: House, path: str
) -> None:
    house.visitor().post(path)
    enter(house, "2027-01", Topic.SPECIAL_OFFERS)
    for language, words in (("de", "Seither hat sich der Wortlaut geändert"), ("en", "The wording has changed since")):
        page = house.visitor().get(f"{path}?lang={language}")
        assert words in text_of(page)
        assert "abgemeldet" not in text_of(page)


def test_the_words_the_page_and_the_proof_are_in_one_language(house: House, path: str) -> None:
    declared = {row.language: row for row in house.rows("declaration")}
    page = house.visitor().get(f"{path}?lang=en")
    assert "By subscribing I agree" in text_of(page)
    assert "willige ich ein" not in text_of(page)
    assert hidden(page, "declaration") == str(declared["en"].id)
    house.visitor().post(f"{path}?lang=en", data={"declaration": hidden(page, "declaration")})
    event = house.rows("consent_event")[-1]
    assert (event.kind, event.language, event.declaration_id) == ("confirmed", "en", declared["en"].id)


def test_a_link_older_than_seven_days_says_what_to_do(house: House, path: str) -> None:
    with house.engine.begin() as conn:
        conn.execute(opt_in_request.update().values(expires_at=clock.now(conn) - timedelta(seconds=1)))
    for page in (house.visitor().get(path), house.visitor().post(path)):
        assert page.status_code == 404
        assert "gilt sieben Tage" in text_of(page)
    assert house.confirmed(person_id(house)) == set()


def test_the_page_speaks_the_language_of_the_request_unless_asked_otherwise(house: House, path: str) -> None:
    english = {"accept-language": "en"}
    assert heading(house.visitor().get(path, headers=english)) == "Anmeldung bestätigen?"
    assert heading(house.visitor().get(path + "?lang=en")) == "Confirm your subscription?"
    page = house.visitor().get(path + "?lang=en")
    agreed = {"declaration": hidden(page, "declaration")}
    assert heading(house.visitor().post(path + "?lang=en", data=agreed)) == "You are subscribed"

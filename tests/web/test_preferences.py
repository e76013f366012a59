"""Preferences: leaving works at once, joining asks by mail, the language is the person's choice."""

from datetime import timedelta

import pytest

from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain.tokens import Purpose
from dispatcher.web.choices import Sent, Stands, decide
from tests.web.visitor import MARIA, House, heading, hidden, text_of

FINANCE, OFFERS, PRODUCT = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS, Topic.PRODUCT_NEWS


@pytest.fixture
def maria(house: House) -> int:
    """Maria, who gets finance news and offers."""
    return house.add(topics=(FINANCE, OFFERS))


@pytest.fixture
def path(house: House, maria: int) -> str:
    """Give the link in a finance letter of hers."""
    return f"/p/{house.token(Purpose.PREFERENCES, maria, FINANCE, 7)}"


def save(house: House, path: str, *topics: Topic, **more: str) -> str:
    """Save the page as a person does; give what it answers."""
    form = {"topic": list(topics), "language": "de", "stamp": house.stamp(), **more}
    page = house.visitor().post(path, data=form)
    assert page.status_code == 200
    return text_of(page)


def test_the_page_shows_where_the_person_stands_and_no_whole_address(house: House, path: str) -> None:
    page = house.visitor().get(path)
    assert heading(page) == "Ihre Einstellungen"
    boxes = [line for line in page.text.splitlines() if 'type="checkbox"' in line]
    assert [(Topic(b.split('value="')[1].partition('"')[0]), "checked" in b) for b in boxes] == [
        (PRODUCT, False),
        (FINANCE, True),
        (OFFERS, True),
    ]
    assert 'value="de" id="language-de" checked' in page.text
    assert "m***@example.de" in text_of(page)
    assert MARIA not in page.text


@pytest.mark.both_databases
def test_an_unticked_topic_is_left_at_once(house: House, maria: int, path: str) -> None:
    words = save(house, path, OFFERS)
    assert "Abgemeldet, ab sofort: Finanznews." in words
    assert house.confirmed(maria) == {OFFERS}
    event = house.rows("consent_event")[-1]
    assert (event.kind, event.topic, event.source) == ("withdrawn", "finance-news", "preferences page")


def test_an_empty_form_leaves_everything(house: House, maria: int, path: str) -> None:
    house.visitor().post(path)
    assert house.confirmed(maria) == set()


def test_a_new_topic_starts_a_double_opt_in_under_the_words_on_the_page(
    house: House, maria: int, path: str, nudged: list[int]
) -> None:
    page = house.visitor().get(path)
    words = save(house, path, FINANCE, OFFERS, PRODUCT, stamp=hidden(page, "stamp"))
    assert "Produktnachrichten: Wir haben Ihnen eine E-Mail geschickt." in words
    assert "Wartet noch auf Ihre Bestätigung." in words
    assert house.confirmed(maria) == {FINANCE, OFFERS}
    assert house.states(maria)[PRODUCT] is SubscriptionState.PENDING
    assert len(nudged) == 1
    event = house.rows("consent_event")[-1]
    assert (event.kind, event.topic) == ("requested", "product-news")
    assert event.source == "https://news.example.de/p/ preferences page 2026-01"
    assert event.declaration_id is not None
    assert event.privacy_sha256 is not None

    house.visitor().post(house.confirmation_path())
    assert house.confirmed(maria) == {FINANCE, OFFERS, PRODUCT}


def test_after_unsubscribing_a_new_double_opt_in_brings_somebody_back(house: House, maria: int, path: str) -> None:
    save(house, path, OFFERS)
    save(house, path, OFFERS, FINANCE)
    assert house.confirmed(maria) == {OFFERS}
    house.visitor().post(house.confirmation_path())
    assert house.confirmed(maria) == {OFFERS, FINANCE}
    assert house.rows("suppression") == []


@pytest.mark.parametrize("stamped", ["", "nonsense", "yesterday"])
def test_a_page_from_yesterday_joins_nothing_and_still_leaves(
    house: House, maria: int, path: str, nudged: list[int], stamped: str
) -> None:
    given = house.stamp(timedelta(hours=25)) if stamped == "yesterday" else stamped
    words = save(house, path, FINANCE, PRODUCT, stamp=given)
    assert "Produktnachrichten: Dafür können wir Ihnen gerade keine Bestätigungsmail schicken." in words
    assert house.confirmed(maria) == {FINANCE}
    assert nudged == []


def test_when_no_mail_is_due_the_page_says_so_and_claims_nothing(house: House, path: str) -> None:
    for _ in range(2):
        assert "Wir haben Ihnen eine E-Mail geschickt." in save(house, path, FINANCE, OFFERS, PRODUCT)
    assert "gerade keine Bestätigungsmail" in save(house, path, FINANCE, OFFERS, PRODUCT)


def test_the_language_is_changed_and_the_page_answers_in_it(house: House, path: str) -> None:
    words = save(house, path, FINANCE, OFFERS, language="en")
    assert "From now on we write to you in English." in words
    assert house.rows("subscriber")[0].language == "en"
    assert heading(house.visitor().get(path)) == "Your preferences"


def test_a_language_that_we_do_not_write_in_changes_nothing(house: House, path: str) -> None:
    save(house, path, FINANCE, OFFERS, language="tlh")
    assert house.rows("subscriber")[0].language == "de"


def test_to_save_the_page_as_it_is_changes_nothing(house: House, path: str) -> None:
    before = house.everything()
    assert "Gespeichert." in save(house, path, FINANCE, OFFERS)
    assert house.everything() == before


def test_whoever_was_erased_has_no_preferences(house: House, maria: int, path: str) -> None:
    house.erase(maria)
    assert house.visitor().get(path).status_code == 404
    assert house.visitor().post(path).status_code == 404


@pytest.mark.parametrize(
    ("ticked", "confirmed", "leaving", "joining"),
    [
        ([], [], (), ()),
        ([FINANCE], [FINANCE], (), ()),
        ([], [FINANCE, OFFERS], (FINANCE, OFFERS), ()),
        ([FINANCE], [OFFERS], (OFFERS,), (FINANCE,)),
    ],
)
def test_what_is_ticked_is_compared_with_what_stands(
    ticked: list[Topic], confirmed: list[Topic], leaving: tuple[Topic, ...], joining: tuple[Topic, ...]
) -> None:
    change = decide(Sent(frozenset(ticked), language="de"), Stands(frozenset(confirmed)), Language.DE)
    assert (change.leaving, change.joining, change.language) == (leaving, joining, None)

"""Preferences of those who agreed to older words: nothing is left, renewed or lost by saving, but what was chosen."""

from datetime import timedelta

import pytest
from lxml import html

from dispatcher.db import clock
from dispatcher.db.terms import Language, SubscriptionState, Topic
from dispatcher.domain import consent, coverage, declarations
from dispatcher.domain.declarations import Draft
from dispatcher.domain.tokens import Purpose
from dispatcher.web.choices import Older, Sent, Stands, decide
from tests.web.visitor import House, hidden, on_sqlite, text_of

NEWS, GOLD, OFFERS = Topic


def enter(house: House, version: str, *renews: Topic, covers: tuple[Topic, ...] = tuple(Topic)) -> None:
    texts = {language: f"Words {version} in {language}" for language in Language}
    with house.engine.begin() as conn:
        declarations.enter(conn, Draft(version, texts, covers, frozenset(renews)), clock.now(conn))


def current(house: House, person: int) -> set[Topic]:
    with house.engine.begin() as conn:
        return coverage.current_topics(conn, person)


@pytest.fixture
def maria(house: House) -> int:
    """Maria, whose consent to finance news is under older words, and to offers still good."""
    person = house.add(topics=(GOLD, OFFERS))
    enter(house, "2", GOLD)
    return person


@pytest.fixture
def path(house: House, maria: int) -> str:
    return f"/p/{house.token(Purpose.PREFERENCES, maria)}"


def as_shown(house: House, path: str, **changed: object) -> dict[str, object]:
    """Give the form of the topics as a browser would send it, if nothing but `changed` was touched."""
    page = html.document_fromstring(house.visitor().get(path).text)
    form = next(form for form in page.forms if "stood" in form.fields)
    sent: dict[str, object] = {"topic": []}
    for name, value in form.form_values():
        sent[name] = [*sent["topic"], value] if name == "topic" else value  # type: ignore[misc]
    return {**sent, **changed}


def test_saving_the_page_as_it_is_changes_nothing(house: House, path: str) -> None:
    before = house.everything()
    assert "Gespeichert." in text_of(house.visitor().post(path, data=as_shown(house, path)))
    assert house.everything() == before


def test_consent_under_older_words_can_be_withdrawn(house: House, maria: int, path: str) -> None:
    words = text_of(house.visitor().post(path, data=as_shown(house, path, **{"older-finance-news": "withdraw"})))
    assert "Abgemeldet, ab sofort: Finanznews." in words
    assert house.states(maria) == {GOLD: SubscriptionState.WITHDRAWN, OFFERS: SubscriptionState.CONFIRMED}
    with house.engine.begin() as conn:
        assert conn.execute(consent.permits_renewal(GOLD, 2)).all() == []


@pytest.mark.both_databases
def test_consent_under_older_words_is_renewed_by_mail_under_the_words_on_the_page(
    house: House, maria: int, path: str, nudged: list[int]
) -> None:
    words = text_of(house.visitor().post(path, data=as_shown(house, path, **{"older-finance-news": "renew"})))
    assert "Finanznews: Wir haben Ihnen eine E-Mail geschickt." in words
    assert (len(nudged), current(house, maria)) == (1, {OFFERS})
    house.visitor().post(house.confirmation_path())
    assert current(house, maria) == {GOLD, OFFERS}


def test_leaving_everything_ends_consent_under_older_words_too(house: House, maria: int, path: str) -> None:
    person = house.add("only@example.de", topics=(GOLD,))
    theirs = f"/p/{house.token(Purpose.PREFERENCES, person)}"
    assert 'value="leave"' in house.visitor().get(theirs).text
    for who, link in ((maria, path), (person, theirs)):
        house.visitor().post(link, data={"do": "leave"})
        assert house.confirmed(who) == set()


def test_a_topic_that_the_newest_words_leave_out_stays_when_the_language_is_saved(
    house: House, maria: int, path: str
) -> None:
    enter(house, "3", covers=(NEWS, GOLD))
    page = house.visitor().get(path).text
    assert 'value="special-offers" id="topic-special-offers" aria-describedby="about-special-offers" checked' in page
    house.visitor().post(path, data=as_shown(house, path, language="en"))
    assert house.confirmed(maria) == {GOLD, OFFERS}
    house.visitor().post(path, data=as_shown(house, path, topic=[]))
    assert house.confirmed(maria) == {GOLD}
    assert 'id="topic-special-offers"' not in house.visitor().get(path).text


def test_older_consent_to_what_the_newest_words_leave_out_can_be_kept_or_withdrawn_but_not_renewed(
    house: House, maria: int, path: str, nudged: list[int]
) -> None:
    enter(house, "3", covers=(NEWS, OFFERS))
    page = house.visitor().get(path)
    assert "Der heutige umfasst dieses Thema nicht" in text_of(page)
    assert "older-finance-news-renew" not in page.text
    forged = as_shown(house, path, **{"older-finance-news": "renew"})
    assert "Finanznews: Dafür können wir Ihnen gerade keine" in text_of(house.visitor().post(path, data=forged))
    assert nudged == []
    house.visitor().post(path, data=as_shown(house, path, **{"older-finance-news": "withdraw"}))
    assert house.confirmed(maria) == {OFFERS}


def test_nobody_joins_a_topic_that_the_words_on_the_page_do_not_cover(
    house: House, path: str, nudged: list[int]
) -> None:
    enter(house, "3", covers=(GOLD, OFFERS))
    forged = as_shown(house, path, topic=["special-offers", "product-news"])
    assert "Produktnachrichten: Dafür können" in text_of(house.visitor().post(path, data=forged))
    assert (nudged, house.rows("opt_in_request")) == ([], [])


def test_words_that_change_while_the_page_is_open_take_nothing_away(house: House, maria: int, path: str) -> None:
    enter(house, "3", GOLD)
    opened = as_shown(house, path)
    enter(house, "4", OFFERS)  # which had a box, and would have a choice now
    house.visitor().post(path, data=opened)
    assert house.confirmed(maria) == {GOLD, OFFERS}
    assert house.rows("opt_in_request") == []
    house.visitor().post(path, data={**opened, "topic": []})
    assert house.confirmed(maria) == {GOLD}


def test_a_page_opened_before_the_button_was_pressed_does_not_undo_it(house: House, maria: int, path: str) -> None:
    opened = as_shown(house, path)
    house.visitor().post(path, data=as_shown(house, path, topic=["special-offers", "product-news"]))
    house.visitor().post(house.confirmation_path())
    house.visitor().post(path, data=opened)
    assert house.confirmed(maria) == {GOLD, OFFERS, NEWS}


def test_the_choice_says_what_it_means_in_both_languages(house: House, path: str) -> None:
    for language, first, second in (
        ("de", "Dem heutigen Wortlaut zustimmen", "Einwilligung widerrufen"),
        ("en", "Agree to today's wording", "Withdraw my consent"),
    ):
        page = house.visitor().get(f"{path}?lang={language}")
        assert first in text_of(page)
        assert second in text_of(page)
        assert 'value="keep" id="older-finance-news-keep" checked' in page.text
        assert hidden(page, "stood") == "special-offers"


@on_sqlite
def test_a_page_of_yesterday_renews_nothing_and_still_withdraws(
    house: House, maria: int, path: str, nudged: list[int]
) -> None:
    old = house.stamp(timedelta(hours=25))
    for choice, left in (("renew", {GOLD, OFFERS}), ("withdraw", {OFFERS})):
        house.visitor().post(path, data=as_shown(house, path, stamp=old, **{"older-finance-news": choice}))
        assert (house.confirmed(maria), nudged) == (left, [])


@pytest.mark.parametrize(
    ("sent", "where", "leaving", "joining"),
    [
        (Sent(), Stands(), (), ()),
        (Sent(), Stands(older=frozenset({GOLD})), (GOLD,), ()),
        (Sent(stood=frozenset()), Stands(older=frozenset({GOLD})), (), ()),
        (Sent(older={GOLD: Older.KEEP}), Stands(older=frozenset({GOLD})), (), ()),
        (Sent(older={GOLD: Older.RENEW}), Stands(older=frozenset({GOLD})), (), (GOLD,)),
        (Sent(older={GOLD: Older.RENEW}), Stands(current=frozenset({GOLD})), (), ()),
        (Sent(older={GOLD: Older.RENEW}), Stands(), (), ()),
        (Sent(older={GOLD: Older.WITHDRAW}), Stands(current=frozenset({GOLD})), (GOLD,), ()),
        (Sent(ticked=frozenset({GOLD})), Stands(older=frozenset({GOLD})), (), ()),
        (Sent(ticked=frozenset({GOLD}), older={GOLD: Older.WITHDRAW}), Stands(older=frozenset({GOLD})), (GOLD,), ()),
    ],
)
def test_a_choice_wins_over_a_box_and_silence_is_no_agreement(
    sent: Sent, where: Stands, leaving: tuple[Topic, ...], joining: tuple[Topic, ...]
) -> None:
    change = decide(sent, where, Language.DE)
    assert (change.leaving, change.joining) == (leaving, joining)

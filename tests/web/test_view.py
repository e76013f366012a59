"""View in browser: the letter as it was sent, and nothing of the person in it."""

from collections.abc import Callable

import pytest
from babel.dates import format_date

from dispatcher.db import clock
from dispatcher.db.terms import Topic
from dispatcher.domain.tokens import Purpose
from dispatcher.sending import release, sweep
from dispatcher.sending.house import house as house_in_letters
from dispatcher.sending.house import stationery
from tests import builders
from tests.web.visitor import MARIA, NAME, House, text_of


@pytest.fixture
def maria(house: House) -> int:
    """Maria, who gets finance news."""
    return house.add()


def released(house: House) -> int:
    """Release a campaign; it has not begun."""
    with house.engine.begin() as conn:
        now = clock.now(conn)
        campaign_id = builders.create_campaign(conn, now)
        letters, name = stationery(house.settings), house_in_letters(house.settings)
        release.schedule(conn, campaign_id, now, "UTC", letters, name)
    return campaign_id


def test_the_letter_is_shown_as_it_was_sent_without_name_or_whole_address(house: House, maria: int) -> None:
    campaign_id = released(house)
    assert sweep.begin(house.engine, campaign_id, house_in_letters(house.settings))
    page = house.visitor().get(f"/v/{house.token(Purpose.VIEW, maria, Topic.FINANCE_NEWS, campaign_id)}")
    assert page.status_code == 200
    assert "der Goldpreis hat sich in dieser Woche kaum bewegt." in page.text
    assert MARIA not in page.text
    assert NAME not in page.text


def test_it_may_use_inline_styles_and_nothing_else_and_stays_out_of_search_engines(house: House, maria: int) -> None:
    campaign_id = released(house)
    assert sweep.begin(house.engine, campaign_id, house_in_letters(house.settings))
    page = house.visitor().get(f"/v/{house.token(Purpose.VIEW, maria, Topic.FINANCE_NEWS, campaign_id)}")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'unsafe-inline'" in policy
    assert "script-src" not in policy
    assert page.headers["x-robots-tag"] == "noindex"


@pytest.mark.both_databases
def test_it_names_the_day_of_the_consent_it_was_sent_under_also_to_somebody_who_has_left_since(
    house: House, maria: int
) -> None:
    campaign_id = released(house)
    assert sweep.begin(house.engine, campaign_id, house_in_letters(house.settings))
    (event,) = [e for e in house.rows("consent_event") if e.topic == "finance-news"]
    sent = {"outcome": "sent", "consent_event_id": event.id, "at": event.at, "code": 250, "reply": "ok", "relay": "r"}
    house.insert("delivery", [{"campaign_id": campaign_id, "subscriber_id": maria, **sent}])
    house.visitor().post(f"/u/{house.token(Purpose.UNSUBSCRIBE, maria, Topic.FINANCE_NEWS)}")
    page = house.visitor().get(f"/v/{house.token(Purpose.VIEW, maria, Topic.FINANCE_NEWS, campaign_id)}")
    assert f"Sie haben am {format_date(event.at, 'long', locale='de_DE')} eingewilligt" in text_of(page)


@pytest.mark.parametrize("campaign", ["none", "missing", "not begun", "confirmation"])
def test_nothing_is_shown_of_a_campaign_that_is_no_sent_newsletter(house: House, maria: int, campaign: str) -> None:
    house.visitor().post("/", data=house.form(address="paul@example.com"))
    (confirmation,) = house.rows("campaign")
    numbers = {"none": 0, "missing": 999, "confirmation": confirmation.id}
    campaign_id = released(house) if campaign == "not begun" else numbers[campaign]
    assert house.visitor().get(f"/v/{house.token(Purpose.VIEW, maria, None, campaign_id)}").status_code == 404


def test_nothing_is_shown_to_whoever_was_erased(house: House, maria: int) -> None:
    campaign_id = released(house)
    assert sweep.begin(house.engine, campaign_id, house_in_letters(house.settings))
    path = f"/v/{house.token(Purpose.VIEW, maria, Topic.FINANCE_NEWS, campaign_id)}"
    house.erase(maria)
    assert house.visitor().get(path).status_code == 404


def test_the_pages_need_no_key_that_signs_letters(house_of: Callable[..., House]) -> None:
    pages = house_of(dkim="s2026:news.example.de:/nowhere/dkim.pem")
    assert pages.visitor().get("/").status_code == 200

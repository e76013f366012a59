"""Unsubscribing: by mail programs (RFC 8058) and by people; always possible, never by accident."""

import pytest

from dispatcher.db.terms import Topic
from dispatcher.domain import tokens
from dispatcher.domain.tokens import Link, Purpose
from tests.web.visitor import ALL_TOPICS, MARIA, House, heading, on_sqlite, text_of

ONE_CLICK = b"List-Unsubscribe=One-Click"
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=xyz"}
OTHERS = {Topic.PRODUCT_NEWS, Topic.SPECIAL_OFFERS}


@pytest.fixture
def maria(house: House) -> int:
    """Maria, who agreed to everything."""
    return house.add()


@pytest.fixture
def path(house: House, maria: int) -> str:
    """Give the link in a finance letter of hers."""
    return f"/u/{house.token(Purpose.UNSUBSCRIBE, maria, Topic.FINANCE_NEWS, 70_000)}"


BODIES: dict[str, tuple[dict[str, str | bytes], bytes]] = {
    "urlencoded": (URLENCODED, ONE_CLICK),
    "urlencoded with charset": ({"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}, ONE_CLICK),
    "multipart": (
        MULTIPART,
        b'--xyz\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--xyz--\r\n',
    ),
    "nothing": ({}, b""),
    "an empty form": (URLENCODED, b""),
    "no content type": ({}, ONE_CLICK),
    "text": ({"content-type": "text/plain"}, ONE_CLICK),
    "json": ({"content-type": "application/json"}, b'{"List-Unsubscribe": "One-Click"}'),
    "lower case": (URLENCODED, b"list-unsubscribe=one-click"),
    "another word": (URLENCODED, b"List-Unsubscribe=Please"),
    "an unknown scope": (URLENCODED, b"scope=everything-and-more"),
    "bytes that are no text": (URLENCODED, b"\xff\xfe%zz%00=\x80&&&==;"),
    "multipart without a boundary": ({"content-type": "multipart/form-data"}, ONE_CLICK),
    "multipart cut off": (MULTIPART, b'--xyz\r\nContent-Disposition: form-data; name="List-Unsu'),
    "multipart with a file": (
        MULTIPART,
        b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\nOne-Click\r\n--xyz--\r\n',
    ),
    "multipart in a charset that nobody knows": (
        {"content-type": "multipart/form-data; boundary=xyz; charset=klingon"},
        b'--xyz\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--xyz--\r\n',
    ),
    "a content type that is none": ({"content-type": b";;;=\xff"}, ONE_CLICK),
    "64 kB": (URLENCODED, ONE_CLICK + b"&x=" + b"a" * (64 * 1024 - len(ONE_CLICK) - 3)),
    "more than 64 kB": (URLENCODED, b"x=" + b"a" * 200_000),
    "very many fields": (URLENCODED, b"a=b&" * 2000),
}


def test_a_trial_click_is_answered_as_every_other_and_ends_nothing(house: House, maria: int) -> None:
    before = house.everything()
    dry = tokens.sign(house.keyring, Purpose.UNSUBSCRIBE, Link(tokens.DRY_RUN, Topic.FINANCE_NEWS, 1))
    answer = house.visitor().post(f"/u/{dry}", headers=URLENCODED, content=ONE_CLICK)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert house.visitor().get(f"/u/{dry}").status_code == 404
    assert house.everything() == before


@on_sqlite
@pytest.mark.parametrize("body", BODIES)
def test_one_click_ends_the_consent_for_the_letters_topic_whatever_the_body_is(
    house: House, maria: int, path: str, body: str
) -> None:
    headers, content = BODIES[body]
    answer = house.visitor().post(path, content=content, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "Sie sind abgemeldet.\n"
    assert house.confirmed(maria) == OTHERS
    event = house.rows("consent_event")[-1]
    assert (event.kind, event.topic, event.source) == ("withdrawn", "finance-news", "one-click (RFC 8058)")
    assert event.ip == "192.0.2.7"


@pytest.mark.both_databases
def test_one_click_is_answered_to_every_origin_without_cookie_and_without_redirect(house: House, path: str) -> None:
    headers = {**URLENCODED, "origin": "https://webmail.example.com", "cookie": "a=b", "referer": "https://x.example"}
    for spelling in (path, path + "/"):
        answer = house.visitor().post(spelling, content=ONE_CLICK, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "set-cookie" not in answer.headers


def test_a_browser_that_asks_first_may_post(house: House, path: str) -> None:
    asked = {"origin": "https://webmail.example.com", "access-control-request-method": "POST"}
    answer = house.visitor().ask("OPTIONS", path, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]


@pytest.mark.both_databases
def test_one_click_again_is_answered_the_same_and_writes_nothing(house: House, path: str) -> None:
    first = house.visitor().post(path, content=ONE_CLICK, headers=URLENCODED)
    before = house.everything()
    second = house.visitor().post(path, content=ONE_CLICK, headers=URLENCODED)
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert house.everything() == before


def test_a_link_without_a_topic_ends_every_consent(house: House, maria: int) -> None:
    path = f"/u/{house.token(Purpose.UNSUBSCRIBE, maria)}"
    assert "Alle Nachrichten abbestellen?" in text_of(house.visitor().get(path))
    house.visitor().post(path, content=ONE_CLICK, headers=URLENCODED)
    assert house.confirmed(maria) == set()


@pytest.mark.parametrize(("scope", "left"), [("topic", OTHERS), ("all", set())])
def test_a_person_chooses_between_this_topic_and_everything(
    house: House, maria: int, path: str, scope: str, left: set[Topic]
) -> None:
    page = house.visitor().post(path, data={"scope": scope})
    assert page.status_code == 200
    assert heading(page) == "Sie sind abgemeldet"
    assert house.confirmed(maria) == left
    assert house.rows("consent_event")[-1].source == "unsubscribe page"


def test_the_page_asks_once_and_shows_no_whole_address(house: House, path: str) -> None:
    page = house.visitor().get(path)
    words = text_of(page)
    assert heading(page) == "Finanznews abbestellen?"
    assert "m***@example.de" in words
    assert "Sie müssen keinen Grund nennen." in words
    assert [label in words for label in ("Abmelden", "Von allem abmelden")] == [True, True]
    assert MARIA not in page.text


def test_somebody_who_left_by_mistake_is_led_to_the_preferences_where_joining_needs_a_new_confirmation(
    house: House, maria: int, path: str
) -> None:
    page = house.visitor().post(path, data={"scope": "topic"})
    (link,) = [part.partition('"')[0] for part in page.text.split('href="') if part.startswith("/p/")]
    back = house.visitor().get(link)
    assert 'value="finance-news" id="topic-finance-news" aria-describedby="about-finance-news">' in back.text
    assert house.confirmed(maria) == OTHERS


def test_somebody_who_left_is_never_mailed_again_by_an_import(house: House, maria: int, path: str) -> None:
    house.visitor().post(path, content=ONE_CLICK, headers=URLENCODED)
    (entry,) = house.rows("suppression")
    assert (entry.scope, entry.reason) == ("finance-news", "withdrawn")


@pytest.mark.parametrize("scope", ["", "topic", "all"])
def test_whoever_was_erased_is_answered_kindly_for_it_is_done_already(
    house: House, maria: int, path: str, scope: str
) -> None:
    house.erase(maria)
    assert house.visitor().get(path).status_code == 200
    assert house.visitor().post(path, data={"scope": scope}).status_code == 200


def test_the_pages_speak_the_persons_language(house: House) -> None:
    paul = house.add("paul@example.com", ALL_TOPICS, "en")
    path = f"/u/{house.token(Purpose.UNSUBSCRIBE, paul, Topic.FINANCE_NEWS)}"
    german = {"accept-language": "de"}
    assert heading(house.visitor().get(path, headers=german)) == "Unsubscribe from Finance news?"
    assert heading(house.visitor().get(path + "?lang=de")) == "Finanznews abbestellen?"
    assert house.visitor().post(path, headers=german).text == "You are unsubscribed.\n"

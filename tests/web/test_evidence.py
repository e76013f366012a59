"""What proves a consent, for each way in which it comes over the pages: field by field, none forgotten."""

import hashlib
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from dispatcher.compose.house import House as Name
from dispatcher.db.terms import Topic
from dispatcher.domain.tokens import Keyring, Purpose
from dispatcher.sending import sweep
from dispatcher.sending.press import Stationery
from dispatcher.web.signup import FORM_VERSION
from tests.evidence import assert_filled, events, notice_of, words_of
from tests.relay import Accepted, ScriptedRelay
from tests.stage import Stage
from tests.web.visitor import MARIA, House

FIRST, SECOND = "2001:db8::7", "198.51.100.9"
FORM, BUTTON = {"user-agent": "Browser/1"}, {"user-agent": "Mail program/2"}


@pytest.fixture
def send(engine: Engine, keyring: Keyring, stationery: Stationery, nudged: list[int]) -> Callable[[], Accepted]:
    """Give what sends the confirmation mail that waits, and gives it as the relay took it."""
    name = Name(
        name="Beispiel", sender_name="Beispiel", sender_address="news@news.example.de",
        public_url="https://news.example.de", feedback_sender_id="news-example-de", list_id_domain="news.example.de",
        impressum="Beispiel GmbH, Musterweg 1, 12345 Musterstadt",
    )  # fmt: skip

    def work() -> Accepted:
        stage = Stage(engine, keyring, stationery, name)
        assert sweep.begin(engine, nudged[-1], name)
        with ScriptedRelay() as relay:
            stage.drain(relay.relay(lanes=1))
        (accepted,) = relay.accepted
        return accepted

    return work


def _is_sent(mail: Accepted) -> dict[str, object]:
    return {
        "mail_template": lambda held: len(held) == 64,
        "mail_sha256": hashlib.sha256(mail.raw).digest(),
        "message_id": lambda held: f"<{held}>".encode() in mail.raw,
        "relay_reply": lambda held: held.startswith("250 "),
    }


def _under_the_notice(house: House, language: str) -> Callable[[bytes], bool]:
    return lambda held: bytes(held) in {bytes(n.sha256) for n in house.rows("privacy_notice") if n.language == language}


@pytest.mark.both_databases
def test_a_sign_up_is_proven_by_its_request_its_mail_and_its_button(
    house: House, engine: Engine, send: Callable[[], Accepted]
) -> None:
    house.visitor(FIRST).post("/?lang=en", data=house.form(stamp=house.stamp(language="en")), headers=FORM)
    mail = send()
    house.visitor(SECOND).post(house.confirmation_path(), headers=BUTTON)
    (request,) = house.rows("opt_in_request")
    words, notice = request.declaration_id, _under_the_notice(house, "en")
    shared = {"topic": "finance-news", "language": "en", "declaration_id": words, "privacy_sha256": notice,
              "request_id": request.id}  # fmt: skip
    (requested,), (sent,), (confirmed,) = (
        events(engine, kind) for kind in ("requested", "confirmation-sent", "confirmed")
    )
    assert_filled(
        requested, kind="requested", source=f"https://news.example.de/ form {FORM_VERSION}", ip=FIRST,
        user_agent="Browser/1", **shared,
    )  # fmt: skip
    assert_filled(sent, kind="confirmation-sent", source="confirmation mail", **_is_sent(mail), **shared)
    assert_filled(
        confirmed, kind="confirmed", source=f"https://news.example.de/c/ confirmation page {FORM_VERSION}", ip=SECOND,
        user_agent="Mail program/2", **shared,
    )  # fmt: skip
    assert requested["at"] < sent["at"] < confirmed["at"]
    for event in (requested, sent, confirmed):
        version, language, text = words_of(engine, event)
        assert (version, language) == ("2026-01", "en")
        assert text.startswith("By subscribing I agree that")
        assert "e-mail" in notice_of(engine, event)


def test_a_program_that_posts_like_the_form_is_proven_as_well_with_what_it_says_of_itself(
    house: House, engine: Engine
) -> None:
    house.visitor(FIRST).post("/?lang=de", data=house.form(), headers={"user-agent": ""})
    (request,) = house.rows("opt_in_request")
    (requested,) = events(engine, "requested")
    assert_filled(
        requested, kind="requested", topic="finance-news", source=f"https://news.example.de/ form {FORM_VERSION}",
        ip=FIRST, language="de", declaration_id=request.declaration_id, request_id=request.id,
        privacy_sha256=_under_the_notice(house, "de"),
    )  # fmt: skip


def test_a_topic_that_is_added_in_the_preferences_and_one_that_is_left_are_proven(
    house: House, engine: Engine, send: Callable[[], Accepted]
) -> None:
    person = house.add(topics=(Topic.FINANCE_NEWS,))
    path = f"/p/{house.token(Purpose.PREFERENCES, person)}?lang=de"
    form = {"topic": ["product-news"], "stamp": house.stamp(), "language": "de"}
    house.visitor(FIRST).post(path, data=form, headers=FORM)
    mail = send()
    house.visitor(SECOND).post(house.confirmation_path(), headers=BUTTON)
    (request,) = house.rows("opt_in_request")
    shared = {"topic": "product-news", "language": "de", "declaration_id": request.declaration_id,
              "privacy_sha256": _under_the_notice(house, "de"), "request_id": request.id}  # fmt: skip
    (requested,), (sent,), (withdrawn,) = (
        events(engine, kind) for kind in ("requested", "confirmation-sent", "withdrawn")
    )
    assert_filled(
        requested, kind="requested", source=f"https://news.example.de/p/ preferences page {FORM_VERSION}", ip=FIRST,
        user_agent="Browser/1", **shared,
    )  # fmt: skip
    assert_filled(sent, kind="confirmation-sent", source="confirmation mail", **_is_sent(mail), **shared)
    confirmed = events(engine, "confirmed")[-1]
    assert_filled(
        confirmed, kind="confirmed", source=lambda held: "confirmation page" in held, ip=SECOND,
        user_agent="Mail program/2", **shared,
    )  # fmt: skip
    assert_filled(
        withdrawn, kind="withdrawn", topic="finance-news", source="preferences page", ip=FIRST, user_agent="Browser/1",
        language="de",
    )  # fmt: skip


def test_one_click_is_proven_without_asking_for_more(house: House, engine: Engine) -> None:
    person = house.add(topics=(Topic.FINANCE_NEWS,))
    path = f"/u/{house.token(Purpose.UNSUBSCRIBE, person, Topic.FINANCE_NEWS)}"
    house.visitor(SECOND).post(path, data={"List-Unsubscribe": "One-Click"}, headers=BUTTON)
    (withdrawn,) = events(engine, "withdrawn")
    assert_filled(
        withdrawn, kind="withdrawn", topic="finance-news", source="one-click (RFC 8058)", ip=SECOND,
        user_agent="Mail program/2", language="de",
    )  # fmt: skip


def test_the_page_that_confirms_shows_the_words_in_full_and_links_the_notice(house: House) -> None:
    house.visitor().post("/", data=house.form())
    page = house.visitor().get(house.confirmation_path())
    assert "jederzeit und ohne Angabe von Gründen mit Wirkung für die Zukunft widerrufen" in page.text
    assert 'href="/privacy?lang=de"' in page.text
    assert MARIA not in page.text


def test_a_form_takes_no_topic_that_its_words_do_not_cover(house: House) -> None:
    house.insert(
        "declaration",
        [
            {
                "key": "newsletter", "version": "2027-01", "number": 2, "language": language, "text": "Neu.",
                "sha256": hashlib.sha256(b"Neu.").digest(), "topics": ["product-news"], "valid_from": house.now(),
            }
            for language in ("de", "en")
        ],
    )  # fmt: skip
    assert 'value="finance-news"' not in house.visitor().get("/").text
    answer = house.visitor().post("/", data=house.form(topic=["finance-news"]))
    assert answer.status_code == 422
    house.visitor().post("/", data=house.form(topic=["finance-news", "product-news"]))
    (request,) = house.rows("opt_in_request")
    assert request.topics == ["product-news"]
    assert house.rows("subscriber")[0].address == MARIA

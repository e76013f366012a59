"""The sign-up form: what it takes, what it refuses, and that it tells nobody anything about anybody."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from dispatcher.db import clock
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations as words_of_consent
from dispatcher.domain.declarations import Draft
from dispatcher.errors import InputRefused
from dispatcher.sending import declarations
from tests import builders
from tests.web.visitor import MARIA, House, Visitor, heading, hidden, on_sqlite, text_of

STORED = ("subscriber", "consent_event", "subscription", "opt_in_request", "campaign", "signup_attempt")


def stored(house: House) -> dict[str, int]:
    return {table: len(house.rows(table)) for table in STORED}


NOTHING = dict.fromkeys(STORED, 0)


def test_the_form_shows_unticked_topics_the_declaration_in_full_and_the_privacy_notice(visitor: Visitor) -> None:
    page = visitor.get("/")
    assert page.status_code == 200
    assert page.text.count('type="checkbox"') == 3
    assert "checked" not in page.text
    words = text_of(page)
    assert "Mit meiner Anmeldung willige ich ein, dass Beispiel Edelmetalle mich per E-Mail" in words
    assert "jederzeit und ohne Angabe von Gründen mit Wirkung für die Zukunft widerrufen" in words
    assert "bis zum Widerruf bleibt rechtmäßig" in words
    assert 'href="/privacy?lang=de"' in page.text


@pytest.mark.both_databases
def test_signing_up_enters_a_request_with_its_proof_and_calls_a_worker(house: House, nudged: list[int]) -> None:
    topics = ["product-news", "finance-news"]
    form = house.form(name="Maria Muster", topic=topics)
    page = house.visitor("2001:db8::7").post("/?lang=de", data=form, headers={"user-agent": "Browser" * 100})
    assert page.status_code == 200
    assert heading(page) == "Bitte bestätigen Sie noch"

    (person,) = house.rows("subscriber")
    assert (person.address, person.name, person.language) == (MARIA, "Maria Muster", "de")
    first, second = house.rows("consent_event")
    assert {first.topic, second.topic} == set(topics)
    assert first.kind == "requested"
    assert first.source == "https://news.example.de/ form 2026-01"
    assert first.ip == "2001:db8::7"
    assert len(first.user_agent) == 300
    assert first.language == "de"
    assert bytes(first.privacy_sha256) == declarations.privacy_sha256(house.settings, first.language)
    (shown,) = [d for d in house.rows("declaration") if d.id == first.declaration_id]
    assert (shown.key, shown.version, shown.language) == ("newsletter", "2026-01", "de")
    assert [c.id for c in house.rows("campaign")] == nudged
    assert set(house.states(person.id).values()) == {"pending"}


def test_the_form_works_as_it_is_handed_out_once_its_fill_time_is_over(
    house: House, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.web.stamp.SHORTEST", timedelta(0))
    stamped = hidden(visitor.get("/?lang=en"), "stamp")
    page = visitor.post("/?lang=en", data=house.form(stamp=stamped))
    assert heading(page) == "One more step"
    assert house.rows("opt_in_request")[0].language == "en"


def asked_before(house: House) -> None:
    for _ in range(3):
        house.visitor().post("/", data=house.form())


STANDINGS: dict[str, Callable[[House], object]] = {
    "unknown": lambda house: None,
    "confirmed for this topic": lambda house: house.add(),
    "confirmed for another topic": lambda house: house.add(topics=(Topic.PRODUCT_NEWS,)),
    "asked three times today": asked_before,
    "known without consent": lambda house: house.add(topics=()),
}


@pytest.mark.parametrize("standing", STANDINGS)
def test_the_answer_is_the_same_to_the_byte_whatever_we_know_of_the_address(house: House, standing: str) -> None:
    fresh = house.visitor().post("/", data=house.form(address="somebody.else@example.com"))
    STANDINGS[standing](house)
    answer = house.visitor().post("/", data=house.form())
    assert answer.content == fresh.content
    assert answer.headers == fresh.headers


def test_the_answer_is_the_same_for_an_address_that_complained_and_no_mail_is_sent(
    house: House, nudged: list[int]
) -> None:
    fresh = house.visitor().post("/", data=house.form(address="somebody.else@example.com"))
    with house.engine.begin() as conn:
        builders.suppress(conn, house.keyring, [MARIA], clock.now(conn))
    answer = house.visitor().post("/", data=house.form())
    assert answer.content == fresh.content
    assert len(nudged) == 1


PROGRAMS = {
    "fills the field that people do not see": {"website": "https://spam.example.com"},
    "sends no stamp": {"stamp": ""},
    "sends a stamp of its own": {"stamp": "18f.de.1.00112233445566778899aabbccddeeff"},
    "sends half a character as a stamp": {"stamp": b"\xff.\xfe"},
}


@on_sqlite
@pytest.mark.parametrize("habit", PROGRAMS)
def test_a_program_that_does_this_gets_the_usual_answer_and_nothing_is_stored(house: House, habit: str) -> None:
    answer = house.visitor().post("/", data=house.form(**PROGRAMS[habit]))
    assert stored(house) == NOTHING
    assert answer.content == house.visitor().post("/", data=house.form()).content


def test_a_form_that_comes_back_faster_than_a_person_types_is_taken_for_a_programs(house: House) -> None:
    house.visitor().post("/", data=house.form(stamp=house.stamp(timedelta(seconds=1))))
    assert stored(house) == NOTHING


def test_a_stamp_for_the_other_language_is_not_taken(house: House) -> None:
    house.visitor().post("/?lang=en", data=house.form(stamp=house.stamp(language="de")))
    assert stored(house) == NOTHING


def test_a_stamp_altered_in_any_place_is_not_taken(house: House) -> None:
    good = house.stamp()
    for place in range(len(good)):
        altered = good[:place] + ("0" if good[place] != "0" else "1") + good[place + 1 :]
        house.visitor().post("/", data=house.form(stamp=altered))
    assert stored(house) == NOTHING


def test_a_page_left_open_for_more_than_a_day_asks_again_and_keeps_what_was_typed(house: House) -> None:
    old = house.form(stamp=house.stamp(timedelta(hours=25)), name="Maria")
    page = house.visitor().post("/", data=old)
    assert page.status_code == 422
    assert "länger als einen Tag" in text_of(page)
    assert f'value="{MARIA}"' in page.text
    assert 'value="finance-news" id="topic-finance-news" aria-describedby="about-finance-news" checked' in page.text
    assert hidden(page, "stamp") != old["stamp"]
    assert stored(house) == NOTHING


WRONG = {
    "no address": ({"address": " "}, "Bitte geben Sie Ihre E-Mail-Adresse ein."),
    "half an address": ({"address": "maria@"}, "Das ist keine vollständige E-Mail-Adresse."),
    "an address with a header in it": ({"address": "a@example.de\r\nBcc: b@example.de"}, "keine vollständige"),
    "a very long address": ({"address": "a" * 5000 + "@example.de"}, "keine vollständige"),
    "a name with a header in it": ({"name": "Maria\r\nBcc: b@example.de"}, "Namen in eine Zeile"),
    "a name with NUL in it": ({"name": "Maria\0"}, "Namen in eine Zeile"),
    "a very long name": ({"name": "a" * 201}, "höchstens 200 Zeichen"),
    "no topic": ({"topic": []}, "Bitte wählen Sie mindestens ein Thema."),
    "a topic that we do not have": ({"topic": ["weather"]}, "Bitte wählen Sie mindestens ein Thema."),
}


@on_sqlite
@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_stands_beside_its_field_in_words_and_nothing_is_stored(house: House, what: str) -> None:
    changed, words = WRONG[what]
    page = house.visitor().post("/", data=house.form(**changed))
    assert page.status_code == 422
    assert words in text_of(page)
    assert stored(house) == NOTHING


def test_a_field_that_is_wrong_names_its_error_to_a_screen_reader_and_keeps_its_value(house: House) -> None:
    page = house.visitor().post("/", data=house.form(address='"><script>', name="Maria & Co", topic=["product-news"]))
    assert 'aria-invalid="true" aria-describedby="address-error"' in page.text
    assert 'id="address-error"' in page.text
    assert 'value="&#34;&gt;&lt;script&gt;"' in page.text
    assert 'value="Maria &amp; Co"' in page.text
    assert "<script" not in page.text


def test_a_mended_form_goes_through_with_the_stamp_it_had(house: House) -> None:
    first = house.form(topic=[])
    page = house.visitor().post("/", data=first)
    assert hidden(page, "stamp") == first["stamp"]
    house.visitor().post("/", data=house.form(stamp=hidden(page, "stamp")))
    assert stored(house)["opt_in_request"] == 1


def test_an_address_in_another_spelling_is_the_same_person(house: House) -> None:
    house.visitor().post("/", data=house.form(address="Jörg@BÜCHER.example"))
    house.visitor().post("/", data=house.form(address=" jörg@xn--bcher-kva.example "))
    assert [p.address for p in house.rows("subscriber")] == ["Jörg@xn--bcher-kva.example"]


def test_the_words_people_agreed_to_stay_when_the_sender_is_renamed(
    house: House, house_of: Callable[..., House]
) -> None:
    before = house.rows("declaration")
    renamed = house_of(sender='"Muster Edelmetalle" <news@news.example.de>')
    assert renamed.rows("declaration") == before
    assert "dass Beispiel Edelmetalle mich" in text_of(renamed.visitor().get("/"))


def test_a_form_that_is_mended_goes_on_with_the_words_that_stood_in_it(house: House) -> None:
    filled = house.form(topic=[])
    with house.engine.begin() as conn:
        texts = {language: f"New words in {language}." for language in Language}
        words_of_consent.enter(conn, Draft("2", texts, tuple(Topic), frozenset({Topic.FINANCE_NEWS})), clock.now(conn))
    page = house.visitor().post("/", data=filled)
    assert page.status_code == 422
    assert "Mit meiner Anmeldung willige ich ein" in text_of(page)
    assert "New words in de." not in text_of(page)
    assert hidden(page, "stamp") == filled["stamp"]
    assert "New words in de." in text_of(house.visitor().get("/"))


def test_a_first_declaration_that_is_refused_is_told_and_not_hidden(
    engine: Engine, house_of: Callable[..., House]
) -> None:
    texts = {language: f"Words to come in {language}." for language in Language}
    with engine.begin() as conn:
        now = clock.now(conn)
        far = Draft("2099", texts, tuple(Topic), valid_from=now + timedelta(days=900))
        words_of_consent.enter(conn, far, now)
    with pytest.raises(InputRefused, match="newsletter-2099 becomes valid later"):
        house_of()

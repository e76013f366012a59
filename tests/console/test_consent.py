"""Who agreed to what, at the console: figures, new words, asking anew, the form to embed."""

import re
from html import unescape

import pytest

from dispatcher.db.terms import Role
from tests.console.office import Browser, Office, heading, hidden, on_sqlite, text_of
from tests.web.visitor import Visitor

NEW = {
    "version": "2027-01",
    "words_de": "Ich möchte **Finanznews** von $sender bekommen.",
    "words_en": "I want **finance news** from $sender.",
    "topic": ["finance-news"],
    "older": "renew",
    "renews": ["finance-news"],
}


@pytest.fixture
def officer(office: Office) -> Browser:
    for n in range(3):
        office.subscribe(f"p{n}@example.com")
    return office.browser_of(Role.DATA_PROTECTION)


@pytest.mark.both_databases
def test_it_says_how_many_agreed_and_left_in_figures_and_as_a_chart(office: Office, officer: Browser) -> None:
    officer.post("/subscribers/1/withdraw", {"scope": "finance-news", "source": "letter"})
    page = officer.get("/consent")
    assert "Finanznews 2 0 0 1" in text_of(page)
    assert "Angebote 0 0 3 0" in text_of(page)
    assert page.text.count('<svg xmlns="http://www.w3.org/2000/svg"') == 3
    assert "Finanznews: Zusagen und Abmeldungen je Woche" in page.text
    row = re.findall(r"<tr><th scope=\"row\" class=\"moment\">.*?</tr>", page.text, re.S)[0]
    assert re.findall(r">(\d+)<", row) == ["0", "0", "3", "1", "0", "0"]
    assert "je Monat" in officer.get("/consent?by=month").text


def test_new_words_are_shown_with_whom_they_touch_and_entered_only_then(office: Office, officer: Browser) -> None:
    before = office.rows("declaration")
    shown = officer.post("/consent/declarations/check", NEW)
    assert shown.status_code == 200
    assert "<strong>Finanznews</strong> von Beispiel Edelmetalle" in shown.text
    assert "Finanznews: 3 Personen bekommen von dann an keine Post mehr" in text_of(shown)
    assert office.rows("declaration") == before
    typed = {name: hidden(shown, name) for name in ("version", "words_de", "words_en", "topic", "older", "renews")}
    assert heading(officer.post("/consent/declarations/check", {**typed, "do": "edit"})).startswith("Neue Fassung")
    assert officer.post("/consent/declarations/new", typed).headers["location"] == "/console/consent/declarations/2"
    assert office.deeds()[-1] == "consent.entered"
    listed = text_of(officer.get("/consent/declarations"))
    assert "Finanznews: 3 Personen bekommen keine Post" in listed
    assert "Finanznews sind zu erneuern 0" in listed
    again = officer.post("/consent/declarations/new", typed)
    assert again.status_code == 422
    assert "Diese Fassung gibt es schon" in text_of(again)


@on_sqlite
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "2027/01"}, "Buchstaben, Ziffern"),
        ({"words_en": " "}, "Jede Sprache braucht ihre eigenen"),
        ({"words_de": "<b>Finanznews</b>"}, "ohne HTML"),
        ({"words_de": "Finanznews von $somebody"}, "den es nicht gibt"),
        ({"words_de": "Neuigkeiten"}, "jedes angekreuzte Thema beim Namen nennen"),
        ({"topic": []}, "mindestens ein Thema"),
        ({"older": ""}, "ob ältere Einwilligungen weiter gelten"),
        ({"renews": []}, "für welche Themen zu erneuern ist"),
        ({"renews": ["special-offers"]}, "was die neuen Worte auch abdecken"),
        ({"day": "2020-01-01"}, "die noch kommen"),
        ({"day": "morgen"}, "die noch kommen"),
    ],
)
def test_what_has_to_be_mended_is_said_beside_its_field(officer: Browser, change: dict[str, object], says: str) -> None:
    page = officer.post("/consent/declarations/check", {**NEW, **change})
    assert page.status_code == 422
    assert says in text_of(page)
    assert "Ich möchte" in page.text or "words_de" in change


@on_sqlite
def test_words_that_say_the_same_touch_nobody(officer: Browser) -> None:
    shown = officer.post("/consent/declarations/check", {**NEW, "older": "covered"})
    assert "Niemandem entgeht Post" in text_of(shown)


def test_whoever_agreed_to_older_words_is_asked_once(office: Office, officer: Browser) -> None:
    officer.post("/consent/declarations/new", NEW)
    path = "/consent/declarations/2/ask"
    assert "3 Personen fragen, einmal" in text_of(officer.get(path))
    assert officer.post(path, {"topic": "special-offers"}).status_code == 422
    assert officer.post(path, {"topic": "finance-news", "rate": "viele"}).status_code == 422
    assert officer.post(path, {"topic": "finance-news", "rate": "600"}).status_code == 303
    campaign = max(office.rows("campaign"), key=lambda row: row.id)
    assert (campaign.renews, campaign.rate_per_min) == (2, 600)
    assert "Wird gerade gefragt" in text_of(officer.get(path))
    assert officer.post(path, {"topic": "finance-news"}).status_code == 422
    assert [deed for deed in office.deeds() if deed == "consent.asked"] == ["consent.asked"]


@on_sqlite
def test_the_form_to_embed_leads_to_our_own_page_with_what_was_typed(office: Office, officer: Browser) -> None:
    page = officer.get("/consent/form?lang=en&topic=finance-news&topic=special-offers")
    code = unescape(re.findall(r'<textarea id="code"[^>]*>\n(.*?)</textarea>', page.text, re.S)[0])
    assert "<script" not in code
    assert "product-news" not in code
    action = unescape(re.findall(r'action="([^"]+)"', code)[0])
    assert action == "https://news.example.de/join?lang=en"
    before = office.rows("opt_in_request")
    visitor = Visitor(office.app)
    joined = visitor.post("/join?lang=en", data={"address": "new@example.com", "topic": ["finance-news"]})
    assert joined.status_code == 200
    assert 'value="new@example.com"' in joined.text
    assert re.findall(r'value="([a-z-]+)"[^>]* checked', joined.text) == ["finance-news"]
    assert "You agree" in joined.text or "I agree" in joined.text or "declaration" in joined.text
    assert office.rows("opt_in_request") == before

"""A newsletter is begun and written in the console, by somebody who has never seen it, and by two at once."""

import re
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from dispatcher.compose.content import parse_content
from dispatcher.compose.snippets import put_back
from dispatcher.console.pages.drafts import LETTERS
from dispatcher.db import clock
from dispatcher.db.tables import campaign
from dispatcher.db.terms import CampaignState, Language, Role, Topic
from dispatcher.domain.newsletters import campaigns
from dispatcher.domain.newsletters.campaigns import Campaign, Contents
from dispatcher.domain.staff.audit import NOBODY
from dispatcher.sending import house as houses
from dispatcher.sending import release
from tests import builders
from tests.compose.test_manuscript import EVERYTHING
from tests.console.office import Browser, Office, on_sqlite, text_of


def typed(page: httpx.Response) -> dict[str, Any]:
    """Give what a browser would send of the page's form for writing: every field as it stands."""
    form = re.findall(r'<form [^>]*class="wide sheet">(.*?)</form>', page.text, re.DOTALL)[0]
    fields: dict[str, Any] = {}
    for name, text in _fields(form):
        fields.setdefault(name, []).append(text)
    return fields


def _fields(form: str) -> list[tuple[str, str]]:
    found = []
    for tag, inner in re.findall(
        r"<(input [^>]*|textarea [^>]*|select [^>]*)>(.*?(?=<input|<textarea|<select|$))", form, re.DOTALL
    ):
        name = re.findall(r'name="([^"]*)"', tag)[0]
        if tag.startswith("textarea"):
            found.append((name, unescape(inner.partition("</textarea>")[0].removeprefix("\n"))))
        elif tag.startswith("select"):
            chosen = re.findall(r'value="([^"]*)" selected', inner) or re.findall(r'value="([^"]*)"', inner)
            found.append((name, chosen[0]))
        elif 'type="checkbox"' not in tag or " checked" in tag:
            found.append((name, unescape(re.findall(r'value="([^"]*)"', tag)[0])))
    return found


def stored(office: Office, number: int) -> tuple[Campaign, Contents]:
    with office.engine.begin() as conn:
        return campaigns.get(conn, number), campaigns.contents(conn, number)


def enter(office: Office, content: str = builders.CONTENT, topic: Topic = Topic.FINANCE_NEWS) -> int:
    with office.engine.begin() as conn:
        return builders.create_campaign(conn, clock.now(conn), topic, content)


def begin(browser: Browser, **said: Any) -> httpx.Response:
    files = said.pop("files", None)
    answer = browser.post("/campaigns/new", {"name": "Im Dezember", **said}, files=files)
    return browser.get(answer.headers["location"].removeprefix("/console")) if answer.status_code == 303 else answer


@on_sqlite
def test_a_newsletter_begins_with_the_sample_of_its_topic_in_the_languages_that_are_chosen(office: Office) -> None:
    browser = office.browser_of(Role.EDITOR)
    page = begin(browser, topic="special-offers", start="sample", language=["de", "en"])
    assert "ist ein Entwurf. Hier schreiben Sie ihn." in text_of(page)
    of, files = stored(office, 1)
    assert (of.topic, of.name, of.state, of.version, set(files)) == (
        Topic.SPECIAL_OFFERS, "Im Dezember", CampaignState.DRAFT, 1, {Language.DE, Language.EN},
    )  # fmt: skip
    assert office.deeds() == ["drafts.made"]
    with office.engine.begin() as conn:
        assert release.editions(conn, of, houses.house(office.settings))


@on_sqlite
def test_a_newsletter_begins_with_an_earlier_one_and_the_earlier_one_stays(office: Office) -> None:
    earlier = enter(office, EVERYTHING)
    browser = office.browser_of(Role.EDITOR)
    assert "Kopie von Edelmetalle der Woche" in browser.get(f"/campaigns/new?from={earlier}").text
    begin(browser, start="copy", **{"from": str(earlier)})
    assert stored(office, 2)[1] == stored(office, earlier)[1]
    assert stored(office, 2)[0].topic is Topic.FINANCE_NEWS


@on_sqlite
def test_a_newsletter_begins_with_uploaded_files_and_what_is_wrong_with_them_is_said_with_the_line(
    office: Office,
) -> None:
    browser = office.browser_of(Role.EDITOR)
    english = builders.CONTENT.replace("language: de", "language: en\nsubject: Gold holds")
    files = [("file", ("C:\\x\\gold.de.md", builders.CONTENT.encode())), ("file", ("gold.en.md", english.encode()))]
    begin(browser, topic="finance-news", start="file", files=files)
    assert {language: file for language, (file, _) in stored(office, 1)[1].items()} == {
        "de": "gold.de.md",
        "en": "gold.en.md",
    }
    for content, says in (
        (builders.CONTENT.replace("title:", "titel:").encode(), "gold.md: Zeile 3: Der Kopf kennt kein „titel“."),
        (
            "---\nlanguage: de\ntitle: Größe".encode("latin-1"),
            "gold.md: Zeile 3: Die Datei ist nicht als UTF-8 gespeichert.",
        ),
        (builders.CONTENT.encode() + b"<iframe src=x>", "gold.md: Zeile 10: „<iframe>“ bewirkt in einem Brief nichts"),
        (b"\x89PNG" * 300_000, "Die Datei ist nicht als UTF-8 gespeichert."),
    ):
        told = begin(browser, topic="finance-news", start="file", files=[("file", ("gold.md", content))])
        assert (told.status_code, says in text_of(told)) == (422, True), text_of(told)
    assert len(office.rows("campaign")) == 1


@on_sqlite
def test_what_a_beginning_lacks_is_said_beside_it(office: Office) -> None:
    told = text_of(begin(office.browser_of(Role.EDITOR), name="", topic="horoscopes", start="x"))
    for sentence in ("Bitte wählen Sie, worum es geht.", "Bitte geben Sie einen Namen ein", "womit er beginnt."):
        assert sentence in told
    assert office.rows("campaign") == []


@on_sqlite
def test_five_megabytes_are_refused_with_what_to_do_and_of_strangers_nothing_is_read(office: Office) -> None:
    number = enter(office)
    five = {"source": "A" * 5_000_000}
    told = office.browser_of(Role.EDITOR).post(f"/campaigns/{number}/file", five)
    assert (told.status_code, "Bilder liegen auf Ihrem Webserver" in text_of(told)) == (413, True)
    assert office.browser_of(Role.VIEWER).post(f"/campaigns/{number}/file", five).status_code == 403
    assert office.browser().post(f"/campaigns/{number}/file", five).status_code == 303
    assert LETTERS.octets < 5_000_000


@on_sqlite
def test_every_key_of_a_file_comes_back_from_the_form_and_an_untouched_letter_keeps_its_file(office: Office) -> None:
    number = enter(office, EVERYTHING)
    browser = office.browser_of(Role.EDITOR)
    path = f"/campaigns/{number}/edit"
    assert browser.post(path, typed(browser.get(path))).status_code == 303
    of, files = stored(office, number)
    assert (files[Language.DE][1], of.version) == (EVERYTHING, 2)
    with office.engine.begin() as conn:
        before = release.editions(conn, of, houses.house(office.settings))
    fields = typed(browser.get(path)) | {"de.lead": "Anders"}
    assert browser.post(path, fields).status_code == 303
    assert browser.post(path, typed(browser.get(path)) | {"de.lead": "yes,\r\n 12\r\n"}).status_code == 303
    assert typed(browser.get(path))["de.lead"] == ["yes, 12"]
    of, files = stored(office, number)
    with office.engine.begin() as conn:
        assert release.editions(conn, of, houses.house(office.settings)) == before
    assert files[Language.DE][1] != EVERYTHING


@on_sqlite
def test_subjects_that_are_tried_are_written_line_by_line_and_each_language_has_as_many(office: Office) -> None:
    number = enter(office)
    browser = office.browser_of(Role.EDITOR)
    path = f"/campaigns/{number}/edit"
    fields = typed(browser.get(path)) | {"de.subjects": "Gold steigt\r\n\r\n{{ name }}, was nun?"}
    assert browser.post(path, fields).status_code == 303
    _, files = stored(office, number)
    tried = parse_content(files[Language.DE][1], file="a.md")
    assert [put_back(one, tried.snippets) for one in tried.subjects] == ["Gold steigt", "{{ name }}, was nun?"]
    again = typed(browser.get(path))
    assert browser.post(path, again).status_code == 303
    assert stored(office, number)[1] == files
    with_english = typed(browser.post(path, typed(browser.get(path)) | {"do": "write en"}))
    told = browser.post(path, with_english | {"en.subjects": "", "do": "save"})
    assert (told.status_code, "Jede Sprache braucht gleich viele" in text_of(told)) == (422, True)
    assert browser.post(path, typed(browser.get(path)) | {"de.subjects": ""}).status_code == 303
    assert parse_content(stored(office, number)[1][Language.DE][1], file="a.md").subjects == ()


@on_sqlite
def test_blocks_come_and_go_by_buttons_without_a_script_and_nothing_is_saved_by_them(office: Office) -> None:
    number = enter(office)
    browser = office.browser_of(Role.EDITOR)
    path = f"/campaigns/{number}/edit"
    page = browser.post(path, typed(browser.get(path)) | {"do": "add de articles"})
    assert page.status_code == 200
    page = browser.post(path, typed(page) | {"do": "add de articles", "de.articles.0.title": "Erstens"})
    page = browser.post(path, typed(page) | {"do": "up de articles 1", "de.articles.1.title": "Zweitens"})
    assert (typed(page)["de.articles.0.title"], typed(page)["de.articles.1.title"]) == (["Zweitens"], ["Erstens"])
    page = browser.post(path, typed(page) | {"do": "remove de articles 1"})
    page = browser.post(path, typed(page) | {"do": "write en"})
    assert typed(page)["letters"] == ["de", "en"]
    assert stored(office, number)[0].version == 1
    assert browser.post(path, typed(page) | {"en.title": "Gold holds", "en.subject": "Gold holds"}).status_code == 303
    assert "title: Zweitens" in stored(office, number)[1][Language.DE][1]
    assert "subject: Gold holds" in stored(office, number)[1][Language.EN][1]
    assert office.deeds() == ["editing.saved"]


@on_sqlite
@pytest.mark.parametrize(
    ("field", "said", "sentence"),
    [
        ("de.title", "", "Bitte ausfüllen."),
        ("de.subject", "", "Ohne Betreff"),
        ("de.as_of", "", "Finanznachrichten sagen, von wann sie sind."),
        ("de.body", "[x](javascript:alert(1))", "Links, die mit „javascript:“ beginnen, sind nicht erlaubt."),
        ("de.body", "![x](data:image/png;base64,AAAA)", "Links, die mit „data:“ beginnen"),
        ("de.body", "<script>alert(1)</script>", "„<script>“ bewirkt in einem Brief nichts"),
        ("de.body", "{% if name %}", "Eine Bedingung ist nicht vollständig."),
        ("de.body", "{{ vorname }}", "Ein Feld „vorname“ gibt es nicht."),
        ("de.body", "{{ settings.secret }}", "Was zwischen den Klammern steht"),
        ("de.body", "x " * 60_000, "Gmail schneidet längere ab"),
        ("de.prices_good_for", "4 Tage", "Bitte geben Sie eine ganze Zahl ein"),
        ("de.button.0.text", "Los", "Bitte ausfüllen."),
        ("name", "", "Bitte geben Sie einen Namen in einer Zeile ein"),
        ("rate", "schnell", "von 1 bis 10.000.000"),
        ("expires", "1000", "von 1 bis 336"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(
    office: Office, field: str, said: str, sentence: str
) -> None:
    number = enter(office)
    browser = office.browser_of(Role.EDITOR)
    fields = typed(browser.get(f"/campaigns/{number}/edit")) | {field: said, "de.lead": "Mein Vorspann"}
    if field == "de.as_of":
        fields["de.as_of.time"] = ""
    told = browser.post(f"/campaigns/{number}/edit", fields)
    assert (told.status_code, sentence in text_of(told)) == (422, True), text_of(told)[:1500]
    where = {"de.button.0.text": "de.button.0.link"}.get(field, field)
    assert f'id="{where}-error"' in told.text
    assert "Mein Vorspann" in told.text
    assert stored(office, number)[0].version == 1


@on_sqlite
def test_a_price_is_taken_as_germans_and_englishmen_write_it_unless_it_could_be_either(office: Office) -> None:
    number = enter(office)
    browser = office.browser_of(Role.EDITOR)
    path = f"/campaigns/{number}/edit"
    page = browser.post(path, typed(browser.get(path)) | {"do": "add de products"})
    product = {"de.products.0.name": "Gold", "de.products.0.as_of": "2026-11-20", "de.products.0.as_of.time": "09:30"}
    told = browser.post(path, typed(page) | product | {"de.products.0.price": "2.412"})
    assert "Sind bei „2.412“ Tausender gemeint" in text_of(told)
    for said, written in (("2.412,50", "2412.50"), ("2,412.50", "2412.50"), ("489,9", "489.9"), ("12", "12")):
        assert browser.post(path, typed(told) | {"de.products.0.price": said}).status_code == 303
        assert f"price: {written}\n" in stored(office, number)[1][Language.DE][1]
        told = browser.get(path)


@on_sqlite
def test_the_options_of_a_draft_are_set_with_its_text(office: Office) -> None:
    number = enter(office)
    browser = office.browser_of(Role.EDITOR)
    fields = typed(browser.get(f"/campaigns/{number}/edit"))
    more = {
        "expires": "6",
        "rate": "600",
        "name": "Anders",
        "de.prices_good_for": "90",
        "de.prices_good_for.unit": "min",
    }
    assert browser.post(f"/campaigns/{number}/edit", fields | more).status_code == 303
    of, files = stored(office, number)
    assert (of.expires_after_s, of.rate_per_min, of.name) == (6 * 3600, 600, "Anders")
    assert "prices_good_for: 90min\n" in files[Language.DE][1]


@pytest.mark.both_databases
def test_of_two_editors_the_second_is_told_what_changed_and_by_whom_and_nothing_is_overwritten(office: Office) -> None:
    number = enter(office)
    path = f"/campaigns/{number}/edit"
    klara = office.let_in(office.add(Role.EDITOR, "klara@example.de", name="Klara Feldmann"))
    anna = office.browser_of(Role.EDITOR)
    mine, file = typed(anna.get(path)), typed(anna.get(f"/campaigns/{number}/file"))
    theirs = typed(klara.post(path, typed(klara.get(path)) | {"do": "add de articles"}))
    theirs |= {"de.title": "Klaras Titel", "de.subject": "Klaras Betreff", "de.articles.0.title": "Klaras Artikel"}
    assert klara.post(path, theirs).status_code == 303
    told = anna.post(path, mine | {"de.lead": "Annas Vorspann", "de.subject": "Annas Betreff"})
    assert (told.status_code, stored(office, number)[0].version) == (422, 2)
    words = text_of(told)
    assert "Klara Feldmann hat am" in words
    assert "Deutsch, Titel Gespeichert: Klaras Titel Unten schon übernommen." in words
    assert "Deutsch, Artikel 1, Titel Gespeichert: Klaras Artikel Unten schon übernommen." in words
    assert "Deutsch, Betreff Gespeichert: Klaras Betreff Ihres: Annas Betreff" in words
    assert "Deutsch, Vorspann" not in words
    told_of_file = anna.post(f"/campaigns/{number}/file", {**file, "source": [builders.CONTENT, ""]})
    assert (told_of_file.status_code, "Deutsch, Titel Gespeichert: Klaras Titel" in text_of(told_of_file)) == (
        422,
        True,
    )
    assert stored(office, number)[0].version == 2
    assert anna.post(path, typed(told)).status_code == 303
    source = stored(office, number)[1][Language.DE][1]
    assert [word for word in ("Annas Vorspann", "Klaras Titel", "Klaras Artikel") if word not in source] == []
    assert stored(office, number)[0].subject == "Annas Betreff"


@on_sqlite
def test_whole_files_are_saved_as_they_are_and_refused_with_the_line(office: Office) -> None:
    number = enter(office)
    browser = office.browser_of(Role.EDITOR)
    path = f"/campaigns/{number}/file"
    english = EVERYTHING.replace("language: de", "language: en")
    fields = typed(browser.get(path)) | {"source": [EVERYTHING.replace("\n", "\r\n"), english]}
    assert browser.post(path, fields).status_code == 303
    of, files = stored(office, number)
    assert {language: source for language, (_, source) in files.items()} == {"de": EVERYTHING, "en": english}
    assert (of.version, of.default_language) == (2, Language.DE)
    assert of.subject.startswith("{% if name == 'Jörg'")
    wrong = EVERYTHING.replace("code: 0x10", "kode: 0x10")
    told = browser.post(path, typed(browser.get(path)) | {"source": [wrong, EVERYTHING]})
    assert told.status_code == 422
    line = wrong[: wrong.index("kode")].count("\n") + 1
    assert f"Zeile {line}: Der Kopf kennt kein „kode“." in text_of(told)
    assert "kode: 0x10" in told.text
    assert stored(office, number)[0].version == 2


@on_sqlite
def test_a_stored_file_that_cannot_be_taken_apart_is_mended_as_a_file(office: Office) -> None:
    number = enter(office, builders.CONTENT.replace("title:", "titel:"))
    browser = office.browser_of(Role.EDITOR)
    assert browser.get(f"/campaigns/{number}/edit").headers["location"].endswith(f"/campaigns/{number}/file")
    fields = typed(browser.get(f"/campaigns/{number}/file")) | {"source": builders.CONTENT}
    assert browser.post(f"/campaigns/{number}/file", fields).status_code == 303


@on_sqlite
def test_what_is_released_says_so_keeps_what_was_typed_and_leads_to_where_it_is_taken_back(office: Office) -> None:
    number = enter(office)
    path = f"/campaigns/{number}"
    editor, sender = office.browser_of(Role.EDITOR), office.browser_of(Role.SENDER)
    fields = typed(editor.get(f"{path}/edit"))
    settings = office.settings
    with office.engine.begin() as conn:
        release.schedule(
            conn, number, clock.now(conn), "UTC", houses.stationery(settings, signs=False), houses.house(settings)
        )
    told = editor.post(f"{path}/edit", fields | {"de.title": "Zu spät"})
    assert (told.status_code, "title: Zu spät" in told.text) == (422, True)
    assert "wartet auf seine Zeit" in text_of(told)
    assert f"{path}/take-back" not in told.text
    assert f"{path}/take-back" in sender.get(f"{path}/edit").text
    with office.engine.begin() as conn:
        release.take_back(conn, number, "falscher Preis", NOBODY, clock.now(conn))
    assert editor.post(f"{path}/edit", fields | {"de.title": "Jetzt"}).status_code == 303
    assert "Jetzt" in editor.get(f"{path}/preview/letter").text  # and not what was frozen for the release


@on_sqlite
@pytest.mark.parametrize("state", [state for state in CampaignState if state is not CampaignState.DRAFT])
def test_every_state_but_a_draft_says_why_it_is_not_edited(office: Office, state: CampaignState) -> None:
    number = enter(office)
    with office.engine.begin() as conn:
        conn.execute(update(campaign).values(state=state, send_at=clock.now(conn)))
    browser = office.browser_of(Role.EDITOR, "en")
    for page in ("edit", "file"):
        answer = browser.get(f"/campaigns/{number}/{page}")
        assert (answer.status_code, "textarea" in answer.text) == (200, False)
    assert office.deeds() == []


@on_sqlite
def test_the_page_of_a_draft_leads_on_to_writing(office: Office) -> None:
    number = enter(office)
    assert (
        f'class="button" href="/console/campaigns/{number}/edit"'
        in office.browser_of(Role.EDITOR).get(f"/campaigns/{number}").text
    )
    assert "/edit" not in office.browser_of(Role.VIEWER).get(f"/campaigns/{number}").text

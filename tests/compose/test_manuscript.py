"""Content files taken apart for a form and written again: nothing that they say is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.assets import templates
from dispatcher.compose import manuscript
from dispatcher.compose.content import ENTRIES, TEXTS, parse_content
from dispatcher.compose.edition import Edition
from dispatcher.compose.freezing import freeze
from dispatcher.compose.manuscript import Manuscript
from dispatcher.compose.snippets import lift, put_back
from dispatcher.errors import ContentInvalid
from dispatcher.languages import Language
from tests.compose.samples import HOUSE

EVERYTHING = """---
# Every key that there is.
language: de
subject: "{% if name == 'Jörg' or name %}{{ name | default('liebe Leserin', true) }}: {% endif %}neu"
title: |
  Zwei Zeilen, die
  eine werden
preheader: '{% raw %}{{ kein Feld }}{% endraw %} # kein Kommentar'
lead: yes, 12
as_of: 2026-11-20T09:30:15
prices_good_for: 90 min
articles:
  - title: "- ein Strich"
    text: |
      Er trägt {{ name }}.

          Code: {% raw %}{{ x }}{% endraw %}

      - eins
      ---
    link: "{{ preferences_url }}"
    link_text: 'Maße: Bilder'
    image: https://www.example.de/barren.jpg
    alt: ""
  - {title: ohne alles}
products:
  - name: Gold, 1 oz
    price: 3541.20
    currency: CHF
    unit: Stück
    as_of: 2026-11-20
    link: https://www.example.de/p
  - name: ~kapsel
offers:
  - title: "123"
    text: "Umbruch\\L und \\"mehr\\""
    price: 489
    valid_until: 2026-11-30
    code: 0x10
    link: mailto:haus@example.de
button: {text: "Ansehen {", link: "https://www.example.de/?a=1#b"}
---

    eingerückt

{{ greeting }}, {% if name %}Sie{% else %}du{% endif %} {# eine Notiz #} und { {{ name }}

---
Ende
"""


TRIED = """---
language: de
subjects:
  - "{% if name %}{{ name }}: {% endif %}neu"
  - 'Gold: # kein Kommentar'
  - |
    zwei Zeilen, die
    eine werden
title: Gold
---
Text
"""


def test_subjects_that_are_tried_are_a_line_each_and_stand_in_place_of_the_subject() -> None:
    letter = manuscript.read(TRIED, file="a.md")
    assert letter.head["subjects"] == (
        "{% if name %}{{ name }}: {% endif %}neu\nGold: # kein Kommentar\nzwei Zeilen, die eine werden"
    )
    assert manuscript.read(again(TRIED), file="a.md") == letter
    assert parse_content(again(TRIED), file="a.md").subjects == parse_content(TRIED, file="a.md").subjects
    typed = Manuscript(Language.DE, {"title": "Gold", "subject": "Silber", "subjects": "\n Gold \n\n- x\n"}, {}, "Text")
    assert manuscript.read(manuscript.write(typed).source, file="a.md").head == {
        "title": "Gold",
        "subjects": "Gold\n- x",
    }
    for subjects in ("Gold", "Gold\nGold", "Gold\n{{ nome }}"):
        wrong = Manuscript(Language.DE, {"title": "Gold", "subjects": subjects}, {}, "Text")
        assert list(manuscript.faults(wrong)) == ["subjects"]


def frozen(source: str) -> Edition:
    content = parse_content(source, file="a.md")
    return freeze(content, topic="finance-news", subject="Gold", house=HOUSE, campaign_id=7)


def again(source: str) -> str:
    return manuscript.write(manuscript.read(source, file="a.md")).source


@pytest.mark.parametrize("topic", ["finance-news", "product-news", "special-offers"])
@pytest.mark.parametrize("language", list(Language))
def test_the_samples_say_the_same_when_they_are_written_again(topic: str, language: Language) -> None:
    source = (templates() / "mail" / topic / f"sample.{language}.md").read_text(encoding="utf-8")
    assert frozen(again(source)) == frozen(source)


def test_every_key_says_the_same_when_it_is_written_again() -> None:
    read = manuscript.read(EVERYTHING, file="a.md")
    assert frozen(again(EVERYTHING)) == frozen(EVERYTHING)
    assert manuscript.read(again(EVERYTHING), file="a.md") == read
    named = {name.rpartition(".")[2] for name in read.texts()}
    assert named == {*TEXTS, *(key for keys in ENTRIES.values() for key in keys), "body"} - {"language", "subjects"}


LINES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Co", "Cn"]) | st.sampled_from("{}%#'\":-\n\t |")
)


@given(LINES)
def test_what_is_lifted_out_can_be_put_back(text: str) -> None:
    try:
        marked = lift(text, file="a.md")
    except ContentInvalid:
        marked = lift("{% raw %}" + text.replace("{%", "{ %") + "{% endraw %}", file="a.md")
    assert lift(put_back(marked.text, marked.snippets), file="a.md").text == marked.text


@given(LINES, LINES, LINES)
def test_whatever_is_typed_into_the_fields_stands_in_them_again(title: str, text: str, body: str) -> None:
    def quoted(typed: str) -> str:
        return put_back(typed, ()) if typed.strip() else ""  # blanks alone are nothing

    article = {"title": quoted(title) or "x", "text": quoted(text), "link": "https://www.example.de/"}
    letter = Manuscript(Language.DE, {"title": quoted(title) or "x"}, {"articles": (article,)}, quoted(body))
    read = manuscript.read(manuscript.write(letter).source, file="a.md")
    assert read.head["title"].split() == letter.head["title"].split()
    assert read.entries["articles"][0].get("text", "") == quoted(text.strip())
    assert read.body == letter.body.strip("\n")


def test_each_fault_is_named_by_its_field() -> None:
    wrong = Manuscript(
        Language.DE,
        {"title": "", "subject": "{{ nobody }}", "as_of": "gestern", "prices_good_for": "4h"},
        {
            "articles": ({"text": "ohne Titel"}, {}, {"title": "A", "link": "javascript:alert(1)"}),
            "products": ({"name": "Gold", "price": "12"},),
            "offers": ({"title": "B"},),
            "button": ({"text": "Los"},),
        },
        "[x](data:image/png;base64,AAAA)",
    )
    assert set(manuscript.faults(wrong)) == {
        "subject", "title", "as_of", "articles.0.title", "articles.2.link", "products.0.price",
        "offers.0.valid_until", "button.0.link", "body",
    }  # fmt: skip


def test_every_fault_of_an_entry_is_named_and_none_that_follows_from_another() -> None:
    wrong = Manuscript(
        Language.DE,
        {"title": "Gold"},
        {
            "articles": (
                {"title": "A", "link": "gleich", "link_text": "Mehr", "image": "barren.jpg", "alt": "Ein Barren"},
                {"title": "{{ nome }}", "link_text": "Mehr", "image": "https://www.example.de/b.jpg"},
            ),
            "products": ({"price": "zwölf", "currency": "Taler", "as_of": "gestern"},),
            "offers": ({"price": "zwölf", "valid_until": "bald", "link": "javascript:alert(1)"},),
        },
        "Text",
    )
    assert set(manuscript.faults(wrong)) == {
        "articles.0.link", "articles.0.image", "articles.1.title", "articles.1.link_text", "articles.1.image",
        "products.0.name", "products.0.price", "products.0.as_of", "offers.0.title", "offers.0.price",
        "offers.0.valid_until", "offers.0.link",
    }  # fmt: skip


def test_a_letter_without_a_word_is_a_fault_and_a_good_one_has_none() -> None:
    assert set(manuscript.faults(Manuscript(Language.EN, {"title": "Gold"}))) == {"title"}
    assert manuscript.faults(Manuscript(Language.EN, {"title": "Gold"}, {"articles": ({},)}, "Text")) == {}

"""A content file: what is taken, and what is refused with its line and a cure."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from dispatcher.compose.content import Price, parse_content
from dispatcher.compose.snippets import put_back
from dispatcher.errors import ContentInvalid
from dispatcher.languages import Language
from tests.compose.samples import content, edition, press

FULL = """\
---
language: en
subject: A subject
title: A title
preheader: Before the header
lead: What it is about
as_of: 2026-03-02 10:30
articles:
  - title: An article
    text: |
      Some **text**.
    link: https://www.example.com/a
    link_text: Read on
    image: https://www.example.com/a.png
    alt: A picture
products:
  - {name: Gold bar, price: 2412.50, currency: CHF, unit: ounce, as_of: 2026-03-02, link: "https://www.example.com/p"}
offers:
  - {title: An offer, price: 10, valid_until: 2026-03-31, code: X1, link: "https://www.example.com/o"}
button: {text: Go, link: "https://www.example.com/b"}
---
The body.
"""


def refused(source: str) -> ContentInvalid:
    with pytest.raises(ContentInvalid) as caught:
        content(source)
    assert caught.value.file == "brief.md"
    assert caught.value.cure or caught.value.what
    return caught.value


def test_a_full_content_file_is_read() -> None:
    read = content(FULL)
    assert (read.language, read.title, read.subject) == (Language.EN, "A title", "A subject")
    assert read.as_of == datetime(2026, 3, 2, 10, 30)  # noqa: DTZ001 (as written; the house's own zone)
    assert read.articles[0].link_text == "Read on"
    assert read.products[0].price == Price(Decimal("2412.50"), "CHF")
    assert read.products[0].as_of == date(2026, 3, 2)
    assert read.offers[0].valid_until == date(2026, 3, 31)
    assert read.offers[0].price == Price(Decimal(10), "EUR")
    assert read.button is not None


def head(lines: str, body: str = "Text.\n") -> str:
    return f"---\nlanguage: de\ntitle: Ein Titel\n{lines}---\n{body}"


# What cannot be sent, the line in which it stands, and what is said of it.
REFUSED = [
    ("Text ohne Kopf\n", 1, "front matter"),
    ("---\nlanguage: de\ntitle: T\n", 1, "no end"),
    ("---\n---\nText\n", 2, "no keys"),
    ("---\nlanguage: de\n---\nText\n", 2, "`title` is missing"),
    ("---\ntitle: T\n---\nText\n", 2, "`language` is missing"),
    ("---\ntitle: T\nlanguage: fr\n---\nText\n", 3, "unknown language `fr`"),
    ("---\nlanguage: de\ntitle: T\n---\n", 3, "nothing else"),
    (head("titel: x\n"), 4, "unknown key `titel`"),
    (head("title: x\n"), 4, "stands twice"),
    (head("lead: yes\n"), 4, "`lead` must be a text, not yes or no"),
    (head("lead: [a]\n"), 4, "not a list"),
    (head("lead: a: b\n"), 4, "not YAML"),
    (head(f"lead: {'[' * 5000}\n"), 2, "goes too deep"),
    (head("as_of: morgen\n"), 4, "neither a day nor a time"),
    (head("articles: x\n"), 4, "must be a list"),
    (head("articles:\n  - x\n"), 5, "must have keys"),
    (head("articles:\n  - title: A\n  - text: B\n"), 6, "`title` is missing in entry 2"),
    (head("articles:\n  - title: A\n    image: https://example.de/a.png\n"), 6, "without `alt`"),
    (head("articles:\n  - title: A\n    link_text: B\n"), 6, "without `link`"),
    (head("articles:\n  - title: A\n    link: javascript:alert(1)\n"), 6, "javascript: are not allowed"),
    (head("articles:\n  - title: A\n    image: data:image/png;base64,x\n    alt: x\n"), 6, "data: are not allowed"),
    (head("articles:\n  - title: A\n    link: /hier\n"), 6, "not a whole address"),
    (head("articles:\n  - title: A\n    text: |\n      Gut.\n\n      [x](file:///etc)\n"), 9, "file: are"),
    (head("products:\n  - name: A\n    price: 10\n"), 6, "without `as_of`"),
    (head("products:\n  - name: A\n    price: 2.412,50\n    as_of: 2026-03-02\n"), 6, "must be a number"),
    (head("products:\n  - name: A\n    price: .nan\n    as_of: 2026-03-02\n"), 6, "number"),
    (head("products:\n  - name: A\n    price: -1\n    as_of: 2026-03-02\n"), 6, "out of range"),
    (head("products:\n  - name: A\n    price: 1\n    currency: Taler\n    as_of: 2026-03-02\n"), 7, "`Taler`"),
    (head("offers:\n  - title: A\n"), 5, "`valid_until` is missing"),
    (head("offers:\n  - title: A\n    valid_until: 2026-03-02 10:00\n"), 6, "without a time"),
    (head("button: {text: Los}\n"), 4, "`link` is missing"),
    (head("subjects: Gold\n"), 4, "must be a list"),
    (head("subjects: [Gold]\n"), 4, "1 entries in `subjects`"),
    (head("subjects: [a, b, c, d, e]\n"), 4, "5 entries in `subjects`"),
    (head("subjects: [Gold, ' Gold ']\n"), 4, "two of the `subjects` are the same"),
    (head("subjects: [Gold, '']\n"), 4, "an empty entry"),
    (head("subjects: [Gold, [a]]\n"), 4, "must be a text, not a list"),
    (head("subjects: [Gold, '{% if name %}x']\n", "{% endif %}\n"), 4, "not whole"),
    (head("subject: Gold\nsubjects: [a, b]\n"), 4, "`subject` beside `subjects`"),
    (head("lead: '{% if name %}x'\n", "{% endif %}\n"), 4, "not whole"),
    (head('lead: "\\U000F0007"\n'), 4, "private-use"),
    (head("", "Gut.\n\n[x](javascript:alert(1))\n"), 7, "javascript: are not allowed"),
    (head("", "Gut.\n\n![x](x.png)\n"), 7, "not a whole address"),
    (head("", "&#xF0009;\n"), 5, "private-use"),
    (head("", "Gut.\n\n\U000f0000\n"), 7, "private-use"),
    (head("", "Gut.\n\n{{ nome }}\n"), 7, "`nome` is no field"),
    (head("", "{{ name.__class__ }}\n"), 5, "reads a part"),
    (head("", "{{ name['x'] }}\n"), 5, "reads a part"),
    (head("", "{{ name() }}\n"), 5, "calls a function"),
    (head("", "{{ name|attr('x') }}\n"), 5, "unknown filter `attr`"),
    (head("", "{{ name * 999999999 }}\n"), 5, "uses mul"),
    (head("", "{{ 'a\\n' }}\n"), 5, "backslash"),
    (head("", "{{ }}\n"), 5, "empty"),
    (head("", "{{ name }\n"), 5, ""),
    (head("", "Gut.\n{% for x in name %}\n{% endfor %}\n"), 6, "`for` is not for content"),
    (head("", "{% include 'x' %}\n"), 5, "`include` is not for content"),
    (head("", "{% set x = 1 %}\n"), 5, "`set` is not for content"),
    (head("", "Gut.\n\n{% if name %}\nText\n"), 7, "`if` has no partner"),
    (head("", "Gut.\n\n{% endif %}\n"), 7, "`endif` has no partner"),
    (head("", "{% if name %}a{% else %}b{% else %}c{% endif %}\n"), 5, "`else` has no partner"),
    (head("", "{% if %}a{% endif %}\n"), 5, "takes a condition"),
    (head("", "{% if name %}\n\n- a {% endif %}\n"), 5, "different levels"),
    (head("", "*{% if name %}a* b{% endif %}\n"), 5, "different levels"),
    (head("", "[x](https://example.de/?n={{ name }})\n"), 5, "changes with the recipient"),
    (head("", "[x]({{ greeting }})\n"), 5, "changes with the recipient"),
    (head("", '[x](https://example.de "{{ name }}")\n'), 5, "title of a link"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "line", "what"), REFUSED)
def test_what_cannot_be_sent_is_refused_with_its_line(source: str, line: int, what: str) -> None:
    fault = refused(source)
    assert what in fault.what
    assert fault.line == line


def test_of_several_subjects_the_first_is_the_letters_own() -> None:
    content = parse_content(head("subjects:\n  - Gold\n  - '{{ name }}, Gold'\n"), file="news.de.md")
    assert content.subject == content.subjects[0] == "Gold"
    assert [put_back(each, content.snippets) for each in content.subjects] == ["Gold", "{{ name }}, Gold"]


def test_lines_count_on_below_snippets_that_take_several_lines() -> None:
    body = "{# one\ntwo #}\n{{\nname\n}}\n\n{% if name -%}\n\n\nx{% endif %}\n\n{{ wrong }}\n"
    assert refused(head("", body)).line == 5 + 11


def test_a_file_beyond_a_megabyte_is_refused() -> None:
    assert "1 MB" in refused(head("", "x" * 1_000_001)).what


def test_finance_news_need_their_time() -> None:
    with pytest.raises(ContentInvalid, match="as_of"):
        edition(head(""), topic="finance-news")


def test_a_letter_that_gmail_would_clip_is_refused() -> None:
    with pytest.raises(ContentInvalid, match=r"Gmail's clip"):
        edition(head("", "Wort und Wort. " * 7000))


def test_a_letter_without_a_subject_is_refused() -> None:
    with pytest.raises(ContentInvalid, match="no subject"):
        edition(head(""), subject=" ")


def test_a_loop_in_the_campaigns_subject_is_refused() -> None:
    with pytest.raises(ContentInvalid, match="subject, line 1: `for`"):
        edition(head(""), subject="{% for x in name %}{% endfor %}")


def test_raw_html_in_content_is_text() -> None:
    page = press("<script>alert(1)</script> <b onclick=x>fett</b>\n").edition.html
    assert "<script" not in page
    assert "&lt;script&gt;" in page

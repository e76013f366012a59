"""The letter that is measured: finance news of about 10 KB HTML and 2 KB text, with name and links per recipient."""

from dispatcher.compose.content import parse_content
from dispatcher.compose.freezing import freeze
from dispatcher.compose.house import House
from dispatcher.db.terms import Topic

TOPIC = Topic.FINANCE_NEWS
SUBJECT = "Edelmetalle der Woche: Gold hält sich"
_HTML_OCTETS = 10_000
_TEXT_OCTETS = 2_000
_HEAD = """---
language: de
title: Gold hält sich
lead: Die Woche war ruhig; Silber gibt nach.
as_of: 2026-11-20 09:30
products:
  - name: Gold, Barren 1 Unze
    price: 3541.20
    unit: Stück
    as_of: 2026-11-20 09:30
    link: https://www.example.de/p/gold-1oz
---
{{ greeting }},

hier sind die Preise von Freitagmorgen. {% if name %}Schön, dass Sie dabei sind.{% endif %}
"""
_PARAGRAPH = "\nGold notiert kaum verändert, Anleger warten auf die Zahlen vom Arbeitsmarkt.\n"
_LIST_ITEM = "\n- [Kurs](https://www.example.de/k)\n"


def content(house: House) -> str:
    """Write the content: paragraphs until the text has 2 KB, then links until the HTML has 10 KB."""
    body, text, html = _HEAD, 0, 0
    while text < _TEXT_OCTETS:
        body += _PARAGRAPH
        html, text = _sizes(body, house)
    while html < _HTML_OCTETS:
        body += _LIST_ITEM
        html, _ = _sizes(body, house)
    return body


def _sizes(body: str, house: House) -> tuple[int, int]:
    edition = freeze(parse_content(body, file="bench.de.md"), topic=TOPIC, subject=SUBJECT, house=house, campaign_id=1)
    return edition.html_size, edition.text_size

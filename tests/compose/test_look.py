"""What a reader sees: order, plain text, contrast, size, and an HTML that needs no picture and no script."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from babel.dates import format_date
from lxml import html

from dispatcher.assets import templates
from dispatcher.compose.letter import Press
from dispatcher.compose.words import long_date
from dispatcher.languages import Language
from tests.compose.samples import HEAD, READER, TOKEN, edition, press, sample_edition, sample_files

BASE = templates() / "mail" / "_base"
SAMPLES = pytest.mark.parametrize("path", sample_files(), ids=lambda path: f"{path.parent.name}-{path.name}")


def test_there_is_a_sample_of_each_topic_in_each_language() -> None:
    assert len(sample_files()) == 6


@SAMPLES
def test_a_letter_is_read_in_the_same_order_in_both_parts(path: Path) -> None:
    machine = Press(sample_edition(path))
    page = html.fromstring(machine.page(READER))
    seen = " ".join("".join(page.xpath("//body")[0].itertext()).split())
    text = " ".join(machine.plain(READER).split())
    german = path.name == "sample.de.md"
    order = [
        "Beispiel Edelmetalle GmbH",
        "November 2026",
        " ".join(page.xpath("//h1")[0].text_content().split()),
        "Guten Tag Maria Muster" if german else "Dear Maria Muster",
        page.xpath("//a[@class='button']")[0].text_content(),
        *(["Risikohinweis" if german else "About risk"] if path.parent.name == "finance-news" else []),
        "2. März 2026" if german else "2 March 2026",
        "Abmelden" if german else "Unsubscribe",
        "Musterstraße 12",
        "USt-IdNr.",
    ]
    for place in (seen, text):
        assert [place.find(words) for words in order] == sorted(place.find(words) for words in order)
        assert all(words in place for words in order)


@SAMPLES
def test_a_letters_html_is_sound(path: Path) -> None:
    source = Press(sample_edition(path)).page(READER)
    page = html.fromstring(source)
    assert len(source.encode()) < 100_000
    assert page.get("lang") == path.name.split(".")[1]
    assert page.findtext(".//title") == page.xpath("//h1")[0].text_content()
    assert page.xpath("//table[not(@role='presentation') and not(.//th)]") == []
    assert page.xpath("//img[not(@alt)] | //script | //link | //form") == []
    assert len(page.xpath("//a[@class='button']")) <= 1
    for name in "upv":
        assert page.xpath(f"//a[@href='https://news.example.de/{name}/{TOKEN}']")


@SAMPLES
def test_a_letters_text_is_wrapped_and_shows_no_markup(path: Path) -> None:
    text = Press(sample_edition(path)).plain(READER)
    assert all(len(line) <= 80 or "https://" in line for line in text.splitlines())
    assert not re.search(r"\*\*|</|\n\n\n|[ \t]\n|\]\(", text)
    assert text.endswith("\n")


def test_markdown_becomes_text_that_reads_well() -> None:
    body = (
        "## Ein Abschnitt\n\nEin *Wort* mit [Ziel](https://www.example.de/z) und <https://www.example.de/y>.\n\n"
        "- eins\n- zwei,\n  in zwei Zeilen\n\n3. drei\n4. vier\n\n> Zitat\n> weiter\n\n    Code\n\n---\n\n"
        "| A | B |\n|---|--:|\n| x | 1 |\n| länger | 22 |\n\nEnde  \nneue Zeile\n"
    )
    said = press(body).plain(READER).split("=\n", 1)[1].split("\n---------------------------------", 1)[0]
    assert said.strip("\n") == (
        "Ein Abschnitt\n=============\n\n"
        "Ein Wort mit Ziel (https://www.example.de/z) und\nhttps://www.example.de/y.\n\n"
        "- eins\n- zwei, in zwei Zeilen\n\n3. drei\n4. vier\n\n> Zitat weiter\n\n    Code\n\n* * *\n\n"
        "A        B\n----------\nx        1\nlänger  22\n\nEnde\nneue Zeile"
    )


def test_prices_and_dates_are_written_as_the_language_writes_them() -> None:
    entry = "products:\n  - {name: N, price: 2412.5, unit: Unze, as_of: 2026-03-02 09:05}\n"
    german = Press(edition(HEAD.replace("title", entry + "title")))
    english = Press(edition(HEAD.replace("de", "en").replace("title", entry + "title")))
    assert "2.412,50\xa0€" in german.plain(READER)
    assert "je Unze, Stand: 2. März 2026, 9:05 Uhr" in german.plain(READER)
    assert "€2,412.50" in english.plain(READER)
    assert "per Unze, as of 2 March 2026, 9:05" in english.plain(READER)


@pytest.mark.parametrize(("language", "locale"), [(Language.DE, "de_DE"), (Language.EN, "en_GB")])
def test_every_day_is_written_as_the_unicode_consortium_has_it(language: Language, locale: str) -> None:
    days = [date(2023, 12, 1) + timedelta(days=more) for more in range(14 * 31)]  # a leap year, and both its ends
    assert [long_date(day, language) for day in days] == [format_date(day, "long", locale=locale) for day in days]


def test_both_languages_say_the_same_things() -> None:
    words = [yaml.safe_load((BASE / f"words.{language}.yaml").read_text(encoding="utf-8")) for language in ("de", "en")]
    assert keys(words[0]) == keys(words[1])


def keys(table: dict[str | int, object], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in table.items():
        found |= keys(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return found


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(("sheet", "paper"), [("letter.css", "#fbfaf7"), ("screens.css", "#16150f")])
def test_every_colour_of_text_stands_out_from_its_paper(sheet: str, paper: str) -> None:
    css = (BASE / sheet).read_text(encoding="utf-8")
    rules = re.findall(r"([^{}]+)\{([^{}]+)\}", css)
    checked = 0
    for selector, declarations in rules:
        colour = re.search(r"(?<![-\w])color: (#\w{6})", declarations)
        if colour is None or selector.strip() == ".preheader":
            continue
        under = paper
        if selector.strip() == ".button":
            found = re.search(r"\.act td \{ background-color: (#\w{6})", css)
            assert found is not None
            under = found[1]
        assert contrast(colour[1], under) >= 4.5, selector
        checked += 1
    assert checked >= 4


def test_no_text_is_smaller_than_14_pixels() -> None:
    sizes = re.findall(r"([^{}]+)\{[^{}]*?font-size: (\d+)px", (BASE / "letter.css").read_text(encoding="utf-8"))
    assert {selector.strip() for selector, size in sizes if int(size) < 14} == {".preheader"}

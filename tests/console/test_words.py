"""What the console says: in both languages, and for everything that can be done."""

import re
from itertools import pairwise
from string import Template

import pytest

from dispatcher.assets import PACKAGE
from dispatcher.console.declare import Act
from dispatcher.console.pages import AREAS, PAGES
from dispatcher.console.paper import STATIC, has, say, words
from dispatcher.db.terms import Language, Role
from tests.web.test_markup import contrast, schemes

INKS = ("ink", "muted", "gold", "deep", "good", "warn", "bad")


def test_both_languages_say_the_same_things_with_the_same_values() -> None:
    for one, other in pairwise(words(language) for language in Language):
        assert {table: set(keys) for table, keys in one.items()} == {table: set(keys) for table, keys in other.items()}
        for table, sentences in one.items():
            for key, sentence in sentences.items():
                named = [set(Template(text).get_identifiers()) for text in (sentence, other[table][key])]
                assert named[0] == named[1], f"{table}.{key}"


NOUNS = (
    "Empfänger", "Empfängern", "Personen", "Menschen", "Adressen", "Austritte", "Anfragen", "Meldungen", "Leitungen",
    "Befunde", "Prüfungen", "Einträge", "Einträgen", "Prüfpunkte",
)  # fmt: skip


def test_one_is_told_in_the_singular() -> None:
    assert say(Language.DE, "releasing.button", people="1") == "An einen Empfänger senden"
    assert say(Language.DE, "releasing.button", people="2") == "An 2 Empfänger senden"
    assert say(Language.EN, "releasing.heading", name="News", people=1) == "Send “News” to one recipient"
    counted = re.compile(rf"(?<!von )\$([a-z]+) ({'|'.join(NOUNS)})\b")
    for table, sentences in words(Language.DE).items():
        for key, sentence in sentences.items():
            for number, noun in counted.findall(sentence):
                filled = say(Language.DE, f"{table}.{key}", **dict.fromkeys(Template(sentence).get_identifiers(), "1"))
                assert f"1 {noun}" not in filled, f"{table}.{key}: no sentence {key}_one leaves ${number} out"


def entered_elsewhere() -> set[str]:
    """Give what command line, API and domain enter into the audit log themselves."""
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    return {action for source in sources for action in re.findall(r'Deed\(\s*"([a-z_.]+)"', source)}


@pytest.mark.parametrize("language", list(Language))
def test_everything_that_can_be_done_has_a_sentence_in_the_audit_log(language: Language) -> None:
    actions = {page.action for page in PAGES if isinstance(page, Act)} | entered_elsewhere()
    assert [action for action in sorted(actions) if not has(language, action.replace(".", ".did_"))] == []
    assert [area for area in AREAS if not has(language, f"frame.area_{area}")] == []
    assert [role for role in Role if not has(language, f"people.about_{role.replace('-', '_')}")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "side", "field"])
def test_text_can_be_read_in_both_schemes(scheme: str, ground: str) -> None:
    colours = schemes(STATIC / "console.css")[scheme == "dark"]
    assert {
        ink: contrast(colours[ink], colours[ground]) for ink in INKS if contrast(colours[ink], colours[ground]) < 4.5
    } == {}
    assert contrast(colours["on-gold"], colours["gold"]) >= 4.5
    assert contrast(colours["edge"], colours[ground]) >= 3  # WCAG 2.2, 1.4.11

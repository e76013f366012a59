"""Which language a page speaks."""

import pytest
import yaml

from dispatcher.assets import templates
from dispatcher.db.terms import Language, Topic
from dispatcher.domain.tokens import Purpose
from dispatcher.web.language import preferred, words
from tests.web.visitor import House, Visitor, heading, on_sqlite

PREFERRED = {
    "": "de",
    "de": "de",
    "en": "en",
    "EN-us": "en",
    "fr": "de",
    "fr, en;q=0.5": "en",
    "en;q=0.8, de;q=0.9": "de",
    "en, de": "en",
    "de-AT,de;q=0.9,en;q=0.8": "de",
    "en;q=0": "de",
    "en;q=nonsense": "de",
    "*": "de",
    ";;,,q=1,en": "en",
    "english": "de",
}


@pytest.mark.parametrize("header", PREFERRED)
def test_the_browsers_preference_is_read_by_weight(header: str) -> None:
    assert preferred(header) == PREFERRED[header]


@on_sqlite
def test_what_is_asked_for_goes_before_what_the_browser_prefers(visitor: Visitor) -> None:
    german = {"accept-language": "de"}
    assert heading(visitor.get("/?lang=en", headers=german)) == "Subscribe to our newsletter"
    assert heading(visitor.get("/?lang=tlh", headers=german)) == "Newsletter bestellen"


@on_sqlite
def test_a_page_of_a_person_speaks_their_language_whatever_the_browser_prefers(house: House) -> None:
    paul = house.add("paul@example.com", language="en")
    path = f"/p/{house.token(Purpose.PREFERENCES, paul)}"
    page = house.visitor().get(path, headers={"accept-language": "de"})
    assert '<html lang="en">' in page.text
    assert heading(page) == "Your preferences"


@on_sqlite
def test_every_page_leads_to_itself_in_the_other_language(visitor: Visitor) -> None:
    assert 'href="?lang=en" hreflang="en" lang="en">English</a>' in visitor.get("/privacy").text
    assert 'href="?lang=de" hreflang="de" lang="de">Deutsch</a>' in visitor.get("/privacy?lang=en").text


def test_both_languages_have_the_same_words_with_the_same_blanks() -> None:
    def shape(language: Language) -> dict[str, set[str]]:
        return {
            f"{page}.{key}": {word for word in text.replace(".", " ").replace(",", " ").split() if word[:1] == "$"}
            for page, table in words(language).items()
            for key, text in table.items()
        }

    german, english = shape(Language.DE), shape(Language.EN)
    assert german.keys() == english.keys()
    assert set(words(Language.DE)["topics"]) == set(Topic)


def test_no_key_of_the_wording_is_there_twice() -> None:
    class Strict(yaml.SafeLoader):
        pass

    def refuse_doubles(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, object]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return loader.construct_mapping(node)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, refuse_doubles)
    for path in (templates() / "web" / "public").glob("words.*.yaml"):
        yaml.load(path.read_text(encoding="utf-8"), Strict)


def test_every_word_is_used_by_a_page_or_by_the_code() -> None:
    folder = templates() / "web"
    code = templates().parent / "dispatcher" / "web"
    texts = "\n".join(p.read_text(encoding="utf-8") for p in [*folder.rglob("*.html"), *code.glob("*.py")])
    problems = {"missing", "not_allowed", "bad_link", "too_large", "not_readable", "failed", "away"}
    unused = [
        f"{page}.{key}"
        for page, table in words(Language.DE).items()
        for key in table
        if f"{page}.{key}" not in texts and page != "topics" and not (page in problems and key in ("title", "lead"))
    ]
    assert unused == []

"""Every page as a browser and a screen reader see it: sound markup, labels, landmarks, contrast."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import html

from dispatcher.db import clock
from dispatcher.db.terms import Language, Topic
from dispatcher.domain import declarations
from dispatcher.domain.declarations import Draft
from dispatcher.domain.tokens import Purpose
from dispatcher.web.pages import STATIC
from tests.web.visitor import House, on_sqlite


def pages(house: House, language: str) -> Iterator[tuple[str, str]]:
    """Give every page there is, by name."""
    visitor, lang = house.visitor(), f"?lang={language}"
    maria = house.add("paul@example.com")
    leave = f"/u/{house.token(Purpose.UNSUBSCRIBE, maria, Topic.FINANCE_NEWS)}{lang}"
    leave_all = f"/u/{house.token(Purpose.UNSUBSCRIBE, maria)}{lang}"
    choose = f"/p/{house.token(Purpose.PREFERENCES, maria)}{lang}"
    form = house.form(stamp=house.stamp(language=language))
    yield "sign-up", visitor.get(f"/{lang}").text
    yield (
        "sign-up, wrong",
        visitor.post(f"/{lang}", data={**form, "address": "x", "name": "\n" + "a" * 201, "topic": []}).text,
    )
    yield "sign-up, begun elsewhere", visitor.post(f"/join{lang}", data={"address": "x@example.de"}).text
    yield "sign-up, done", visitor.post(f"/{lang}", data=form).text
    confirm = house.confirmation_path() + lang
    yield "confirm", visitor.get(confirm).text
    yield "confirmed", visitor.post(confirm).text
    yield "confirmed before", visitor.post(confirm).text
    yield "preferences", visitor.get(choose).text
    yield "preferences, saved", visitor.post(choose, data={"topic": ["product-news"], "language": language}).text
    yield from preferences_and_moving(house, language)
    yield "unsubscribe", visitor.get(leave).text
    yield "unsubscribe from everything", visitor.get(leave_all).text
    yield "unsubscribed", visitor.post(leave, data={"scope": "topic"}).text
    for name in ("privacy", "impressum", "nothing", "u/wrong"):
        yield name, visitor.get(f"/{name}{lang}").text
    yield "too large", visitor.post(f"/{lang}", content=b"a" * 100_000).text


def preferences_and_moving(house: House, language: str) -> Iterator[tuple[str, str]]:
    """Give the preferences after each of their buttons, and the pages of a change of address."""
    visitor = house.visitor()
    choose = f"/p/{house.token(Purpose.PREFERENCES, house.add('anna@example.de'))}?lang={language}"
    yield "preferences, paused", visitor.post(choose, data={"do": "pause", "weeks": "4"}).text
    yield "preferences, resumed", visitor.post(choose, data={"do": "resume"}).text
    yield "preferences, no address", visitor.post(choose, data={"do": "move", "address": "x"}).text
    yield "preferences, moving", visitor.post(choose, data={"do": "move", "address": "anna@example.com"}).text
    for step in ("present address", "new address"):
        link = f"{house.confirmation_path()}?lang={language}"
        yield f"{step}", visitor.get(link).text
        yield f"{step}, done", visitor.post(link).text
    yield "preferences, left", visitor.post(choose, data={"do": "leave"}).text
    of_older_words = f"/p/{house.token(Purpose.PREFERENCES, house.add('klara@example.de'))}?lang={language}"
    renew(house, Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS)
    yield "preferences, older words", visitor.get(of_older_words).text


def renew(house: House, *topics: Topic) -> None:
    """Enter words under which older consent for these topics is not good any more."""
    texts = {language: f"New words in {language}." for language in Language}
    with house.engine.begin() as conn:
        declarations.enter(conn, Draft("2", texts, tuple(Topic), frozenset(topics)), clock.now(conn))


@on_sqlite
@pytest.mark.parametrize("language", ["de", "en"])
def test_every_page_is_sound_and_can_be_used_without_eyes(house: House, language: str) -> None:
    for name, text in pages(house, language):
        page = html.document_fromstring(text)
        assert page.get("lang") == language, name
        assert [len(page.findall(f".//{tag}")) for tag in ("h1", "main", "header", "footer", "title")] == [1] * 5, name
        ids = [element.get("id") for element in page.iter() if element.get("id")]
        assert len(ids) == len(set(ids)), name
        for attribute in ("aria-describedby", "aria-labelledby", "for"):
            named = [word for e in page.iter() for word in (e.get(attribute) or "").split()]
            assert set(named) <= set(ids), name
        for field in page.xpath("//input[not(@type='hidden')]"):
            assert page.xpath(f"//label[@for='{field.get('id')}']"), name
        levels = [int(e.tag[1]) for e in page.iter("h1", "h2", "h3")]
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), name
        assert page.findall(".//script") == [], name
        assert not page.xpath("//@style | //@onclick | //@onload"), name
        assert "$" not in text, name
        assert len(page.xpath("//button[not(contains(@class, 'second'))] | //a[@class='button']")) <= 1, name


def _variables(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css))


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TEXT_PAIRS = [
    *[(ink, "paper") for ink in ("ink", "muted", "gold", "deep", "good", "bad")],
    ("ink", "field"),
    ("on-gold", "gold"),
    ("on-gold", "deep"),
    ("paper", "bad"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_PAIRS)
def test_text_can_be_read_in_both_schemes(scheme: str, ink: str, ground: str) -> None:
    light, dark = _schemes()
    colours = light if scheme == "light" else dark
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edge_of_a_field_can_be_seen_in_both_schemes(scheme: str) -> None:
    light, dark = _schemes()
    colours = light if scheme == "light" else dark
    assert contrast(colours["edge"], colours["paper"]) >= 3  # WCAG 2.2, 1.4.11


def _schemes() -> tuple[dict[str, str], dict[str, str]]:
    return schemes(STATIC / "site.css")


def schemes(sheet: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Give the colours of a style sheet, by day and by night."""
    light, _, rest = sheet.read_text(encoding="utf-8").partition("@media")
    return _variables(light), _variables(rest.partition("*, *::before")[0])

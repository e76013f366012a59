"""Every finding has words in German and in English, about the same things."""

import re
from functools import cache
from typing import Any

import pytest
import yaml

from dispatcher.assets import templates
from dispatcher.db.terms import Language
from dispatcher.sending.preflight.findings import Check, Finding, Severity, title

_NAMES = re.compile(r"Finding\(\s*Check\.(\w+),\s*\"(\w+)\"")


@cache
def _words(language: Language) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((templates() / "preflight" / f"words.{language}.yaml").read_text("utf-8"))
    return found


def _all() -> list[tuple[Check, str]]:
    words = _words(Language.DE)
    return [(check, name) for check in Check for name in words[check] if name not in {"title", "why"}]


def test_both_languages_have_words_for_the_same_findings() -> None:
    german, english = _words(Language.DE), _words(Language.EN)
    assert {table: set(said) for table, said in german.items()} == {table: set(said) for table, said in english.items()}


@pytest.mark.parametrize(("check", "name"), _all())
def test_a_finding_says_what_why_and_the_cure_and_speaks_of_the_same_in_both_languages(check: Check, name: str) -> None:
    said = {language: _words(language)[check][name] for language in Language}
    values = {word for one in said.values() for text in one.values() for word in re.findall(r"\$(\w+)", text)}
    finding = Finding(check, name, Severity.WARN, "@letters", dict.fromkeys(values, "X"))
    for language in Language:
        told = finding.say(language)
        assert all([told.where, told.what, told.why, told.cure, title(check, language)])
        assert "$" not in told.what + told.why + told.cure
    wanted = [set(re.findall(r"\$(\w+)", one["what"])) for one in said.values()]
    assert wanted[0] == wanted[1]


def test_a_finding_comes_back_as_it_was_stored() -> None:
    finding = Finding(Check.LINKS, "dead", Severity.STOP, "a.md:3", {"link": "https://x", "said": "404"})
    assert Finding.from_json(finding.to_json()) == finding

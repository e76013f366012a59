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


def test_who_writes_in_a_form_reads_of_letters_and_fields_and_of_days_as_people_write_them() -> None:
    values = {"what": "Gold", "as_of": "2026-11-20 09:30", "hours": "243"}
    finding = Finding(Check.PRICES, "stale", Severity.WARN, "content.de.md:5", values)
    told = finding.say(Language.DE, {"content.de.md": Language.DE})
    assert told.where == "deutscher Brief, Zeile 5"
    assert told.what == "Gold: Stand 20. November 2026, 9:30 Uhr, beim Versand 10 Tage alt."
    assert "„Preis vom“" in told.cure
    for_files = finding.say(Language.EN)
    assert (for_files.where, "`as_of`" in for_files.cure) == ("content.de.md:5", True)
    over = Finding(Check.PRICES, "over", Severity.STOP, "x.md", {"what": "Unze", "until": "2026-11-30"})
    assert over.say(Language.EN, {"x.md": Language.DE}).where == "German letter"
    assert "30 November 2026" in over.say(Language.EN).what
    young = Finding(Check.PRICES, "stale", Severity.WARN, "x.md", values | {"hours": "30"})
    assert "30 Stunden alt" in young.say(Language.DE).what


@pytest.mark.parametrize("language", list(Language))
def test_cures_call_the_fields_of_the_form_as_the_form_does(language: Language) -> None:
    path = templates() / "web" / "console" / "words" / f"editing.{language}.yaml"
    labels = set(yaml.safe_load(path.read_text("utf-8")).values())
    cures = [said["cure_in_form"] for check in Check for said in _words(language)[check].values()
             if isinstance(said, dict) and "cure_in_form" in said]  # fmt: skip
    named = {name for cure in cures for name in re.findall("[„“](.+?)[“”]", cure)}
    assert named
    assert named <= labels


def test_a_finding_comes_back_as_it_was_stored() -> None:
    finding = Finding(Check.LINKS, "dead", Severity.STOP, "a.md:3", {"link": "https://x", "said": "404"})
    assert Finding.from_json(finding.to_json()) == finding

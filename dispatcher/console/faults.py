"""What is wrong with a letter, in the words of whoever writes it: a pure table over what compose/ says in English.

The first line that fits counts. What a sentence shows of the author's own text is the pattern's group. A fault that no
line knows is told as it is, below a sentence of ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dispatcher.compose import manuscript
from dispatcher.compose.manuscript import Manuscript
from dispatcher.console.drafting import AMBIGUOUS_PRICE, Sheet
from dispatcher.db.terms import Language
from dispatcher.errors import ContentInvalid

_SAID = (
    ("nothing_else", r"a title and nothing else"),
    ("subjects_differ", r"has \d+ `subjects`, and"),
    ("subjects", r"(?:in|of the|beside) `subjects`"),
    ("missing", r"`\w+` is missing in|neither a day nor a time: $"),
    ("day", r"neither a day nor a time|must be a day without a time"),
    ("price", r"must be a number|is no number|is out of range"),
    ("price_without_time", r"`price` without `as_of`"),
    ("currency", r"unknown currency `([^`]*)`"),
    ("span", r"is no span of time"),
    ("no_alt", r"an image without `alt`"),
    ("no_link", r"`link_text` without `link`"),
    ("kind_of_link", r"links of the kind (.+): are not allowed"),
    ("not_an_address", r"not a whole address: (.*)"),
    ("link_changes", r"a link that changes with the recipient|a field in the title of a link"),
    ("no_time", r"finance news without `as_of`"),
    ("no_subject", r"the letter has no subject"),
    ("too_long", r"the letter's HTML has ([\d,]+) bytes"),
    ("too_large", r"larger than 1 MB"),
    ("too_many", r"more than \d+ (?:entries|fields)"),
    (
        "half_condition",
        r"has no partner|a condition that is not whole|stand at different levels|takes (?:a|no) condition",
    ),
    ("no_field", r"`([^`]*)` is no field of the recipient"),
    ("filter", r"unknown filter `([^`]*)`"),
    ("not_for_content", r"`([^`]*)` is not for content"),
    (
        "field",
        r"an empty or overlong field|a field (?:reads|calls|uses)|a backslash or a line break in a string"
        r"|unexpected|expected token|Missing end of|cannot be read",
    ),
    ("character", r"private-use plane|control character"),
    ("key", r"unknown key `([^`]*)`"),
    ("twice", r"`([^`]*)` stands twice|is the second one with language"),
    ("language", r"unknown language|says language"),
    ("head", r"does not begin with front matter|front matter has no (?:end|keys)"),
    ("yaml", r"is not YAML|must be a (?:text|list)|must have keys"),
    ("markup", r"`<(\w+)>` does nothing in a letter"),
    ("bytes", r"bytes that are not UTF-8"),
)
# Where a fault of the whole letter is shown.
_PLACES = {"no_time": "as_of", "no_subject": "subject", "subjects_differ": "subjects"}
# HTML that its author means to do something; a letter shows it as the text it is.
_MARKUP = re.compile(r"<\s*(script|iframe|object|embed|form|style|svg|video|audio|link|meta)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Told:
    """The key of a sentence in words/faults, its values, the line of a file; our own words where there is no other."""

    key: str
    values: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    said: str = ""


def told(fault: ContentInvalid) -> Told:
    """Say what is wrong."""
    for key, words in _SAID:
        if found := re.search(words, fault.what):
            return Told(key, {"shown": found[1]} if found.groups() else {}, fault.line)
    return Told("other", line=fault.line, said=f"{fault.what}. {fault.cure}")


def of_sheet(sheet: Sheet) -> dict[str, Told]:
    """Give what is wrong with what was typed, by field."""
    found: dict[str, Told] = {}
    for language, letter in sheet.letters.items():
        if _subjects(letter) != _subjects(sheet.letters[sheet.default]):
            found[f"{language}.subjects"] = Told("subjects_differ")
        if not letter.head.get("subject") and not letter.head.get("subjects"):
            found[f"{language}.subject"] = Told("no_subject")
        for name, text in letter.texts().items():
            if name.endswith(".price") and AMBIGUOUS_PRICE.fullmatch(text):
                found[f"{language}.{name}"] = Told("price_ambiguous", {"shown": text})
            elif markup := _MARKUP.search(text):
                found[f"{language}.{name}"] = Told("markup", {"shown": markup[1].lower()})
        for name, fault in manuscript.faults(letter).items():
            found.setdefault(f"{language}.{name}", replace(told(fault), line=0))
    return found


def _subjects(letter: Manuscript) -> int:
    return len([line for line in letter.head.get("subjects", "").split("\n") if line.strip()])


def of_file(source: str) -> Told | None:
    """Give what a whole file holds that a letter cannot; what cannot be read is found by who reads it."""
    markup = _MARKUP.search(source)
    return Told("markup", {"shown": markup[1].lower()}, source[: markup.start()].count("\n") + 1) if markup else None


def at_field(fault: ContentInvalid, language: Language) -> tuple[str, Told]:
    """Give a fault that shows only when a letter is composed, and the field beside which it is said."""
    said = replace(told(fault), line=0)
    return f"{language}.{_PLACES.get(said.key, 'body')}", said

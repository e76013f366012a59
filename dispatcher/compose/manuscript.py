"""A content file as its author sees it in a form: the text of each key, read from a file and written as one.

    content file --read--> Manuscript --write--> content file, and to which field each of its lines belongs

What must stay true: what is read and written again says the same, key by key, fields of the recipient included. What
is lost are notes (`#`, `{# #}`) and how it was laid out; so whoever changes nothing keeps the file as it is.
"""

import re
import sys
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import yaml

from dispatcher.compose.content import ENTRIES, KEYS, TEXTS, parse_content
from dispatcher.compose.front_matter import Mapping, split
from dispatcher.compose.snippets import Snippet, lift, put_back
from dispatcher.errors import ContentInvalid
from dispatcher.languages import Language

Entry = Table[str, str]

HEAD = TEXTS[1:]  # without the language
LISTS = tuple(name for name in ENTRIES if name != "button")
_NEEDED = {
    "articles": ("title",),
    "products": ("name",),
    "offers": ("title", "valid_until"),
    "button": ("text", "link"),
}
# What stands in place of a field that others of its entry lean on; of any other that is needed, a dash.
_INNOCENT = {"as_of": "2026-03-02", "valid_until": "2026-03-31", "link": "https://www.example.de/", "alt": "–"}
_MOMENTS, _NUMBERS = frozenset({"as_of", "valid_until"}), frozenset({"price"})
_PLAIN_MOMENT = re.compile(r"[0-9]{4}-[0-9:T .+-]*")
_PLAIN_NUMBER = re.compile(r"[0-9][0-9_]*(\.[0-9]*)?")
# A break of a line for YAML that is none for an editor, and what YAML does not take as it stands.
_NOT_IN_LINES = re.compile("[\r\x85\u2028\u2029]|" + yaml.reader.Reader.NON_PRINTABLE.pattern)
_LONGEST_LINE = 100
_MOST_FAULTS = 60  # each is one reading of the letter, of some milliseconds


@dataclass(frozen=True, slots=True)
class Manuscript:
    """What a letter's author wrote, text by text; a key that is not there says nothing. Only `alt` may be there and be
    empty: the picture is an ornament. Several subjects are a line each.
    """

    language: Language
    head: Table[str, str] = field(default_factory=dict)
    entries: Table[str, tuple[Entry, ...]] = field(default_factory=dict)
    body: str = ""

    def texts(self) -> dict[str, str]:
        """Give every text by the name of its field: `title`, `articles.0.link`, `body`."""
        found = {key: text for key, text in self.head.items() if text}
        for name, entries in self.entries.items():
            for number, entry in enumerate(entries):
                found |= {f"{name}.{number}.{key}": text for key, text in entry.items() if text or key == "alt"}
        return found | ({"body": self.body} if self.body else {})

    def without(self, name: str) -> "Manuscript":
        """Leave out one field. In place of what is needed stands what nobody can object to."""
        parts = name.split(".")
        if parts[0] in ENTRIES and len(parts) == 3:
            key, number = parts[2], int(parts[1])
            entry = {other: text for other, text in self.entries[parts[0]][number].items() if other != key}
            stands = {key: _INNOCENT.get(key, "–")} if key in {*_NEEDED[parts[0]], *_INNOCENT} else {}
            return self._with_entry(parts[0], number, entry | stands)
        if name == "body":
            return replace(self, body="–")
        return replace(self, head={**self.head, name: "–" if name == "title" else ""})

    def without_entry(self, name: str) -> "Manuscript":
        """Leave out all of the entry in which a field stands; a field of none is left out by itself."""
        parts = name.split(".")
        return self._with_entry(parts[0], int(parts[1]), {}) if len(parts) == 3 else self.without(name)

    def _with_entry(self, name: str, number: int, entry: Entry) -> "Manuscript":
        entries = tuple(entry if at == number else one for at, one in enumerate(self.entries[name]))
        return replace(self, entries={**self.entries, name: entries}, body=self.body or "–")


@dataclass(frozen=True, slots=True)
class Written:
    """A content file, and the name of the field from which each of its lines comes."""

    source: str
    fields: tuple[str, ...]

    def field_at(self, line: int) -> str:
        """Name the field of a line (from 1); "" for the letter as a whole."""
        return self.fields[min(line, len(self.fields)) - 1] if line else ""


def read(source: str, *, file: str) -> Manuscript:
    """Read a content file. Raises ContentInvalid for one that cannot be taken apart."""
    marked = lift(source.removeprefix("\ufeff"), file=file)
    head, body = split(marked, file=file, known=KEYS)
    reader = _Reader(marked.snippets)
    entries = {name: tuple(reader.texts(one, ENTRIES[name]) for one in _each(head, name)) for name in ENTRIES}
    return Manuscript(
        Language(head.required("language").text),
        reader.head(head),
        {name: found for name, found in entries.items() if found},
        put_back(body.text, marked.snippets).strip("\n"),
    )


def write(letter: Manuscript) -> Written:
    """Write a content file. Raises ContentInvalid, whose `file` names the field, for a text that cannot be read."""
    writer = _Writer()
    writer.line("language", "---")
    writer.line("language", f"language: {letter.language}")
    for key in HEAD:
        if key == "subjects":
            writer.subjects(letter.head.get(key, ""))
        elif key == "subject" and letter.head.get("subjects", "").strip():
            continue  # the first of several stands in its place
        elif letter.head.get(key) or key == "title":
            writer.text("", key, key, letter.head.get(key, ""))
    for name, entries in letter.entries.items():
        writer.entries(name, entries)
    writer.line("body", "---")
    writer.body(letter.body)
    return Written("\n".join(writer.lines) + "\n", tuple(writer.fields))


def faults(letter: Manuscript) -> dict[str, ContentInvalid]:
    """Give what is wrong, by field; "" is the letter as a whole. One fault of a field hides its others."""
    found: dict[str, ContentInvalid] = {}
    for _ in range(_MOST_FAULTS):
        at, fault = _first_fault(letter)
        if fault is None or not at:
            return found | ({"": fault} if fault is not None else {})
        # What is still wrong without the field is wrong with its entry.
        letter = letter.without_entry(at) if at in found else letter.without(at)
        found.setdefault(at, fault)
    return found


def _first_fault(letter: Manuscript) -> tuple[str, ContentInvalid | None]:
    try:
        written = write(letter)
    except ContentInvalid as fault:
        return fault.file, fault
    try:
        parse_content(written.source, file=f"content.{letter.language}.md")
    except ContentInvalid as fault:
        return written.field_at(fault.line), fault
    return "", None


def _each(head: Mapping, name: str) -> Sequence[Mapping]:
    known = frozenset(ENTRIES[name])
    if name in LISTS:
        return list(head.each(name, known))
    one = head.one(name, known)
    return [] if one is None else [one]


class _Reader:
    """Takes texts out of YAML, with the fields of the recipient as they were written."""

    def __init__(self, snippets: Sequence[Snippet]) -> None:
        self._snippets = snippets

    def head(self, head: Mapping) -> dict[str, str]:
        """Take the head's texts; of a list of subjects each is a line."""
        found = self.texts(head, [key for key in HEAD if key != "subjects"])
        subjects = [" ".join(each.text.split()) for each in head.texts("subjects") or ()]
        return found | ({"subjects": put_back("\n".join(subjects), self._snippets)} if subjects else {})

    def texts(self, entry: Mapping, keys: Sequence[str]) -> dict[str, str]:
        found = {}
        for key in keys:
            text = entry.text(key)
            if text is not None and (text.text or key == "alt"):
                plain = text.text if key == "text" else " ".join(text.text.split())
                found[key] = put_back(plain, self._snippets)
        return found


class _Writer:
    """Writes YAML line by line and notes for which field."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fields: list[str] = []

    def line(self, name: str, text: str) -> None:
        self.lines.append(text)
        self.fields.append(name)

    def entries(self, name: str, entries: Sequence[Entry]) -> None:
        """Write a list, or the one entry of the button; an entry that says nothing is left out."""
        full = [(number, entry) for number, entry in enumerate(entries) if any(entry.values())]
        if full:
            self.line(f"{name}.{full[0][0]}.{ENTRIES[name][0]}", f"{name}:")
        for number, entry in full:
            first, further = ("  - ", "    ") if name in LISTS else ("  ", "  ")
            for key in ENTRIES[name]:
                if entry.get(key) or (key == "alt" and key in entry) or key in _NEEDED[name]:
                    self.text(first, f"{name}.{number}.{key}", key, entry.get(key, ""))
                    first = further

    def text(self, indent: str, name: str, key: str, text: str) -> None:
        """Write one key, whose text may have several lines."""
        marked = lift(text.strip(), file=name)
        lines = _yaml(key, marked.text, len(indent) + 2)
        for number, line in enumerate(lines):
            self.line(name, put_back(f"{indent}{key}: {line}" if number == 0 else line, marked.snippets))

    def subjects(self, text: str) -> None:
        """Write a list of subjects, each a line of the text."""
        marked = lift(text.strip(), file="subjects")
        lines = [line for line in marked.text.split("\n") if line.strip()]
        for place, line in enumerate(lines):
            if place == 0:
                self.line("subjects", "subjects:")
            self.line("subjects", put_back(f"  - {_quoted(' '.join(line.split()))}", marked.snippets))

    def body(self, text: str) -> None:
        lift(text, file="body")
        for line in text.strip("\n").split("\n"):
            self.line("body", line)


def _yaml(key: str, text: str, indent: int) -> list[str]:
    """Write a text as YAML: as it stands, in quotes, or below the key."""
    if (key in _MOMENTS and _PLAIN_MOMENT.fullmatch(text)) or (key in _NUMBERS and _PLAIN_NUMBER.fullmatch(text)):
        return [text]
    if key != "text":
        return [_quoted(" ".join(text.split()))]
    if _NOT_IN_LINES.search(text):
        return [_quoted(text, '"')]
    if "\n" not in text and len(text) < _LONGEST_LINE:
        return [_quoted(text)]
    return ["|", *(f"{' ' * indent}{line}" if line else "" for line in text.split("\n"))]


def _quoted(text: str, style: str | None = None) -> str:
    """Give a text on one line, in quotes where YAML needs them."""
    written: str = yaml.safe_dump(text, default_style=style, allow_unicode=True, width=sys.maxsize)
    return written.removesuffix("\n").removesuffix("\n...")

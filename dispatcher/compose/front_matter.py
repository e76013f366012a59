"""The head of a content file: YAML between two lines of `---`, read so that each fault has its line.

YAML's nodes are read as they stand, not turned into Python objects first: nodes know their line, keep a price
exactly as written, and show a key that was given twice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

import yaml

from dispatcher.compose.snippets import Marked
from dispatcher.errors import ContentInvalid

_FENCE = "---"
_SPAN = re.compile(r"([0-9]{1,4}) ?(min|h|d)")
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST_SPAN = timedelta(days=60)
_PLAIN_SCALARS = ("str", "int", "float", "timestamp")


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of the file: `at(n)` is the file's line of the stretch's line n (from 0)."""

    file: str
    lines: tuple[int, ...]

    def at(self, number: int) -> int:
        """Give the line of the file; beyond the end, the last."""
        return self.lines[min(number, len(self.lines) - 1)]

    def below(self, number: int) -> "Place":
        """Give the stretch that begins `number` lines further down."""
        return Place(self.file, self.lines[number:] or self.lines[-1:])

    def refuse(self, number: int, what: str, cure: str) -> ContentInvalid:
        """Make the error for line `number` of this stretch."""
        return ContentInvalid(self.file, self.at(number), what, cure)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of the front matter and where it stands."""

    text: str
    place: Place


class Mapping:
    """A YAML mapping whose keys are known beforehand. Each getter gives None where the key is absent."""

    def __init__(self, node: yaml.MappingNode, place: Place, known: frozenset[str], name: str) -> None:
        self.place, self.name, self.line = place, name, node.start_mark.line
        self._values: dict[str, yaml.Node] = {}
        for key, value in node.value:
            self._add(key, value, known)

    def refuse(self, key: str, what: str, cure: str = "") -> ContentInvalid:
        """Make the error about `key`, at its line, or at the mapping's where it is absent."""
        node = self._values.get(key)
        return self.place.refuse(node.start_mark.line if node else self.line, what, cure)

    def text(self, key: str) -> Text | None:
        """Give a text; an unquoted number or date counts as one."""
        node = self._values.get(key)
        return None if node is None else self._text(key, node)

    def texts(self, key: str) -> list[Text] | None:
        """Give the texts of a list."""
        node = self._values.get(key)
        if node is None:
            return None
        if not isinstance(node, yaml.SequenceNode):
            raise self.refuse(key, f"`{key}` must be a list, not {_kind(node)}", "Begin each entry with `- `.")
        return [self._text(key, entry) for entry in node.value]

    def required(self, key: str) -> Text:
        """Give a text that must be there and not be empty."""
        found = self.text(key)
        if found is None or not found.text:
            raise self.refuse(key, f"`{key}` is missing in {self.name}", f"Add a line `{key}: ...`.")
        return found

    def number(self, key: str) -> Decimal | None:
        """Give a number exactly as written: 2412.50, with a point."""
        node = self._values.get(key)
        if node is None:
            return None
        cure = "Write a plain number with a point: 2412.50"
        if not isinstance(node, yaml.ScalarNode) or _tag(node) not in ("int", "float"):
            raise self.refuse(key, f"`{key}` must be a number, not {_kind(node)}", cure)
        try:
            found = Decimal(node.value)
        except InvalidOperation:
            raise self.refuse(key, f"`{key}` is no number: {node.value}", cure) from None
        if not found.is_finite() or found < 0 or found >= 10**12:
            raise self.refuse(key, f"`{key}` is out of range: {node.value}", cure)
        return found

    def moment(self, key: str) -> datetime | date | None:
        """Give a day (2026-03-02) or a day with its time (2026-03-02 10:30), as written, in the house's own zone."""
        found = self.text(key)
        if found is None:
            return None
        try:
            moment = datetime.fromisoformat(found.text)
        except ValueError:
            cure = "Write 2026-03-02 or 2026-03-02 10:30."
            raise self.refuse(key, f"`{key}` is neither a day nor a time: {found.text}", cure) from None
        return moment.date() if len(found.text) == len("2026-03-02") else moment

    def day(self, key: str) -> date | None:
        """Give a day without a time."""
        moment = self.moment(key)
        if isinstance(moment, datetime):
            raise self.refuse(key, f"`{key}` must be a day without a time", "Write 2026-03-02.")
        return moment

    def span(self, key: str) -> timedelta | None:
        """Give a span of time: 90min, 4h, 2d; up to 60 days."""
        found = self.text(key)
        if found is None:
            return None
        read = _SPAN.fullmatch(found.text)
        span = int(read[1]) * _UNITS[read[2]] if read else timedelta()
        if not timedelta() < span <= _LONGEST_SPAN:
            cure = "Write 90min, 4h or 2d; 60 days at most."
            raise self.refuse(key, f"`{key}` is no span of time: {found.text[:20]}", cure)
        return span

    def each(self, key: str, known: frozenset[str]) -> Iterator["Mapping"]:
        """Give the mappings of a list."""
        node = self._values.get(key)
        if node is None:
            return
        if not isinstance(node, yaml.SequenceNode):
            raise self.refuse(key, f"`{key}` must be a list, not {_kind(node)}", "Begin each entry with `- `.")
        for number, entry in enumerate(node.value, start=1):
            yield self._mapping(entry, known, f"entry {number} of `{key}`")

    def one(self, key: str, known: frozenset[str]) -> "Mapping | None":
        """Give a mapping."""
        node = self._values.get(key)
        return None if node is None else self._mapping(node, known, f"`{key}`")

    def _text(self, key: str, node: yaml.Node) -> Text:
        if not isinstance(node, yaml.ScalarNode) or _tag(node) not in _PLAIN_SCALARS:
            raise self.refuse(key, f"`{key}` must be a text, not {_kind(node)}", 'Put it into quotes: "...".')
        return Text(node.value.strip(), self._place_of(node))

    def _mapping(self, node: yaml.Node, known: frozenset[str], name: str) -> "Mapping":
        if not isinstance(node, yaml.MappingNode):
            cure = f"Give it keys: {', '.join(sorted(known))}."
            raise self.place.refuse(node.start_mark.line, f"{name} must have keys, not be {_kind(node)}", cure)
        return Mapping(node, self.place, known, name)

    def _add(self, key: yaml.Node, value: yaml.Node, known: frozenset[str]) -> None:
        line = key.start_mark.line
        if not isinstance(key, yaml.ScalarNode) or key.value not in known:
            shown = key.value if isinstance(key, yaml.ScalarNode) else _kind(key)
            cure = f"Known here: {', '.join(sorted(known))}."
            raise self.place.refuse(line, f"unknown key `{shown}` in {self.name}", cure)
        if key.value in self._values:
            raise self.place.refuse(line, f"`{key.value}` stands twice in {self.name}", "Remove one of the two.")
        if _tag(value) != "null":
            self._values[key.value] = value

    def _place_of(self, node: yaml.ScalarNode) -> Place:
        start = node.start_mark.line
        if node.style == "|":
            return self.place.below(start + 1)
        return Place(self.place.file, (self.place.at(start),))


def split(marked: Marked, *, file: str, known: frozenset[str]) -> tuple[Mapping, Text]:
    """Give the front matter and the body below it."""
    lines = marked.text.split("\n")
    if lines[0].rstrip() != _FENCE:
        raise ContentInvalid(file, 1, "the file does not begin with front matter", "Begin with a line of three dashes.")
    fences = [number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == _FENCE]
    if not fences:
        raise ContentInvalid(file, 1, "the front matter has no end", "Close it with a line of three dashes.")
    end = fences[0]
    place = Place(file, marked.lines)
    head = _read("\n".join(lines[1:end]), place.below(1), known)
    return head, Text("\n".join(lines[end + 1 :]), place.below(end + 1))


def _read(text: str, place: Place, known: frozenset[str]) -> Mapping:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line if fault.problem_mark else 0
        cure = "Check the indentation; put texts with a colon into quotes."
        raise place.refuse(line, f"the front matter is not YAML: {fault.problem}", cure) from None
    except yaml.YAMLError:
        raise place.refuse(0, "the front matter holds a control character", "Remove it.") from None
    except RecursionError:
        raise place.refuse(
            0, "the front matter is not YAML that anybody wrote: it goes too deep", "Close its brackets."
        ) from None
    if not isinstance(node, yaml.MappingNode):
        raise place.refuse(0, "the front matter has no keys", "Write lines such as `language: de`.")
    return Mapping(node, place, known, "the front matter")


def _tag(node: yaml.Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _kind(node: yaml.Node) -> str:
    match node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
        case _:
            return {"bool": "yes or no", "null": "nothing"}.get(_tag(node), f"`{node.value}`")

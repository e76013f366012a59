"""From marked text to Jinja2 source: constants encoded for where they stand, snippets put back between them."""

from collections.abc import Callable, Sequence

from dispatcher.compose import headers, quoted_printable
from dispatcher.compose.snippets import MARKERS, Snippet, index_of

# The filters that escape a value for where it stands; BOTH gives it for HTML and for text, on the wire.
PART_HTML, PART_TEXT, PART_SUBJECT, BOTH = "html", "text", "subject_text", "both"


# Fields whose values letter.py hands over written for each part already, as variables called `ready(field, part)`.
READY = ("unsubscribe_url", "preferences_url", "view_url", "consented_on")


def ready(field: str, part: str) -> str:
    """Name the variable that holds a field's value as it stands on the wire in this part."""
    return f"{field}__{part}"


class Values:
    """The values that stand in a letter, each escaped for both parts once, however often it stands there."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, expression: str, part: str) -> str:
        """Give the variable that holds the value of `expression`, escaped for `part`."""
        if expression in READY:
            return ready(expression, part)
        return ready(self._names.setdefault(expression, f"_v{len(self._names)}"), part)

    def prelude(self) -> str:
        """Give the Jinja2 source that fills the variables; it prints nothing."""
        pieces = (
            f"{{% set {ready(name, PART_HTML)}, {ready(name, PART_TEXT)} = ({inner})|{BOTH} %}}"
            for inner, name in self._names.items()
        )
        return "".join(pieces)


def readable(marked: str, snippets: Sequence[Snippet], part: str) -> str:
    """Give a Jinja2 template of the text as people read it, for previews and the web view."""
    return _joined(marked, snippets, lambda snippet: snippet.jinja(part), lambda text, _followed: literal(text))


def encoded(marked: str, snippets: Sequence[Snippet], part: str, values: Values) -> str:
    """Give a Jinja2 template, pure ASCII, of the quoted-printable text; `values` is told what stands in it."""

    def source(snippet: Snippet) -> str:
        if snippet.is_control:
            return snippet.jinja(part)
        return f"{{{{ {values.name(snippet.expression, part)} }}}}"

    return _joined(marked, snippets, source, lambda text, soft: quoted_printable.constant(text, soft=soft))


def subject_line(marked: str, snippets: Sequence[Snippet]) -> str:
    """Give Subject as a Jinja2 template: encoded now, or, where it holds a field, for each recipient."""
    if not MARKERS.search(marked):
        return literal(headers.field("Subject", headers.subject(marked)))
    headers.guard("Subject", marked)
    inner = _joined(marked, snippets, lambda one: one.jinja(PART_SUBJECT), lambda text, _followed: _spelled(text))
    return f"Subject: {{% filter subject %}}{inner}{{% endfilter %}}\r\n"


def prelude(unnamed: str, named: str) -> str:
    """Give the Jinja2 source that makes `greeting` of the name; it prints nothing."""
    with_name, without = _quoted(f"{named} "), _quoted(unnamed)
    return f"{{% set greeting = ({with_name} + name) if name else {without} %}}"


def literal(text: str) -> str:
    """Give Jinja2 source that renders as `text`: a brace in it opens nothing."""
    return text.replace("{", '{{ "{" }}')


def _spelled(text: str) -> str:
    return f"{{{{ {_quoted(text)} }}}}" if text else ""


def _quoted(text: str) -> str:
    """Give a Jinja2 string in ASCII; Jinja2 reads the same escapes as Python."""
    escaped = text.replace("\\", "\\\\").replace('"', "\\x22").replace("{", "\\x7b").replace("}", "\\x7d")
    return f'"{escaped.encode("ascii", "backslashreplace").decode("ascii")}"'


def _joined(
    marked: str,
    snippets: Sequence[Snippet],
    source: Callable[[Snippet], str],
    constant: Callable[[str, bool], str],
) -> str:
    pieces: list[str] = []
    at = 0
    for found in MARKERS.finditer(marked):
        pieces.append(constant(marked[at : found.start()], True))
        pieces.append(source(snippets[index_of(found.group())]))
        at = found.end()
    return "".join([*pieces, constant(marked[at:], False)])

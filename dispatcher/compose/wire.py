"""From marked text to Jinja2 source: constants encoded for where they stand, snippets put back between them."""

from collections.abc import Callable, Sequence

from dispatcher.compose import headers, quoted_printable
from dispatcher.compose.snippets import MARKERS, Snippet, index_of

# The filters that escape a value for where it stands.
PART_HTML, PART_TEXT, PART_SUBJECT = "html", "text", "subject_text"


def readable(marked: str, snippets: Sequence[Snippet], part: str) -> str:
    """Give a Jinja2 template of the text as people read it, for previews and the web view."""
    return _joined(marked, snippets, part, lambda text, _followed: literal(text))


def encoded(marked: str, snippets: Sequence[Snippet], part: str) -> str:
    """Give a Jinja2 template, pure ASCII, of the quoted-printable text."""
    return _joined(marked, snippets, part, lambda text, followed: quoted_printable.constant(text, soft=followed))


def subject_line(marked: str, snippets: Sequence[Snippet]) -> str:
    """Give Subject as a Jinja2 template: encoded now, or, where it holds a field, for each recipient."""
    if not MARKERS.search(marked):
        return literal(headers.field("Subject", headers.subject(marked)))
    headers.guard("Subject", marked)
    inner = _joined(marked, snippets, PART_SUBJECT, lambda text, _followed: _spelled(text))
    return f"Subject: {{% filter subject %}}{inner}{{% endfilter %}}\r\n"


def prelude(unnamed: str, named: str) -> str:
    """Give the Jinja2 source that makes `greeting` of the name; it prints nothing."""
    with_name, without = _quoted(f"{named} "), _quoted(unnamed)
    return f"{{% set greeting = ({with_name} ~ name) if name else {without} %}}"


def literal(text: str) -> str:
    """Give Jinja2 source that renders as `text`: a brace in it opens nothing."""
    return text.replace("{", '{{ "{" }}')


def _spelled(text: str) -> str:
    return f"{{{{ {_quoted(text)} }}}}" if text else ""


def _quoted(text: str) -> str:
    """Give a Jinja2 string in ASCII; Jinja2 reads the same escapes as Python."""
    escaped = text.replace("\\", "\\\\").replace('"', "\\x22").replace("{", "\\x7b").replace("}", "\\x7d")
    return f'"{escaped.encode("ascii", "backslashreplace").decode("ascii")}"'


def _joined(marked: str, snippets: Sequence[Snippet], part: str, constant: Callable[[str, bool], str]) -> str:
    pieces: list[str] = []
    at = 0
    for found in MARKERS.finditer(marked):
        pieces.append(constant(marked[at : found.start()], True))
        pieces.append(snippets[index_of(found.group())].jinja(part))
        at = found.end()
    return "".join([*pieces, constant(marked[at:], False)])

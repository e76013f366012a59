"""The recipient's fields in a content file: `{{ name }}`, `{% if name %}...{% else %}...{% endif %}`.

They are lifted out by Jinja2's own lexer before anything else reads the text, and a marker stands in for each:

    Guten Tag {{ name }},      ->      Guten Tag \\U000F0000,        snippets[0] = OUTPUT name

A marker is one character of a private-use plane. Markdown, the layout and the CSS inliner carry it along unread;
wire.py puts the Jinja2 source back when everything else is encoded. What must stay true: a snippet knows only the
names it is allowed, calls nothing, reads no attribute, loops over nothing. So it ends, and it leaks nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dispatcher.errors import ContentInvalid

LINK_FIELDS = frozenset({"unsubscribe_url", "preferences_url", "view_url"})
CONTENT_FIELDS = frozenset({"name", "greeting"}) | LINK_FIELDS
FILTERS = frozenset({"default", "upper", "lower", "trim"})
LONGEST_EXPRESSION = 200
MOST_SNIPPETS = 500

# Planes 15 and 16: a marker tells by itself whether a value will stand there, or nothing.
_OUTPUT, _CONTROL = 0xF0000, 0x100000
MARKERS = re.compile("[\U000f0000-\U000ffffd\U00100000-\U0010fffd]")
VALUE_MARKERS = re.compile("[\U000f0000-\U000ffffd]")
# A brace with which Jinja2 would begin to read, also together with the snippet that follows the text.
_OPENS, _OPENS_BEFORE_SNIPPET = re.compile(r"\{(?=[{%#])"), re.compile(r"\{(?=[{%#]|\Z)")
CONTROL_MARKERS = re.compile("[\U00100000-\U0010fffd]")


class Kind(StrEnum):
    """What a snippet does to the text around it."""

    OUTPUT = "output"
    IF = "if"
    ELIF = "elif"
    ELSE = "else"
    ENDIF = "endif"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One piece of Jinja2. `expression` is ASCII, "" for else and endif; `line` is where it was written."""

    kind: Kind
    expression: str = ""
    line: int = 0

    @property
    def is_control(self) -> bool:
        """True for if, elif, else, endif: no text comes from these."""
        return self.kind is not Kind.OUTPUT

    @property
    def source(self) -> str:
        """Give it as an author writes it."""
        words = f"{'' if self.kind is Kind.OUTPUT else self.kind} {self._written}".strip()
        return f"{{{{ {words} }}}}" if self.kind is Kind.OUTPUT else f"{{% {words} %}}"

    @property
    def _written(self) -> str:
        # No backslash can come from the author: those that are there spell what is not ASCII.
        return self.expression.encode("ascii").decode("unicode_escape")

    def jinja(self, part: str) -> str:
        """Give the Jinja2 source; `part` names the filter that escapes a value for where it stands."""
        if self.kind is Kind.OUTPUT:
            return f"{{{{ ({self.expression})|{part} }}}}"
        return f"{{% {f'{self.kind} {self.expression}'.strip()} %}}"


@dataclass(frozen=True, slots=True)
class Marked:
    """Text whose snippets are markers; `lines[n]` is the line of the file from which line n (from 0) came."""

    text: str
    snippets: tuple[Snippet, ...]
    lines: tuple[int, ...]


def marker(index: int, *, is_control: bool = False) -> str:
    """Give the character that stands for snippet `index`."""
    return chr((_CONTROL if is_control else _OUTPUT) + index)


def index_of(character: str) -> int:
    """Give the number of the snippet for which a marker stands."""
    return ord(character) & 0xFFFF


def lift(source: str, *, file: str, fields: frozenset[str] = CONTENT_FIELDS, first: int = 0) -> Marked:
    """Replace each snippet by its marker, counted from `first`; refuse what content may not say, with its line."""
    reader = _Reader(file, fields, first)
    try:
        for line, kind, value in _LEXER.lex(source):
            reader.take(line, kind, value)
    except TemplateSyntaxError as fault:
        cure = "To write two braces as text, wrap them: {% raw %}{{{% endraw %}"
        raise ContentInvalid(file, fault.lineno, fault.message or "cannot be read", cure) from None
    return reader.end()


def put_back(text: str, snippets: Sequence[Snippet]) -> str:
    """Give marked text as its author would write it: what `lift` took out stands there again, notes excepted."""
    pieces = re.split(f"({MARKERS.pattern})", text)
    for at, piece in enumerate(pieces):
        if at % 2:
            pieces[at] = snippets[index_of(piece)].source
        else:
            opens = _OPENS_BEFORE_SNIPPET if at + 1 < len(pieces) else _OPENS
            pieces[at] = opens.sub("{% raw %}{{% endraw %}", piece)
    return "".join(pieces)


def unbalanced(text: str, snippets: Sequence[Snippet]) -> Snippet | None:
    """Give the first if, else or endif in `text` that has no partner there; None where all is well."""
    return unbalanced_among(list(controls(text, snippets)))


def controls(text: str, snippets: Sequence[Snippet]) -> Iterator[Snippet]:
    """Give the controls that stand in `text`, in order."""
    for found in MARKERS.finditer(text):
        snippet = snippets[index_of(found.group())]
        if snippet.is_control:
            yield snippet


def unbalanced_among(found: Sequence[Snippet]) -> Snippet | None:
    """Give the first of these controls that has no partner among them."""
    opened: list[Snippet] = []
    after_else: list[bool] = []
    for snippet in found:
        if snippet.kind is Kind.IF:
            opened.append(snippet)
            after_else.append(False)
        elif not opened or (after_else[-1] and snippet.kind is not Kind.ENDIF):
            return snippet
        elif snippet.kind is Kind.ENDIF:
            opened.pop()
            after_else.pop()
        else:
            after_else[-1] = snippet.kind is Kind.ELSE
    return opened[-1] if opened else None


# Autoescape has no say here: this environment lexes and parses, it never renders.
_LEXER = ImmutableSandboxedEnvironment(keep_trailing_newline=True, autoescape=True)
_ALLOWED_NODES = (
    nodes.Name, nodes.Const, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.CondExpr,
    nodes.Concat, nodes.Filter,
)  # fmt: skip
_REFUSED_WORDS: dict[type[nodes.Node], str] = {
    nodes.Getattr: "reads a part of a field",
    nodes.Getitem: "reads a part of a field",
    nodes.Call: "calls a function",
    nodes.Test: "uses a test",
}


class _Reader:
    """Takes the lexer's tokens one by one and writes the marked text."""

    def __init__(self, file: str, fields: frozenset[str], first: int) -> None:
        self.file, self.fields, self.first = file, fields, first
        self.text: list[str] = []
        self.lines: list[int] = []
        self.snippets: list[Snippet] = []
        self.inside: list[str] | None = None  # the pieces of the snippet that is open
        self.at_line_start = True

    def take(self, line: int, kind: str, value: str) -> None:
        match kind:
            case "data":
                self._data(line, value)
            case "variable_begin" | "block_begin":
                self.inside = []
            case "variable_end":
                self._snippet(Kind.OUTPUT, self._inner(), line)
            case "block_end":
                self._block(self._inner(), line)
            case "comment_begin" | "comment" | "comment_end" | "raw_begin" | "raw_end":
                pass
            case _:
                assert self.inside is not None
                # A line break between words is a blank; within a string it is spelled out, and then refused.
                self.inside.append(" " if kind == "whitespace" else value.replace("\n", "\\n"))

    def end(self) -> Marked:
        lone = unbalanced_among([snippet for snippet in self.snippets if snippet.is_control])
        if lone is not None:
            raise ContentInvalid(
                self.file, lone.line, f"`{lone.kind}` has no partner", "Close each if with {% endif %}."
            )
        return Marked("".join(self.text), tuple(self.snippets), tuple(self.lines) or (1,))

    def _data(self, line: int, value: str) -> None:
        stray = MARKERS.search(value)
        if stray is not None:
            at = line + value[: stray.start()].count("\n")
            raise ContentInvalid(self.file, at, "a character of a private-use plane", "Remove it: no font shows it.")
        for number, piece in enumerate(re.findall(r"[^\n]*\n|[^\n]+", value)):
            self._write(line + number, piece)

    def _write(self, line: int, piece: str) -> None:
        if self.at_line_start:
            self.lines.append(line)
        self.text.append(piece)
        self.at_line_start = piece.endswith("\n")

    def _inner(self) -> str:
        inner = "".join(self.inside or []).strip()
        self.inside = None
        return inner

    def _block(self, inner: str, line: int) -> None:
        word, _, rest = inner.partition(" ")
        if word not in (Kind.IF, Kind.ELIF, Kind.ELSE, Kind.ENDIF):
            cure = "Content knows {{ field }} and {% if field %}...{% else %}...{% endif %}."
            raise ContentInvalid(self.file, line, f"`{word}` is not for content", cure)
        if bool(rest.strip()) != (word in (Kind.IF, Kind.ELIF)):
            raise ContentInvalid(self.file, line, f"`{word}` takes {'no' if rest.strip() else 'a'} condition")
        self._snippet(Kind(word), rest.strip(), line)

    def _snippet(self, kind: Kind, expression: str, line: int) -> None:
        if kind in (Kind.OUTPUT, Kind.IF, Kind.ELIF):
            self._check(expression, line)
        if len(self.snippets) == MOST_SNIPPETS:
            raise ContentInvalid(self.file, line, f"more than {MOST_SNIPPETS} fields and conditions", "Use fewer.")
        # Names are ASCII; only strings hold more, and there Jinja2 reads the same escapes as Python.
        ascii_only = expression.encode("ascii", "backslashreplace").decode("ascii")
        snippet = Snippet(kind, ascii_only, line)
        self._write(line, marker(self.first + len(self.snippets), is_control=snippet.is_control))
        self.snippets.append(snippet)

    def _check(self, expression: str, line: int) -> None:
        if not expression or len(expression) > LONGEST_EXPRESSION:
            raise ContentInvalid(self.file, line, "an empty or overlong field", "Write for example {{ name }}.")
        if "\\" in expression:
            raise ContentInvalid(self.file, line, "a backslash or a line break in a string", "Write the text itself.")
        try:
            tree = _LEXER.parse(f"{{{{ {expression} }}}}")
        except TemplateSyntaxError as fault:
            raise ContentInvalid(self.file, line, fault.message or "cannot be read", "Write {{ name }}.") from None
        for node in _below(tree):
            self._check_node(node, line)

    def _check_node(self, node: nodes.Node, line: int) -> None:
        if not isinstance(node, _ALLOWED_NODES):
            what = _REFUSED_WORDS.get(type(node), f"uses {type(node).__name__.lower()}")
            raise ContentInvalid(self.file, line, f"a field {what}", f"Use the fields as they are: {self._known()}.")
        if isinstance(node, nodes.Name) and node.name not in self.fields:
            raise ContentInvalid(
                self.file, line, f"`{node.name}` is no field of the recipient", f"Use {self._known()}."
            )
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise ContentInvalid(self.file, line, f"unknown filter `{node.name}`", f"Use {', '.join(sorted(FILTERS))}.")

    def _known(self) -> str:
        return ", ".join(sorted(self.fields))


def _below(tree: nodes.Template) -> Iterator[nodes.Node]:
    """Every node under `{{ ... }}`, without the template and the output statement that hold it."""
    for statement in tree.body:
        assert isinstance(statement, nodes.Output)
        for expression in statement.nodes:
            yield expression
            yield from _descend(expression)


def _descend(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        yield child
        yield from _descend(child)

"""Markdown with markers in it: parsed once, checked, and given as HTML. (As plain text: plain.py.)

Raw HTML is off in the parser and cleaned away once more behind it: what the author writes is text. What must
stay true: a condition opens and closes at one level of the text, so that either branch leaves whole elements; a
link is a fixed address or, as a whole, one of the letter's own links.
"""

import re
from collections.abc import Iterator, Sequence

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from dispatcher.compose.front_matter import Place, Text
from dispatcher.compose.snippets import LINK_FIELDS, MARKERS, Snippet, controls, index_of, unbalanced_among
from dispatcher.errors import ContentInvalid

CONTROL = "control"  # our own kind of block: a line that holds nothing but conditions
LINK_SCHEMES = ("https", "http", "mailto", "tel")

_TAGS = {"p", "br", "strong", "em", "s", "a", "ul", "ol", "li", "blockquote", "h2", "h3", "h4", "hr", "code", "pre",
         "table", "thead", "tbody", "tr", "th", "td", "img"}  # fmt: skip
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "ol": {"start"},
    "td": {"style"},
    "th": {"style"},
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HEADINGS = {"h1": "h2", "h5": "h4", "h6": "h4"}  # the letter's title is its only h1
_NOT_A_LINK = "Write a whole address: https://..., http://..., mailto:... or tel:..."


class Prose:
    """One checked piece of Markdown."""

    def __init__(self, source: Text, snippets: Sequence[Snippet]) -> None:
        """Parse and check; ContentInvalid names the line."""
        self.tokens = list(_with_control_blocks(_PARSER.parse(source.text), snippets))
        _refuse_spelled_markers(self.tokens, source)
        _check(SyntaxTreeNode(self.tokens), source, snippets)

    def __bool__(self) -> bool:
        return bool(self.tokens)

    def html(self) -> str:
        """Give clean HTML, markers included."""
        return nh3.clean(
            _PARSER.renderer.render(self.tokens, _PARSER.options, {}),
            tags=_TAGS, attributes=_ATTRIBUTES, link_rel=None, url_schemes=set(LINK_SCHEMES),
            filter_style_properties={"text-align"},
        ).strip()  # fmt: skip


def check_link(text: str, place: Place, line: int, snippets: Sequence[Snippet], *, image: bool = False) -> str:
    """Give `text` back if a letter may link to it, or, for `image`, show it."""
    found = [snippets[index_of(character)] for character in MARKERS.findall(text)]
    if found:
        if len(found) > 1 or len(text) > 1 or image or found[0].expression not in LINK_FIELDS:
            cure = f"Only these fields may be a link, and only as a whole: {', '.join(sorted(LINK_FIELDS))}."
            raise place.refuse(line, "a link that changes with the recipient", cure)
        return text
    scheme = _SCHEME.match(text)
    if scheme is None or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise place.refuse(line, f"not a whole address: {text[:80]}", _NOT_A_LINK)
    if scheme[1].lower() not in (("https", "http") if image else LINK_SCHEMES):
        raise place.refuse(line, f"links of the kind {scheme[1]}: are not allowed", _NOT_A_LINK)
    return text


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    percent_encode = parser.normalizeLink
    # A marker in an address stays a marker; and what is not allowed is refused by name, not left as text.
    parser.normalizeLink = lambda url: url if MARKERS.search(url) else percent_encode(url)  # type: ignore[method-assign]
    parser.validateLink = _takes_any_link  # type: ignore[method-assign]
    parser.add_render_rule(CONTROL, lambda _self, tokens, at, _options, _env: tokens[at].content)
    return parser


def _takes_any_link(url: str) -> bool:
    return bool(url)


_PARSER = _parser()


def _with_control_blocks(tokens: Sequence[Token], snippets: Sequence[Snippet]) -> Iterator[Token]:
    """Replace a paragraph that holds nothing but conditions by them alone, so that no empty <p> is left."""
    waiting = 0
    for at, token in enumerate(tokens):
        token.tag = _HEADINGS.get(token.tag, token.tag)
        if waiting:
            waiting -= 1
        elif token.type == "paragraph_open" and _only_controls(tokens[at + 1].content, snippets):
            content = "".join(tokens[at + 1].content.split())
            yield Token(CONTROL, "", 0, content=content, map=token.map, block=True, level=token.level)
            waiting = 2
        else:
            yield token


def _only_controls(text: str, snippets: Sequence[Snippet]) -> bool:
    return len("".join(text.split())) == sum(1 for _ in controls(text, snippets))


def _refuse_spelled_markers(tokens: Sequence[Token], source: Text) -> None:
    """Markdown reads `&#xF0000;` as a character: one that only we may write."""
    written = set(MARKERS.findall(source.text))
    if set(MARKERS.findall(_PARSER.renderer.render(tokens, _PARSER.options, {}))) - written:
        raise source.place.refuse(0, "a character of a private-use plane", "Remove it: no font shows it.")


def _check(tree: SyntaxTreeNode, source: Text, snippets: Sequence[Snippet]) -> None:
    seen = 0
    for node in [tree, *tree.walk(include_self=False)]:
        _check_attributes(node, source.place, snippets)
        found = [control for leaf in _leaves(node) for control in controls(leaf, snippets)]
        seen += len(found)
        _refuse_lone(unbalanced_among(found), source.place)
    placed = list(controls(source.text, snippets))
    if seen != len(placed):
        _refuse_lone(placed[0], source.place)


def _refuse_lone(lone: Snippet | None, place: Place) -> None:
    if lone is not None:
        cure = "Open and close a condition in one paragraph, or put each of its parts on a line between empty lines."
        raise ContentInvalid(place.file, lone.line, f"`{lone.kind}` and its partner stand at different levels", cure)


def _leaves(node: SyntaxTreeNode) -> Iterator[str]:
    """The texts right under a node; code keeps its text to itself."""
    if node.type in ("code_inline", "code_block", "fence"):
        yield node.content
    for child in node.children:
        if child.type in ("text", CONTROL):
            yield child.content


def _check_attributes(node: SyntaxTreeNode, place: Place, snippets: Sequence[Snippet]) -> None:
    if node.type not in ("link", "image"):
        return
    line = _line(node)
    if MARKERS.search(str(node.attrs.get("title", ""))):
        raise place.refuse(line, "a field in the title of a link", "Put it into the text.")
    address = str(node.attrs["href" if node.type == "link" else "src"])
    check_link(address, place, line, snippets, image=node.type == "image")


def _line(node: SyntaxTreeNode) -> int:
    """The first line of the block in which an inline node stands."""
    block: SyntaxTreeNode | None = node
    while block is not None and not block.is_root:
        if block.map is not None:
            return block.map[0]
        block = block.parent
    return 0

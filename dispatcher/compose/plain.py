"""Markdown as plain text that reads well: the text part is written, not stripped from the HTML.

Headings are underlined, links stand behind their words as `words (URL)`, lists hang, tables keep their columns.
Every block ends with one empty line; a line of mere conditions adds none, so either branch reads as if alone.
"""

import re
from collections.abc import Iterator, Sequence

from markdown_it.tree import SyntaxTreeNode

from dispatcher.compose.markdown import CONTROL, Prose
from dispatcher.compose.snippets import CONTROL_MARKERS, MARKERS, VALUE_MARKERS

WIDTH = 72
_FIELD_WIDTH = 20  # a guess at what a field will hold
_NUMERIC = "text-align:right"


def plain(prose: Prose) -> str:
    """Give the text, wrapped, without a line end at its close."""
    return tidy(_blocks(SyntaxTreeNode(prose.tokens).children, WIDTH)).strip("\n")


def wrap(text: str, width: int = WIDTH, *, hang: str = "") -> str:
    """Break `text` at blanks; words longer than the line, such as URLs, stay whole. `hang` begins further lines."""
    return "\n".join(_wrapped(line, width, hang) for line in text.split("\n"))


def underlined(text: str, line: str = "-") -> str:
    """Give a heading with a line beneath it."""
    wrapped = wrap(text)
    return f"{wrapped}\n{line * min(WIDTH, max(_width(part) for part in wrapped.split(chr(10))))}"


def tidy(text: str) -> str:
    """Take away blanks at line ends and all but one empty line between blocks, also across lone conditions."""
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    text = re.sub(rf"(\n\n|\A)\n*({CONTROL_MARKERS.pattern}+)\n+", r"\1\2", text)
    return re.sub(r"\n{3,}", "\n\n", text)


def _wrapped(line: str, width: int, hang: str) -> str:
    lines: list[str] = []
    current = ""
    for word in line.split(" "):
        if current.strip() and _width(current) + 1 + _width(word) > width:
            lines.append(current)
            current = hang + word
        else:
            current = f"{current} {word}" if current else word
    return "\n".join([*lines, current])


def _width(text: str) -> int:
    return len(MARKERS.sub("", text)) + _FIELD_WIDTH * len(VALUE_MARKERS.findall(text))


def _blocks(nodes: Sequence[SyntaxTreeNode], width: int) -> str:
    return "".join(node.content if node.type == CONTROL else f"{_block(node, width)}\n\n" for node in nodes)


def _block(node: SyntaxTreeNode, width: int) -> str:
    match node.type:
        case "heading":
            return underlined(_inline(node), "=" if node.tag == "h2" else "-")
        case "bullet_list" | "ordered_list":
            return _list(node, width)
        case "blockquote":
            return _indented(_inner(node, width - 2), "> ", "> ")
        case "fence" | "code_block":
            return _indented(node.content.rstrip("\n"), "    ", "    ")
        case "hr":
            return "* * *"
        case "table":
            return _table(node)
        case _:
            return wrap(_inline(node), width)


def _inner(node: SyntaxTreeNode, width: int) -> str:
    return tidy(_blocks(node.children, width)).strip("\n")


def _list(node: SyntaxTreeNode, width: int) -> str:
    start = int(node.attrs.get("start", 1))
    items = []
    for number, item in enumerate(node.children, start=start):
        bullet = "- " if node.type == "bullet_list" else f"{number}. "
        items.append(_indented(_inner(item, width - len(bullet)), bullet, " " * len(bullet)))
    is_tight = all(block.hidden for item in node.children for block in item.children if block.type == "paragraph")
    return ("\n" if is_tight else "\n\n").join(items)


def _indented(text: str, first: str, further: str) -> str:
    lines = text.split("\n")
    return "\n".join([first + lines[0], *(further + line for line in lines[1:])])


def _table(node: SyntaxTreeNode) -> str:
    rows = [list(_cells(row)) for section in node.children for row in section.children]
    widths = [max(_width(row[column][0]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(_padded(*cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([lines[0], "-" * min(WIDTH, sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def _cells(row: SyntaxTreeNode) -> Iterator[tuple[str, bool]]:
    for cell in row.children:
        yield _inline(cell).replace("\n", " "), _NUMERIC in str(cell.attrs.get("style", ""))


def _padded(text: str, is_number: bool, width: int) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if is_number else text + blanks


def _inline(node: SyntaxTreeNode) -> str:
    return "".join(_spoken(child) for child in node.children)


def _spoken(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "code_inline":
            return node.content
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "link":
            return _link(_inline(node), str(node.attrs["href"]))
        case "image":
            words = _inline(node)
            return f"[{words}]" if words else ""
        case _:
            return _inline(node)


def _link(words: str, address: str) -> str:
    bare = address.removeprefix("mailto:")
    if not words or words in (address, bare):
        return bare
    return words if address.startswith("tel:") else f"{words} ({address})"

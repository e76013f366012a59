"""Charts as SVG that stand in a page: pygal draws, our style sheet colours.

What must stay true: a chart has no script, no style of its own (the policy in headers.py lets none through) and loads
nothing; it is a picture with a name, and its figures stand beside it in a table or in words.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pygal
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

# To find maps that come as plug-ins, of which we have none, pygal hangs an import hook of an old kind into the
# interpreter; Python 3.11 warns of it at each import of anything.
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]

_WIDTH = 960
_LINE_HEIGHT = 180
_BAR, _AROUND_BARS = 34, 60  # the height of a row, and of what stands above and below
_MEASURES = Style(label_font_size=13, major_label_font_size=13)  # so that pygal leaves room for our letters
_NAMED_EACH = 4  # of standing bars: more names would not fit beside each other
_MOST_LETTERS = 28  # of a row's name
_DROPPED = {"defs", "desc", "title", "style", "script"}

Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """Values in the order of rows; `kind` is the class by which the style sheet colours them, `label` their name."""

    kind: str
    label: str
    values: Sequence[float]


def bars(name: str, rows: Sequence[str], series: Sequence[Series], write: Write) -> Markup:
    """Draw a lying bar per row, of parts that lie one behind the other."""
    chart = pygal.HorizontalStackedBar(
        **_look(write), height=_BAR * len(rows) + _AROUND_BARS, show_legend=False, spacing=8
    )  # fmt: skip
    chart.x_labels = [_short(row) for row in reversed(rows)]  # pygal begins at the bottom
    for each in series:
        chart.add(each.label, list(reversed(each.values)))
    return _drawn(chart, name, [each.kind for each in series])


def columns(name: str, labels: Sequence[str], series: Sequence[Series], write: Write) -> Markup:
    """Draw a standing bar per label; what is below nought hangs down from the line. Each fourth is named."""
    chart = pygal.StackedBar(
        **_look(write), height=_LINE_HEIGHT, show_legend=False, spacing=4, show_minor_x_labels=False, zero=0,
    )  # fmt: skip
    ends = (
        min((min(each.values) for each in series), default=0),
        max((max(each.values) for each in series), default=0),
    )
    chart.y_labels = sorted({*ends, 0} if any(ends) else {0, 1})
    chart.x_labels = list(labels)
    chart.x_labels_major = list(labels[::-1][::_NAMED_EACH])
    for each in series:
        chart.add(each.label, list(each.values))
    return _drawn(chart, name, [each.kind for each in series])


def line(name: str, values: Sequence[float], begins: str, ends: str, write: Write) -> Markup:
    """Draw a line from `begins` to `ends`, which name its two ends."""
    chart = pygal.Line(
        **_look(write), margin_left=16, height=_LINE_HEIGHT, show_legend=False, show_dots=False, fill=True,
        range=(0, max(*values, 1)), y_labels_major_count=3, show_minor_y_labels=False, x_labels_major_count=2,
        show_minor_x_labels=False,
    )  # fmt: skip
    chart.x_labels = [begins, *[""] * (len(values) - 2), ends]
    chart.x_labels_major = [begins, ends]
    chart.add("", list(values))
    return _drawn(chart, name, ["pulse"])


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1].rstrip()}…"


def _look(write: Write) -> dict[str, Any]:
    return {
        "js": (), "css": (), "width": _WIDTH, "margin": 0, "margin_top": 8, "margin_bottom": 4,
        "no_prefix": True, "classes": ("chart",),
        "value_formatter": write, "print_values": False, "truncate_label": -1, "style": _MEASURES,
    }  # fmt: skip


def _drawn(chart: Any, name: str, kinds: Sequence[str]) -> Markup:
    tree = chart.render_tree()
    _clean(tree, kinds)
    tree.attrib.pop("id", None)
    tree.attrib.update({"role": "img", "aria-label": name, "focusable": "false"})
    return Markup(etree.tostring(tree, encoding="unicode"))  # noqa: S704  (pygal escapes what it is given)


def _clean(node: Any, kinds: Sequence[str]) -> None:
    """Take out what the policy would refuse, or nobody sees; give series the class that colours them."""
    for child in list(node):
        if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] in _DROPPED or _is_tooltip(child):
            node.remove(child)
        else:
            _clean(child, kinds)
    node.attrib.pop("style", None)
    for word in node.get("class", "").split():
        if word.startswith("color-"):
            node.set("class", f"series {kinds[int(word.removeprefix('color-'))]}")


def _is_tooltip(node: Any) -> bool:
    return bool({"tooltip-overlay", "titles", "legends", "text-overlay"} & set(node.get("class", "").split()))

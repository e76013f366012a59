"""What came of a feed when it was asked last, in the words of whoever looks: a pure table.

The newsroom says it in English, for the command line and the log. What stands in no row is shown as it was said; a test
holds the table against what is really said.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple


class Tiding(NamedTuple):
    """The key of a sentence in words/feeds.*.yaml (`said_KEY`), its facts, and what was said word for word. Key "":
    there is no sentence. What is wrong has a cure beside it, `cure_KEY`.
    """

    key: str
    facts: Mapping[str, str]
    said: str


def tiding(said: str | None) -> Tiding | None:
    """Find the sentence for what came of a feed; None: it was not asked yet."""
    return None if said is None else _find(_CAME, said) or Tiding("", {}, said)


def unread(why: str) -> Tiding:
    """Find the sentence that says why a feed cannot be read."""
    return _find(_UNREAD, why) or Tiding("", {}, why)


def _find(table: tuple[tuple[str, re.Pattern[str]], ...], said: str) -> Tiding | None:
    for key, pattern in table:
        if found := pattern.fullmatch(said):
            facts = {name: text or "" for name, text in found.groupdict().items()}
            return unread(facts["why"]) if key == "unread" else Tiding(key, facts, said)
    return None


def _row(key: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    return key, re.compile(pattern, re.DOTALL)


_CAME = (
    _row("not_asked", r"not asked: campaign (?P<id>\d+) waits in series \d+ already"),
    _row("unread", r"it could not be read: (?P<why>.*)"),
    _row("no_letter", r"what it brought is no letter: .*"),
    _row("nothing_new", "it brought nothing new"),
    _row("is_in", r"campaign (?P<id>\d+) is in series \d+"),
    _row("stopped", r"campaign (?P<id>\d+) is a draft: feed \d+ could not release it.*"),
    _row("is_draft", r"campaign (?P<id>\d+) is a draft: .*"),
)
_UNREAD = (
    _row("circle", "it is redirected from one address to the next, without end"),
    _row("address", r"it does not answer \(address: .*"),
    _row("no_name", r"it does not answer \(no name: .*"),
    _row("not_public", r"it does not answer \(not public: .*"),
    _row("time", r"it does not answer \(time: .*"),
    _row("certificate", r"it does not answer \(certificate: .*"),
    _row("connection", r"it does not answer \(connection: .*"),
    _row("status", r"its server answers (?P<status>\d+)"),
    _row("packed", "its server sends it packed, though asked not to"),
    _row("broke_off", "its server broke off in the middle"),
    _row("unchanged", "its server says that nothing has changed, though not asked"),
    _row("no_feed", "it is XML, but neither RSS nor Atom"),
    _row("too_large", r"it is larger than \d+ MB"),
    _row("empty", "it is empty"),
    _row("no_xml", r"it is not XML: .*"),
    _row("entities", "it declares entities of its own"),
    _row("too_deep", r"more than \d+ elements stand within each other"),
)

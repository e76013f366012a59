"""What came of a feed when it was asked last, in the words of whoever looks: a pure table.

The newsroom says it in English, for the command line and the log. What stands in no row is shown as it was said; a test
holds the table against what is really said.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dispatcher.console.recognised import find, row


class Tiding(NamedTuple):
    """The key of a sentence in words/feeds.*.yaml (`said_KEY`), its facts, and what was said word for word. Key "":
    there is no sentence. What is wrong has a cure beside it, `cure_KEY`; the fact `why` is what others said of it.
    """

    key: str
    facts: Mapping[str, str]
    said: str


def tiding(said: str | None) -> Tiding | None:
    """Find the sentence for what came of a feed; None: it was not asked yet."""
    if said is None:
        return None
    key, facts = find(_CAME, said) or ("", {})
    return unread(facts["why"]) if key == "unread" else Tiding(key, facts, said)


def unread(why: str) -> Tiding:
    """Find the sentence that says why a feed cannot be read."""
    found = find(_UNREAD, why)
    return Tiding(*found, why) if found else Tiding("", {}, why)


_CAME = (
    row("not_asked", r"not asked: campaign (?P<id>\d+) waits in series \d+ already"),
    row("unread", r"it could not be read: (?P<why>.*)"),
    row("no_letter", r"what it brought is no letter: (?P<why>.*)"),
    row("nothing_new", "it brought nothing new"),
    row("is_in", r"campaign (?P<id>\d+) is in series \d+"),
    row("stopped", r"campaign (?P<id>\d+) is a draft: (?P<why>feed \d+ could not release it.*)"),
    row("is_draft", r"campaign (?P<id>\d+) is a draft: .*"),
)
_UNREAD = (
    row("circle", "it is redirected from one address to the next, without end"),
    row("address", r"it does not answer \(address: .*"),
    row("no_name", r"it does not answer \(no name: .*"),
    row("not_public", r"it does not answer \(not public: .*"),
    row("time", r"it does not answer \(time: .*"),
    row("certificate", r"it does not answer \(certificate: (?P<why>.*)\)"),
    row("connection", r"it does not answer \(connection: (?P<why>.*)\)"),
    row("status", r"its server answers (?P<status>\d+)"),
    row("packed", "its server sends it packed, though asked not to"),
    row("broke_off", "its server broke off in the middle"),
    row("unchanged", "its server says that nothing has changed, though not asked"),
    row("no_feed", "it is XML, but neither RSS nor Atom"),
    row("too_large", r"it is larger than \d+ MB"),
    row("empty", "it is empty"),
    row("no_xml", r"it is not XML: (?P<why>.*)"),
    row("entities", "it declares entities of its own"),
    row("too_deep", r"more than \d+ elements stand within each other"),
)

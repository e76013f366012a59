"""Why a row, or a file as a whole, cannot be read: which sentence says so in the reader's language. Pure: a table.

What the reader of files says in English is recognised by its form, and its facts are taken over. What stands in no row
of the table is told as it was said; a test holds the table against what the reader really says.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple


class Refusal(NamedTuple):
    """The key of a sentence in words/refusals.*.yaml, and its facts. Key "": there is none, `said` has to do."""

    key: str
    facts: Mapping[str, str]
    said: str


def refusal(said: str) -> Refusal:
    """Find the sentence."""
    for key, pattern in _TABLE:
        if found := pattern.fullmatch(said):
            return Refusal(key, {name: text or "" for name, text in found.groupdict().items()}, said)
    return Refusal("", {}, said)


def _row(key: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    return key, re.compile(pattern, re.DOTALL)


_QUOTED = r"""(?:'(?P<word>.*)'|"(?P<other>.*)")"""
_TABLE = (
    # A row.
    _row("open_quote", "not CSV: a quote that opens on this line is not closed"),
    _row("cells", r"(?:not CSV: )?(?P<cells>\d+) cells where the header has (?P<header>\d+)"),
    _row("not_csv", "not CSV: .*"),
    _row("nul", "contains a NUL character"),
    _row("header_again", "it is the header once more: .*"),
    _row("language", rf"there is no language {_QUOTED}; use .*"),
    _row("zone", rf"there is no time zone {_QUOTED}; use .*"),
    _row("name_control", "the name contains a line break or another control character"),
    _row("name_long", "the name is longer than 200 characters"),
    _row("topic", rf"there is no topic {_QUOTED}"),
    _row("no_topic", "no topic is named"),
    _row("time", rf"(?P<column>\S+) {_QUOTED} is not a time such as .*"),
    _row("future", r"(?P<column>\S+) (?P<word>.*) lies in the future"),
    _row("state", rf"(?P<column>\S+) is {_QUOTED}, which is none of: .*"),
    _row("reason", rf"(?:suppressed: )?there is no reason {_QUOTED}.*"),
    _row("scope", rf"there is no scope {_QUOTED}; use .*"),
    _row("status", rf"listmonk knows no status {_QUOTED}"),
    _row("ip", rf"(?P<column>\S+) {_QUOTED} is not an IP address"),
    _row("not_covered", r"(?P<word>\S+) does not cover (?P<topics>.*)"),
    _row("not_valid_yet", r"(?P<word>\S+) was not valid before (?P<at>.*) UTC, after that consent"),
    _row("hash", "address_hash is not 64 hexadecimal digits"),
    # A file.
    _row("empty", "the file is empty"),
    _row("header_not_csv", r"the header is not CSV: .*"),
    _row("column_unknown", r"the header names a column that is unknown: (?P<word>.*)"),
    _row("column_twice", r"the header names a column twice: (?P<word>.*)"),
    _row("lacks_both", "the header lacks the column email and topics"),
    _row("lacks_email", "the header lacks the column email"),
    _row("lacks_topics", "the header lacks the column topics"),
    _row("header_is_address", "the first line holds an address .*"),
    _row("column_gone", rf"the file has no column {_QUOTED} for (?P<column>\S+)"),
    _row(
        "encoding", rf"after line (?P<line>\d+) there are bytes that are not UTF-8: as (?P<as>\S+) they read {_QUOTED}"
    ),
    _row("encoding_other", r"after line (?P<line>\d+) there are bytes that are not (?P<as>\S+)"),
    _row("utf_16", "the file is in UTF-16, not in UTF-8"),
    _row("long_line", r"line (?P<line>\d+) is longer than \d+ characters"),
    _row("nonsubscribed", r".* lists people who never subscribed: .*"),
    _row("never_header", "the header names neither email nor key and address_hash"),
    _row("other_key", "these hashes were made under another secret key: .*"),
    _row("unwritable", r".* cannot be written: .*"),
    _row("died", r"the worker ended \d+ times over this file"),
    _row("no_file", "the file is not in the folder of uploads of this worker"),
    # What the library for addresses says; the last, for it says many things.
    _row("address", r"(?i).*(?:email address|@-sign|@ sign|domain|after the @|before the @|mail address).*"),
)

"""Why a row, or a file as a whole, cannot be read: which sentence says so in the reader's language. Pure: a table.

What the reader of files says in English is recognised by its form, and its facts are taken over. What stands in no row
of the table is told as it was said; a test holds the table against what the reader really says.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dispatcher.console.recognised import find, row


class Refusal(NamedTuple):
    """The key of a sentence in words/refusals.*.yaml, and its facts. Key "": there is none, `said` has to do."""

    key: str
    facts: Mapping[str, str]
    said: str


def refusal(said: str) -> Refusal:
    """Find the sentence."""
    found = find(_TABLE, said)
    return Refusal(*found, said) if found else Refusal("", {}, said)


_QUOTED = r"""(?:'(?P<word>.*)'|"(?P<other>.*)")"""
_TABLE = (
    # A row.
    row("open_quote", "not CSV: a quote that opens on this line is not closed"),
    row("cells", r"(?:not CSV: )?(?P<cells>\d+) cells where the header has (?P<header>\d+)"),
    row("not_csv", "not CSV: .*"),
    row("nul", "contains a NUL character"),
    row("header_again", "it is the header once more: .*"),
    row("language", rf"there is no language {_QUOTED}; use .*"),
    row("zone", rf"there is no time zone {_QUOTED}; use .*"),
    row("name_control", "the name contains a line break or another control character"),
    row("name_long", "the name is longer than 200 characters"),
    row("topic", rf"there is no topic {_QUOTED}"),
    row("no_topic", "no topic is named"),
    row("time", rf"(?P<column>\S+) {_QUOTED} is not a time such as .*"),
    row("future", r"(?P<column>\S+) (?P<word>.*) lies in the future"),
    row("state", rf"(?P<column>\S+) is {_QUOTED}, which is none of: .*"),
    row("reason", rf"(?:suppressed: )?there is no reason {_QUOTED}.*"),
    row("scope", rf"there is no scope {_QUOTED}; use .*"),
    row("status", rf"listmonk knows no status {_QUOTED}"),
    row("ip", rf"(?P<column>\S+) {_QUOTED} is not an IP address"),
    row("not_covered", r"(?P<word>\S+) does not cover (?P<topics>.*)"),
    row("not_valid_yet", r"(?P<word>\S+) was not valid before (?P<at>.*) UTC, after that consent"),
    row("hash", "address_hash is not 64 hexadecimal digits"),
    # A file.
    row("empty", "the file is empty"),
    row("header_not_csv", r"the header is not CSV: .*"),
    row("column_unknown", r"the header names a column that is unknown: (?P<word>.*)"),
    row("column_twice", r"the header names a column twice: (?P<word>.*)"),
    row("lacks_both", "the header lacks the column email and topics"),
    row("lacks_email", "the header lacks the column email"),
    row("lacks_topics", "the header lacks the column topics"),
    row("header_is_address", "the first line holds an address .*"),
    row("column_gone", rf"the file has no column {_QUOTED} for (?P<column>\S+)"),
    row(
        "encoding", rf"after line (?P<line>\d+) there are bytes that are not UTF-8: as (?P<as>\S+) they read {_QUOTED}"
    ),
    row("encoding_other", r"after line (?P<line>\d+) there are bytes that are not (?P<as>\S+)"),
    row("utf_16", "the file is in UTF-16, not in UTF-8"),
    row("long_line", r"line (?P<line>\d+) is longer than \d+ characters"),
    row("nonsubscribed", r".* lists people who never subscribed: .*"),
    row("never_header", "the header names neither email nor key and address_hash"),
    row("other_key", "these hashes were made under another secret key: .*"),
    row("unwritable", r".* cannot be written: .*"),
    row("died", r"the worker ended \d+ times over this file"),
    row("no_file", "the file is not in the folder of uploads of this worker"),
    # What the library for addresses says; the last, for it says many things.
    row("address", r"(?i).*(?:email address|@-sign|@ sign|domain|after the @|before the @|mail address).*"),
)

"""What the words of a declaration may be: read from a file, filled, looked over before anybody can agree to them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from string import Template

from dispatcher.db.terms import Language, Topic
from dispatcher.errors import InputRefused

LONGEST = 20_000  # characters; a page of consent has some hundred
LARGEST_FILE = 4 * LONGEST  # octets
_TAG = re.compile(r"<[/!?a-zA-Z][^>\n]*>?")
_TURNS_ROUND = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ENTITY = re.compile(r"&#?\w+;")


def decoded(data: bytes, file: str) -> str:
    """Give a file's text: UTF-8, line ends as \\n, no white space around. Raises InputRefused, naming the file."""
    if len(data) > LARGEST_FILE:
        raise InputRefused(
            f"{file} has more than {LARGEST_FILE:,} bytes, and words of consent have {LONGEST:,} characters at most",
            "is it the right file? What nobody reads, nobody agrees to",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputRefused(
            f"{file}, line {line}: not UTF-8 (Latin-1, perhaps)", "convert it: iconv -f latin1 -t utf8 OLD > NEW"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def filled(text: str, file: str, values: Mapping[str, str]) -> str:
    """Give the text with `$sender` and so on filled in. Raises InputRefused for a name that is not there."""
    try:
        return Template(text).substitute(values)
    except KeyError as error:
        names = ", ".join(f"${name}" for name in values)
        raise InputRefused(f"{file}: there is no ${error.args[0]}", f"use {names}; write $$ for a dollar") from None
    except ValueError as error:
        raise InputRefused(f"{file}: {error}", "write $$ for a dollar sign") from None


def checked(text: str, file: str) -> str:
    """Give words that can be shown. Raises InputRefused: empty, too long, control characters, HTML."""
    if not text.strip():
        raise InputRefused(f"{file} is empty", "write the words that people are to agree to, as Markdown")
    if len(text) > LONGEST:
        raise InputRefused(f"{file} has {len(text):,} characters, more than {LONGEST:,}", "shorten it")
    for number, line in enumerate(text.split("\n"), 1):
        if any(_is_control(ch) for ch in line):
            raise InputRefused(f"{file}, line {number}: a control character", "take it out")
        if (html := _TAG.search(line) or _ENTITY.search(line)) is not None:
            raise InputRefused(
                f"{file}, line {number}: HTML ({html[0][:40]})",
                "write Markdown: **bold**, - a list, [a link](https://...)",
            )
    return text


def _is_control(ch: str) -> bool:
    """What no reader sees and what could turn a line round; a no-break space or a soft hyphen is none of it."""
    return (unicodedata.category(ch) in ("Cc", "Cs", "Co", "Cn") and ch != "\t") or ch in _TURNS_ROUND


def check_topics(
    texts: Mapping[Language, str], topics: Iterable[Topic], titles: Mapping[Language, Mapping[Topic, str]]
) -> None:
    """Make sure that the words name every topic that they cover, and no other: nobody agrees to what is not named.

    Raises InputRefused with topic and language.
    """
    covered = set(topics)
    for language, text in texts.items():
        for topic, title in titles[language].items():
            names = (title, *_ALSO[language][topic])
            said = next((name for name in names if re.search(rf"{re.escape(name)}n?\b", text, re.IGNORECASE)), None)
            if said is not None and topic not in covered:
                raise InputRefused(
                    f"the words ({language}) speak of “{said}”, but do not cover {topic}",
                    f"name it: --topics '{' '.join([*sorted(covered), topic])}'; or take it out of the words",
                )
            if said is None and topic in covered:
                raise InputRefused(
                    f"the words ({language}) do not name {topic}, which they are to cover",
                    f"write in them one of: {', '.join(names)}; or leave {topic} out of --topics",
                )


# What a topic may be called beside its title. A name counts within a longer word, too: “Sonderangebote” are “Angebote”.
_ALSO: Mapping[Language, Mapping[Topic, tuple[str, ...]]] = {
    Language.DE: {
        Topic.PRODUCT_NEWS: ("Produktneuigkeiten", "Produktneuheiten", "Produktinformationen", "neue Produkte"),
        Topic.FINANCE_NEWS: ("Finanznachrichten", "Finanzinformationen", "Nachrichten vom Finanzmarkt"),
        Topic.SPECIAL_OFFERS: ("Angebot", "Rabattaktionen"),
    },
    Language.EN: {
        Topic.PRODUCT_NEWS: ("news about products", "product information", "new products"),
        Topic.FINANCE_NEWS: ("financial news", "news about finance", "financial information"),
        Topic.SPECIAL_OFFERS: ("offers",),
    },
}

"""What is typed, or stands in a file, read: a name, topics. Nothing here knows the database."""

import unicodedata

from dispatcher.db.terms import Topic
from dispatcher.errors import InputRefused

_BREAKS = {"Cc", "Zl", "Zp", "Cs"}  # Unicode's control characters, line and paragraph separators, half characters


def clean_name(text: str) -> str:
    """Give a name fit for a header line. Raises InputRefused for control characters (CR LF would add a header)."""
    name = text.strip()
    if not name.isprintable() and any(unicodedata.category(ch) in _BREAKS for ch in name):
        raise InputRefused("the name contains a line break or another control character", "take it out")
    if len(name) > 200:
        raise InputRefused("the name is longer than 200 characters", "shorten it")
    return name


def topics_of(words: str) -> list[Topic]:
    """Read topics separated by blanks. Raises InputRefused naming the one that is unknown."""
    topics = []
    for word in words.split():
        if word not in list(Topic):
            raise InputRefused(f"there is no topic {word!r}", f"use one or more of: {' '.join(Topic)}")
        topics.append(Topic(word))
    return list(dict.fromkeys(topics))

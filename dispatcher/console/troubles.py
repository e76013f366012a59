"""Why a campaign makes no progress, in the words of whoever looks: a pure table.

The engine says it in English, for the log and the command line. What is not in the table is shown as it was said, below
a sentence that says what kind of thing it is.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """The key of a sentence, and of what to do; and what was said, word for word."""

    kind: str
    said: str


_KINDS = (
    ("spoilt", r"more than \d+ % of the letters could not be composed"),
    ("stale", r"held: its prices "),
    ("held", r"held: "),
    ("subject", r"the rest waits for its subject"),
    ("feed", r"brought by feed \d|feed \d+ could not release"),
    ("lost", r"it was written and launched after the backup"),
    ("set_aside", r"set aside: "),
    ("letter", r"the stored letter cannot be read|.*(content|template|edition)"),
    ("database", r"the database "),
    ("log_in", r"(relay )?\S+?,? .*\b(530|534|535|538)\b"),
    ("relay", r"relay |no relay"),
)


def trouble(said: str | None) -> Trouble | None:
    """Name the trouble that the engine told of; None: it told of none."""
    if not said:
        return None
    return Trouble(next((kind for kind, words in _KINDS if re.match(words, said)), "other"), said)

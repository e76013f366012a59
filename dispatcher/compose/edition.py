"""An edition: a campaign's letter in one language, frozen. freezing.py makes it, letter.py fills it per recipient.

A module of its own, because a process that only sends needs no Markdown, no layout and no CSS inliner.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256

from dispatcher.errors import InputRefused
from dispatcher.languages import Language


class Kind(StrEnum):
    """What a letter is for, which decides about its headers."""

    NEWSLETTER = "newsletter"
    CONFIRM = "confirm"  # asks whether it was really this person who signed up
    RENEW = "renew"  # asks whether a consent shall go on under newer words
    LEAVE_ADDRESS = "leave-address"  # asks the present address whether its owner wants to move to another
    TAKE_ADDRESS = "take-address"  # asks a new address whether it is theirs
    MOVED = "moved"  # tells the former address


@dataclass(frozen=True, slots=True)
class Edition:
    """A frozen letter. `wire` gives its bytes; `html`, `text` and `subject` are the same for human eyes. All four
    are Jinja2 sources. Sizes are octets before encoding."""

    kind: Kind
    language: Language
    subject: str
    html: str
    text: str
    wire: str
    sha256: str
    html_size: int
    text_size: int

    def to_json(self) -> str:
        """Give the edition as text for a column."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, stored: str) -> "Edition":
        """Read it back; one that was altered since is refused."""
        values = json.loads(stored)
        if sha256(values["wire"].encode("ascii", "replace")).hexdigest() != values["sha256"]:
            raise InputRefused("the stored edition was altered after it was frozen", "Freeze the campaign anew.")
        return cls(**{**values, "kind": Kind(values["kind"]), "language": Language(values["language"])})

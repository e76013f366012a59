"""A signed stamp in a form: when it was handed out, in which language, and which declaration stood in it.

It makes the minimum fill time and the proof of what was read possible without storing anything. What must stay true:
nobody but us can make one; one from yesterday is too old.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dispatcher.db.terms import Language
from dispatcher.domain.tokens import Key, Keyring

SHORTEST = timedelta(seconds=2)  # no person reads and fills in the form faster
LONGEST = timedelta(days=1)
_MAC = 16


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a form says about itself."""

    issued_at: datetime
    language: Language
    declaration_id: int

    def age(self, now: datetime) -> timedelta:
        """Say how long ago the form was handed out."""
        return now - self.issued_at


def seal(keyring: Keyring, stamp: Stamp) -> str:
    """Make the text of a stamp: milliseconds, language, declaration, MAC."""
    payload = f"{round(stamp.issued_at.timestamp() * 1000):x}.{stamp.language}.{stamp.declaration_id}"
    return f"{payload}.{_mac(keyring.signing, payload)}"


def read(keyring: Keyring, text: str) -> Stamp | None:
    """Read a stamp back; None for anything that we did not make."""
    payload, _, mac = text.rpartition(".")
    if not any(hmac.compare_digest(_mac(key, payload).encode(), mac.encode(errors="replace")) for key in keyring.keys):
        return None
    issued, language, declaration_id = payload.split(".")
    return Stamp(datetime.fromtimestamp(int(issued, 16) / 1000, UTC), Language(language), int(declaration_id))


def _mac(key: Key, payload: str) -> str:
    return hmac.digest(key.secret, b"form-stamp\0" + payload.encode(errors="replace"), "sha256")[:_MAC].hex()

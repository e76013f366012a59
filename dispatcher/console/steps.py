"""At which step a relay failed, in the words of whoever looks: a pure table over what the engine says in English.

What the relay itself said is shown beside it: its operator will ask for it.
"""

import re

_STEPS = (
    ("certificate", r".*(certificate|CA file)"),
    ("connection", r"the connection\b"),
    ("tls", r"(the TLS|.*\bSTARTTLS|.*\bTLS handshake)"),
    ("log_in", r".*\b(AUTH|530|534|535|538)\b"),
    ("greeting", r"(the banner|EHLO)\b|.* answered (the banner|EHLO) "),
    ("sender", r"MAIL\b"),
    ("letter", r"(RCPT|DATA|RSET)\b|the dot\b|.*\bdot\b|.*\bletter\b"),
)


def step(why: str) -> str:
    """Name the step; `other` if the words say none."""
    return next((name for name, words in _STEPS if re.match(words, why)), "other")

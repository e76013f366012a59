"""Why somebody did not get a letter, in the words of whoever looks: a pure table over the reasons of the ledger.

A relay's own words are shown beside ours: they are what its operator, or the mailbox's, will want to read.
"""

import re
from dataclasses import dataclass, field
from datetime import date

from dispatcher.domain.audience import audiences
from dispatcher.domain.delivery import batches, poison
from dispatcher.domain.newsletters import on_hold
from dispatcher.domain.newsletters.missing import Missing

_OURS = {
    audiences.NEVER_CONFIRMED: "never_confirmed",
    audiences.WITHDREW: "withdrew",
    audiences.ERASED: "erased",
    audiences.ASKED_BEFORE: "asked_before",
    audiences.NOTHING_TO_RENEW: "nothing_to_renew",
    audiences.AT_THAT_MOMENT: "at_that_moment",
    batches.DIED_IN_FLIGHT: "died_in_flight",
    on_hold.IN_DOUBT: "in_doubt",
    poison.SET_ASIDE: "set_aside",
    "not yet tried": "not_yet",
    "the campaign was cancelled first": "cancelled_first",
}
_BEGINS = (
    (audiences.SUPPRESSED, "suppressed"),
    (audiences.PAUSED, "paused"),
    ("consent under older words", "older_words"),
    ("could not be composed", "not_composed"),
)
# Enhanced codes (RFC 3463) and, where a relay sends none, what their words speak of. The first that fits counts.
_SAID = (
    (
        "no_mailbox",
        r"\b[45]\.1\.(1|2|3|6|10)\b|user unknown|no such (user|mailbox)|does not exist|mailbox (is )?unavailable",
    ),
    ("mailbox_off", r"\b[45]\.2\.1\b|disabled|inactive"),
    ("mailbox_full", r"\b[45]\.2\.2\b|over quota|mailbox (is )?full"),
    ("too_large", r"\b[45]\.(3\.4|2\.3)\b"),
    ("spam", r"\b[45]\.7\.\d+\b|spam|blocked|blacklist|policy"),
    ("slow_down", r"rate limit|too many|throttl|try again later"),
    ("no_way", r"\b[45]\.4\.\d+\b"),
)


@dataclass(frozen=True, slots=True)
class Reason:
    """The key of a sentence in words/reasons, with its values; and the relay's words, if it had any."""

    key: str
    values: dict[str, str] = field(default_factory=dict)
    day: date | None = None
    said: str = ""


def reason(one: Missing) -> Reason:
    """Say why somebody is missing."""
    return of_words(one.said or one.reason, one.outcome)


def of_words(said: str, outcome: str) -> Reason:
    """Say it of the words that were written down, and what became of the letter."""
    if said in _OURS:
        return Reason(_OURS[said])
    for begin, key in _BEGINS:
        if said.startswith(begin):
            return _with_rest(key, said.removeprefix(begin))
    for key, words in _SAID:
        if re.search(words, said, re.IGNORECASE):
            return Reason(key, said=said)
    return Reason(_last(outcome, said), said=said)


def _with_rest(key: str, rest: str) -> Reason:
    if key == "suppressed":
        return Reason(f"suppressed_{rest}" if rest.isalpha() else "suppressed_operator")
    if key == "paused":
        return Reason("paused", day=date.fromisoformat(rest))
    return Reason(key, said=rest.strip(" :()") if key == "not_composed" else "")


def _last(outcome: str, said: str) -> str:
    if outcome == "unknown":
        return "no_answer"
    if re.match(r"[45]\d\d\b", said):
        return "refused" if said.startswith("5") else "not_now"
    return "not_through"

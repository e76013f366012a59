"""Which answers of a provider mean "slower" or "not now": one pure table. Providers' words change: it is kept short.

A relay in between often gives them on. What is not in the table is an answer about one letter, and waits like any 4xx
(sending/retry.py). What must stay true: no answer about a recipient (unknown, full, over quota) slows anything down.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from dispatcher.domain.rates.providers import Provider
from dispatcher.domain.rates.slowdowns import Advice
from dispatcher.smtp.reply import Reply

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
_ANYBODY = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """Whose answer, in which words (code, enhanced code and text), means what."""

    provider: Provider | None
    words: re.Pattern[str]
    stop: timedelta | None = None
    slow_to: int | None = None
    hold: timedelta = timedelta(0)


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_RULES = (
    _Rule(Provider.GOOGLE, _words(r"^4\d\d[ -]4\.7\.28\b")),
    _Rule(Provider.MICROSOFT, _words(r"^4\d\d .*(exceeded the rate limit|rate.limited|\bRP-00[123]\b)"), 30 * _MINUTE),
    _Rule(Provider.MICROSOFT, _words(r"^451 4\.7\.(500|650|651)\b"), 30 * _MINUTE),
    _Rule(Provider.YAHOO, _words(r"^4\d\d .*\[TSS04\]"), 2 * _HOUR),
    _Rule(Provider.YAHOO, _words(r"^4\d\d .*\[TSS05\]"), 4 * _HOUR),
    # GMX and WEB.DE send no enhanced codes. The last line leads to a page whose `c=` names the reason.
    _Rule(Provider.GMX_WEBDE, _words(r"^421 .*(too many messages|rate limit|sending rate)"), 2 * _HOUR),
    _Rule(Provider.GMX_WEBDE, _words(r"^554[ -].*Nemesis ESMTP Service not available"), 4 * _HOUR),
    _Rule(Provider.GMX_WEBDE, _words(r"^4\d\d .*(not available|policy).*postmaster\.(gmx|web)\.\w+/\S*[?&]c=")),
    # T-Online's banner for a host it does not know, or not any more: about us, never about an address.
    _Rule(Provider.T_ONLINE, _words(r"^554 .*(\bIP=|tosa@)"), 4 * _HOUR),
    _Rule(_ANYBODY, _words(r"^4\d\d .*temporarily deferred"), slow_to=1, hold=90 * _MINUTE),
    _Rule(_ANYBODY, _words(r"^4\d\d .*(rate limit|too many (messages|connections)|throttl|sending too fast)")),
)
# Limits that a mailbox has, not we: "is receiving mail too quickly", "over quota".
_ABOUT_THE_RECIPIENT = _words(r"^\d\d\d [45]\.(1|2)\.\d+\b|receiving mail (at a rate|too quickly)|over quota")
_SPEAKS_OF = re.compile(r"[?&]c=([A-Za-z0-9_-]{1,20})")


def advice(provider: str, reply: Reply) -> Advice | None:
    """Say what a provider's answer asks of the rate at which letters go there; None: nothing."""
    said = str(reply)
    if _ABOUT_THE_RECIPIENT.search(said):
        return None
    for rule in _RULES:
        if rule.provider in (_ANYBODY, provider) and rule.words.search(said):
            return Advice(_reason(said), rule.stop, rule.slow_to, rule.hold)
    return None


def _reason(said: str) -> str:
    """Give the answer's words as a reason: an address in them is nobody's business there."""
    named = _SPEAKS_OF.search(said)
    words = re.sub(r"\S+@\S+", "(address)", said)[:200]
    return f"{words} (c={named[1]})" if named and f"c={named[1]}" not in words else words

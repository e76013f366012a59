"""Relays like to repeat the address in what they answer. What is kept, logged and shown of an answer does not name it.

What must stay true: no verdict goes on to ledger, breaker or rates before it has passed here. So an erasure need not
look for a person's address in what relays said, and the proof of a confirmation mail, which nobody may change, holds
none.
"""

from dataclasses import replace

from dispatcher.domain.addresses import without
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown, Verdict


def unnamed(verdict: Verdict, address: str) -> Verdict:
    """Give the verdict with the recipient's own address taken out of its words; the code stays as it was."""
    match verdict:
        case Sent(reply=reply) | Deferred(reply=reply) | Refused(reply=reply):
            if "@" not in reply.text:  # nearly always, and this runs for every letter
                return verdict
            lines = tuple(without(address, line) for line in reply.lines)
            return replace(verdict, reply=replace(reply, text=without(address, reply.text), lines=lines))
        case Unknown(why=why) | NotSent(why=why):
            return replace(verdict, why=without(address, why))

"""What relays say is kept without the address they say it about, whatever became of the letter."""

import pytest

from dispatcher.sending.discretion import unnamed
from dispatcher.smtp.reply import Reply
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Unknown, Verdict

ANNA = "anna@example.de"
SAID = "<Anna@Example.DE> says: ask anna@example.de"
KEPT = "<recipient> says: ask <recipient>"


@pytest.mark.parametrize("kind", [Sent, Deferred, Refused])
def test_a_reply_keeps_its_code_and_loses_the_address(kind: type[Sent | Deferred | Refused]) -> None:
    kept = unnamed(kind(Reply(250, "2.0.0", SAID, (SAID, "ok"))), ANNA)
    assert isinstance(kept, kind)
    assert kept.reply == Reply(250, "2.0.0", KEPT)
    assert kept.reply.lines == (KEPT, "ok")


@pytest.mark.parametrize("verdict", [Unknown(SAID), NotSent(SAID, True)])
def test_so_does_the_reason_of_a_letter_without_an_answer(verdict: Unknown | NotSent) -> None:
    kept = unnamed(verdict, ANNA)
    assert type(kept) is type(verdict)
    assert kept.why == KEPT


@pytest.mark.parametrize("verdict", [Sent(Reply(250, None, "queued")), Unknown("lost")])
def test_what_names_nobody_stays_as_it_is(verdict: Verdict) -> None:
    assert unnamed(verdict, ANNA) == verdict

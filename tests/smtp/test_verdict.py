"""The table from reply to verdict."""

import pytest

from dispatcher.smtp.reply import ProtocolError, Reply
from dispatcher.smtp.verdict import Deferred, NotSent, Refused, Sent, Step, Unknown, judge, lost

MAIL, RCPT, DATA, DOT = Step.MAIL, Step.RCPT, Step.DATA, Step.DOT


@pytest.mark.parametrize(
    ("step", "code", "enhanced", "kind"),
    [
        (MAIL, 250, None, None),
        (RCPT, 250, "2.1.5", None),
        (RCPT, 251, None, None),
        (RCPT, 252, None, None),
        (DATA, 354, None, None),
        (DOT, 250, "2.0.0", Sent),
        (DOT, 251, None, Sent),
        (MAIL, 451, "4.3.0", Deferred),
        (RCPT, 450, "4.2.1", Deferred),
        (RCPT, 452, "4.5.3", Deferred),
        (DATA, 451, None, Deferred),
        (DOT, 452, "4.3.1", Deferred),
        (DOT, 421, "4.3.2", Deferred),
        (RCPT, 550, "5.1.1", Refused),
        (RCPT, 550, None, Refused),
        (RCPT, 554, "5.7.1", Refused),
        (RCPT, 553, None, Refused),
        (DATA, 554, None, Refused),
        (DOT, 554, "5.7.1", Refused),
        (DOT, 552, "5.3.4", Refused),
        # RFC 5321 4.5.3.1.10
        (RCPT, 552, None, Deferred),
        (RCPT, 552, "5.5.3", Deferred),
        # 5xx to MAIL FROM: the sender is ours ...
        (MAIL, 550, None, NotSent),
        (MAIL, 553, "5.1.8", NotSent),
        (MAIL, 550, "5.7.1", NotSent),
        (MAIL, 501, "5.1.7", NotSent),
        (MAIL, 503, "5.5.1", NotSent),
        # ... unless it is the letter or its recipient that is meant.
        (MAIL, 552, None, Refused),
        (MAIL, 552, "5.3.4", Refused),
        (MAIL, 550, "5.1.1", Refused),
        (MAIL, 550, "5.1.10", Refused),
        (MAIL, 552, "5.2.2", Refused),
        (MAIL, 550, "5.6.7", Refused),
        # A relay that is out of step has not looked at the recipient.
        *((step, code, None, NotSent) for step in (RCPT, DATA) for code in (500, 502, 503)),
        (RCPT, 501, None, Refused),
        (DOT, 503, None, Refused),
        # A closing relay and a wanted log-in are about us, wherever they come.
        *((step, 421, None, NotSent) for step in (MAIL, RCPT, DATA)),
        *((step, code, None, NotSent) for step in (MAIL, RCPT, DATA, DOT) for code in (530, 534, 535, 538)),
    ],
)
def test_a_reply_means_one_thing_at_each_step(step: Step, code: int, enhanced: str | None, kind: type | None) -> None:
    reply = Reply(code, enhanced, "text")
    verdict = judge(step, reply)
    if kind is None:
        assert verdict is None
    elif kind is NotSent:
        assert verdict == NotSent(f"{step}: {reply}", about_us=step is MAIL or code not in (500, 502, 503))
    else:
        assert verdict == kind(reply)


@pytest.mark.parametrize(
    ("step", "code"),
    [(MAIL, 354), (RCPT, 334), (DATA, 250), (DATA, 334), (DATA, 350), (DOT, 354), (DOT, 334), (Step.RESET, 354)],
)
def test_a_reply_that_cannot_answer_its_command_is_a_fault(step: Step, code: int) -> None:
    with pytest.raises(ProtocolError, match="out of place"):
        judge(step, Reply(code, None, ""))


@pytest.mark.parametrize("step", list(Step))
def test_only_a_2xx_to_the_dot_is_ever_sent_and_no_reply_is_ever_unknown(step: Step) -> None:
    for code in range(200, 600):
        try:
            verdict = judge(step, Reply(code, None, ""))
        except ProtocolError:
            continue
        assert isinstance(verdict, Sent) is (step is DOT and code <= 299)
        assert not isinstance(verdict, Unknown)
        assert verdict is not None or code < 400


def test_a_loss_is_unknown_once_the_dot_was_written_and_not_sent_before() -> None:
    assert lost("cut", dot_written=True) == Unknown("cut")
    assert lost("cut", dot_written=False) == NotSent("cut", about_us=False)
    assert lost("cut", dot_written=False, about_us=True) == NotSent("cut", about_us=True)

"""Which answers slow a provider down, and which are about one letter only."""

from datetime import timedelta

import pytest

from dispatcher.sending.advice import advice
from dispatcher.smtp.reply import Reply, ReplyReader

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def _reply(said: str) -> Reply:
    (reply,) = ReplyReader().read("".join(f"{line}\r\n" for line in said.splitlines()).encode())
    return reply


@pytest.mark.parametrize(
    ("provider", "said", "stop"),
    [
        ("microsoft", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", 30 * MINUTE),
        ("microsoft", "421 RP-001 The mail server connecting has exceeded the rate limit allowed.", 30 * MINUTE),
        ("microsoft", "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited", 30 * MINUTE),
        ("yahoo", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to volume", 2 * HOUR),
        ("yahoo", "421 4.7.0 [TSS05] Messages from 192.0.2.1 temporarily deferred", 4 * HOUR),
        ("gmx-webde", "421-web.de (mxweb113) Nemesis ESMTP Service not available\n421-Too many messages\n"
         "421 see https://postmaster.web.de/de/case?c=r1103&i=ip", 2 * HOUR),
        ("gmx-webde", "554-gmx.net (mxgmx104) Nemesis ESMTP Service not available\n554-IP address is block listed.\n"
         "554 https://postmaster.gmx.net/en/case?c=r0201&i=ip&v=192.0.2.1", 4 * HOUR),
        ("t-online", "554 IP=192.0.2.1 - A problem occurred.", 4 * HOUR),
    ],
)  # fmt: skip
def test_a_provider_that_says_not_now_is_left_alone_for_as_long_as_it_means(
    provider: str, said: str, stop: timedelta
) -> None:
    heard = advice(provider, _reply(said))
    assert heard is not None
    assert (heard.stop, heard.slow_to) == (stop, None)


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("google", "421-4.7.28 Our system has detected an unusual rate of unsolicited mail\n421 4.7.28 slow"),
        ("gmx-webde", "421-gmx.net Service not available\n421 https://postmaster.gmx.net/en/case?c=sv&i=ip"),
        ("other", "421 4.7.0 Error: too many connections from 192.0.2.1"),
        ("other", "452 4.3.1 Rate limit exceeded, try later"),
        ("t-online", "421 throttled"),
    ],
)
def test_a_provider_that_says_slower_gets_half(provider: str, said: str) -> None:
    heard = advice(provider, _reply(said))
    assert heard is not None
    assert (heard.stop, heard.slow_to, heard.hold) == (None, None, timedelta(0))


def test_temporarily_deferred_means_one_letter_a_minute_for_an_hour_and_a_half() -> None:
    heard = advice("other", _reply("451 4.7.1 Your mail was temporarily deferred"))
    assert heard is not None
    assert (heard.stop, heard.slow_to, heard.hold) == (None, 1, 90 * MINUTE)


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("google", "450 4.2.1 The user you are trying to contact is receiving mail at a rate that is too high"),
        ("google", "452 4.2.2 The recipient's inbox is out of storage space; over quota"),
        ("google", "550 5.1.1 The email account that you tried to reach does not exist"),
        ("microsoft", "550 5.7.515 Access denied, sending domain does not meet the required level"),
        ("gmx-webde", "450 Requested mail action not taken: mailbox unavailable"),
        ("other", "451 4.7.1 Greylisting in action, please come back later"),
        ("other", "451 4.3.0 local error"),
        ("other", "421 4.7.28 google's words from somebody else"),
        ("other", "554 5.7.1 IP=192.0.2.1 is listed"),
        ("t-online", "250 2.0.0 IP=192.0.2.1 rate limit"),
    ],
)
def test_an_answer_about_one_letter_slows_nobody_down(provider: str, said: str) -> None:
    assert advice(provider, _reply(said)) is None


def test_the_reason_is_in_the_providers_words_without_an_address() -> None:
    heard = advice("other", _reply("451 4.7.1 <anna@example.de> temporarily deferred"))
    assert heard is not None
    assert heard.reason == "451 4.7.1 (address) temporarily deferred"


def test_a_reason_that_is_too_long_still_names_its_code() -> None:
    said = "421 Service not available " + "x" * 300 + " https://postmaster.gmx.net/en/case?c=r0201&i=ip"
    heard = advice("gmx-webde", _reply(said))
    assert heard is not None
    assert heard.reason.endswith("(c=r0201)")

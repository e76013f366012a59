"""Why somebody is missing and why a campaign stands still: each has a sentence, in both languages."""

import pytest

from dispatcher.console.paper import has
from dispatcher.console.reasons import Reason, reason
from dispatcher.console.troubles import _KINDS, trouble
from dispatcher.db.terms import Language, SuppressionReason
from dispatcher.domain.audience import audiences
from dispatcher.domain.delivery import batches, poison
from dispatcher.domain.newsletters import on_hold, trials
from dispatcher.domain.newsletters.missing import Missing
from dispatcher.sending import feed, gate


def why(said: str, outcome: str = "failed") -> Reason:
    found = reason(Missing(1, b"", "maria@example.de", outcome, said, said))
    assert all(has(language, f"reasons.{found.key}") for language in Language), found.key
    return found


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("550 5.1.1 no such user here", "no_mailbox"),
        ("550 Requested action not taken: mailbox unavailable", "no_mailbox"),
        ("550 5.2.1 The account is inactive", "mailbox_off"),
        ("452 4.2.2 The recipient is over quota", "mailbox_full"),
        ("552 5.3.4 too big", "too_large"),
        ("554 5.7.1 rejected", "spam"),
        ("421 4.7.28 rate limit", "spam"),
        ("450 try again later", "slow_down"),
        ("451 4.4.1 no route", "no_way"),
        ("554 no", "refused"),
        ("451 busy", "not_now"),
        ("the connection was lost", "not_through"),
        (poison.SET_ASIDE, "set_aside"),
        ("could not be composed: a field is missing", "not_composed"),
    ],
)
def test_what_a_relay_said_is_said_in_words_and_shown_beside_them(said: str, key: str) -> None:
    found = why(said)
    assert found.key == key
    assert found.said in (said, "", "a field is missing")


def test_every_reason_of_ours_has_a_sentence() -> None:
    for said in (audiences.NEVER_CONFIRMED, audiences.WITHDREW, audiences.ERASED, audiences.ASKED_BEFORE):
        assert why(said, "withheld").said == ""
    for listed in SuppressionReason:
        assert why(f"{audiences.SUPPRESSED}{listed}", "withheld").key == f"suppressed_{listed}"
    assert str(why(f"{audiences.PAUSED}2026-12-24", "withheld").day) == "2026-12-24"
    assert why("consent under older words (newsletter-2026-01): to be renewed", "withheld").key == "older_words"
    for said in (batches.DIED_IN_FLIGHT, on_hold.IN_DOUBT, "no answer within 600 s"):
        assert why(said, "unknown").key in {"died_in_flight", "in_doubt", "no_answer"}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (feed.SPOILT, "spoilt"),
        (gate.DATABASE_AWAY, "database"),
        ("held: its prices are of yesterday", "stale"),
        ("held: the database was put back to an earlier state", "held"),
        ("feed 3 could not release it: preflight stops it (links)", "feed"),
        ("relay relay.example.de:587, MAIL FROM: 535 5.7.8 authentication failed", "log_in"),
        ("relay relay.example.de:587, refused the connection", "relay"),
        (trials.NOBODY_CHOSE.format(id=7, letters="A|B"), "subject"),
        ("something new", "other"),
    ],
)
def test_a_trouble_is_named_by_its_kind_and_told_word_for_word(said: str, kind: str) -> None:
    found = trouble(said)
    assert found is not None
    assert (found.kind, found.said) == (kind, said)


def test_every_kind_of_trouble_has_a_sentence_and_a_cure() -> None:
    assert trouble(None) is None
    for kind in [kind for kind, _ in _KINDS] + ["other"]:
        for language in Language:
            assert has(language, f"trouble.is_{kind}")
            assert has(language, f"trouble.cure_{kind}")

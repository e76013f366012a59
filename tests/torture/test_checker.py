"""The checker finds every fault that is planted into evidence in order: a check that cannot fail is worthless."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dispatcher.db.terms import UnknownPolicy
from tests.torture.checker import RULES, Evidence, Kind, Taken, check, copies, late_letters

PEOPLE = [f"p{number}@example.de" for number in range(6)]


def letter(number: int, at: float, connection: int = 1, message_id: str = "") -> Taken:
    return Taken(PEOPLE[number], message_id or f"<{number}@example.de>", at, connection)


def in_order() -> Evidence:
    """Two lanes, one kill: p4 is in doubt and was accepted; p5 withdrew in time; one had never agreed."""
    return Evidence(
        title="a campaign",
        policy=UnknownPolicy.HOLD,
        lanes=2,
        deaths=1,
        unanswered_dots=0,
        state="sent",
        permitted=frozenset(PEOPLE),
        forbidden=frozenset({"no@example.de"}),
        outcomes={
            **dict.fromkeys(PEOPLE[:4], "sent"),
            PEOPLE[4]: "unknown",
            PEOPLE[5]: "withheld",
            "no@example.de": "withheld",
        },
        taken=tuple(letter(number, float(number)) for number in range(5)),
        status={"audience": 7, "sent": 4, "unknown": 1, "failed": 0, "withheld": 2, "deferred": 0, "remaining": 0},
        missing={PEOPLE[4]: "unknown", PEOPLE[5]: "withheld", "no@example.de": "withheld"},
        left={PEOPLE[5]: 2.0},
    )


def resent() -> Evidence:
    """The same under resend: p4 was sent again."""
    e = in_order()
    return replace(
        e,
        policy=UnknownPolicy.RESEND,
        outcomes={**e.outcomes, PEOPLE[4]: "sent"},
        taken=(*e.taken, letter(4, 9.0, connection=3)),
        status={**e.status, "sent": 5, "unknown": 0},
        missing={who: outcome for who, outcome in e.missing.items() if who != PEOPLE[4]},
    )


@pytest.mark.parametrize("evidence", [in_order(), resent()], ids=["hold", "resend"])
def test_what_is_in_order_has_no_finding(evidence: Evidence) -> None:
    assert check(evidence) == []


def test_a_copy_is_counted_under_resend() -> None:
    assert (copies(in_order()), copies(resent())) == (0, 1)


def told(evidence: Evidence, who: str, outcome: str | None) -> Evidence:
    outcomes = {**evidence.outcomes, who: outcome or ""}
    if outcome is None:
        del outcomes[who]
    return replace(evidence, outcomes=outcomes)


def without(evidence: Evidence, who: str) -> Evidence:
    return replace(evidence, taken=[taken for taken in evidence.taken if taken.recipient != who])


def more(evidence: Evidence, *letters: Taken) -> Evidence:
    return replace(evidence, taken=[*evidence.taken, *letters])


def put(**changes: object) -> Callable[[], Evidence]:
    return lambda: replace(in_order(), **changes)  # type: ignore[arg-type]


def gone(who: str, since: float) -> Evidence:
    """The same, but one more has left."""
    return replace(in_order(), left={**in_order().left, who: since})


def in_doubt(*people: str) -> Evidence:
    e = in_order()
    for who in people:
        e = told(e, who, "unknown")
    return e


def instead(who: int, *letters: Taken) -> Evidence:
    """The same under resend, with other letters to one person."""
    return more(without(resent(), PEOPLE[who]), *letters)


PLANTED: list[tuple[str, Kind, Callable[[], Evidence]]] = [
    ("a person without an outcome", Kind.LOST, lambda: told(in_order(), PEOPLE[0], None)),
    ("a person who never agreed without an outcome", Kind.LOST, lambda: told(in_order(), "no@example.de", None)),
    ("a sent letter that was never accepted", Kind.LOST, lambda: without(in_order(), PEOPLE[1])),
    ("withheld from one who agreed", Kind.LOST, lambda: told(without(in_order(), PEOPLE[1]), PEOPLE[1], "withheld")),
    ("failed, and nobody had refused it", Kind.LOST, lambda: told(without(in_order(), PEOPLE[1]), PEOPLE[1], "failed")),
    ("a second copy under hold", Kind.DOUBLED, lambda: more(in_order(), letter(0, 8.0))),
    ("a copy of what was in doubt under hold", Kind.DOUBLED, lambda: more(in_order(), letter(4, 8.0))),
    (
        "more copies than were in flight",
        Kind.DOUBLED,
        lambda: more(resent(), letter(0, 8.0, 4), letter(1, 8.0, 5)),
    ),
    ("a letter to one who never agreed", Kind.STRANGER, lambda: more(in_order(), Taken("no@example.de", "<n>", 1, 1))),
    ("a letter to nobody we know", Kind.STRANGER, lambda: more(in_order(), Taken("who@example.de", "<w>", 1.0, 1))),
    ("one who never agreed is called sent", Kind.STRANGER, lambda: told(in_order(), "no@example.de", "sent")),
    ("accepted and called failed", Kind.MISTOLD, lambda: told(in_order(), PEOPLE[0], "failed")),
    ("accepted and called withheld", Kind.MISTOLD, lambda: told(in_order(), PEOPLE[0], "withheld")),
    ("one more unknown than lanes", Kind.OVER_BOUND, lambda: in_doubt(PEOPLE[0], PEOPLE[1])),
    ("unknown though nobody died", Kind.OVER_BOUND, put(deaths=0)),
    ("a second letter on a connection after the withdrawal", Kind.LATE, lambda: gone(PEOPLE[4], 2.5)),
    ("a letter right behind another after the withdrawal", Kind.LATE, lambda: gone(PEOPLE[3], 1.999)),
    ("a copy with another Message-ID", Kind.ANOTHER_ID, lambda: instead(4, letter(4, 8.0), letter(4, 9.0, 3, "<x>"))),
    ("two people under one Message-ID", Kind.ANOTHER_ID, lambda: instead(0, letter(0, 8.0, 1, "<1@example.de>"))),
    ("a letter without a Message-ID", Kind.ANOTHER_ID, lambda: instead(0, Taken(PEOPLE[0], "", 8.0, 1))),
    ("sent under another's consent", Kind.UNFOUNDED, put(unfounded=["3"])),
    ("a figure that is one too high", Kind.UNEVEN, put(status={**in_order().status, "sent": 5})),
    ("a figure that is not told", Kind.UNEVEN, put(status={})),
    ("a person who is not named as missing", Kind.UNEVEN, put(missing={PEOPLE[5]: "withheld"})),
    ("a person named as missing who is not", Kind.UNEVEN, put(missing={**in_order().missing, PEOPLE[0]: "failed"})),
    ("a campaign that is not sent", Kind.UNFINISHED, put(state="sending")),
    ("a batch that is still leased", Kind.UNFINISHED, put(still_open=["batch 0 is leased"])),
    ("a worker that ended by itself", Kind.CRASHED, put(crashes=["a worker ended with 1"])),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "plant"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_a_planted_fault_is_found(kind: Kind, plant: Callable[[], Evidence]) -> None:
    assert kind in {finding.kind for finding in check(plant())}


def test_every_kind_of_fault_is_planted_and_every_rule_finds_one() -> None:
    assert {kind for _, kind, _ in PLANTED} == set(Kind)
    assert [rule.__name__ for rule in RULES if not any(list(rule(plant())) for _, _, plant in PLANTED)] == []


def test_one_letter_whose_dot_was_out_may_come_after_a_withdrawal_on_each_connection() -> None:
    e = in_order()
    late = replace(
        e, taken=(*e.taken[:4], letter(4, 4.0, connection=2)), left={**e.left, PEOPLE[3]: 2.5, PEOPLE[4]: 2.5}
    )
    assert check(late) == []
    assert late_letters(late) == 2

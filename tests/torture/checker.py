"""Reconciles what the relay's witness recorded with what the ledger says. Pure: evidence in, findings out.

Each rule is one function that gives findings; a campaign is in order when there are none. What is allowed:

    twice        under `hold` never; under `resend` as many as may have been in flight when something died, and always
                 with the same Message-ID
    unknown      under either policy no more than that: a letter per lane and death, and one per dot that the relay left
                 without an answer. A stop that is longer than the lease is, to everyone else, a death.
    late         after a withdrawal is committed, one letter at most per open connection: the one whose dot was out
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dispatcher.db.terms import UnknownPolicy


class Kind(StrEnum):
    """What may be wrong; each must be zero."""

    LOST = "lost"  # in the audience and not accounted for, or `sent` and never accepted
    DOUBLED = "doubled"  # accepted more often than the policy allows
    STRANGER = "stranger"  # accepted for somebody who had not agreed, or is not in the audience
    MISTOLD = "mistold"  # accepted, and the ledger says something else than sent or unknown
    OVER_BOUND = "over the bound"  # more unknown than may have been in flight
    LATE = "late"  # accepted after a withdrawal, beyond one letter per connection
    ANOTHER_ID = "another Message-ID"  # the copies of a letter do not bear the same, or two people's do
    UNFOUNDED = "unfounded"  # sent under an event that is no consent of this person's
    UNEVEN = "uneven"  # `campaigns status` or `campaigns missing` differs from ledger and witness
    UNFINISHED = "unfinished"  # not sent, or something is still open
    CRASHED = "crashed"  # a worker ended otherwise than by our hand


class Finding(NamedTuple):
    """One thing that is wrong: what, about whom or what, in words."""

    kind: Kind
    who: str
    what: str


class Taken(NamedTuple):
    """A letter that the witness has accepted; `at` on the clock on which commits are noted too."""

    recipient: str
    message_id: str
    at: float
    connection: int


@dataclass(frozen=True)
class Evidence:
    """Everything known about one campaign after its end."""

    title: str
    policy: UnknownPolicy
    lanes: int
    deaths: int  # kills, and stops longer than the lease
    unanswered_dots: int  # by the relay's own will
    state: str
    permitted: frozenset[str]  # who had agreed when the audience was frozen
    forbidden: frozenset[str]  # the rest of the audience
    outcomes: Mapping[str, str]
    taken: Sequence[Taken]
    status: Mapping[str, int]  # as `campaigns status --json` prints it
    missing: Mapping[str, str]  # as `campaigns missing --csv` prints it: outcome by address
    left: Mapping[str, float] = field(default_factory=dict)  # who left meanwhile, and when that was committed
    unfounded: Sequence[str] = ()
    still_open: Sequence[str] = ()  # batches, deferrals, letters in flight, in words
    refuses: bool = False  # the relay refuses some people for good
    crashes: Sequence[str] = ()  # how workers ended that nobody had killed

    @property
    def bound(self) -> int:
        """Say how many letters may have been in flight when something died or broke."""
        return self.lanes * self.deaths + self.unanswered_dots

    def with_outcome(self, *words: str) -> set[str]:
        return {who for who, outcome in self.outcomes.items() if outcome in words}


def check(evidence: Evidence) -> list[Finding]:
    """Give everything that is wrong."""
    return [finding for rule in RULES for finding in rule(evidence)]


def copies(evidence: Evidence) -> int:
    """Count the letters accepted beyond the first for each person."""
    return len(evidence.taken) - len({letter.recipient for letter in evidence.taken})


def nobody_is_lost(e: Evidence) -> Iterator[Finding]:
    accepted = {letter.recipient for letter in e.taken}
    for who in (e.permitted | e.forbidden) - set(e.outcomes):
        yield Finding(Kind.LOST, who, "is in the audience and has no outcome")
    for who in e.with_outcome("sent") - accepted:
        yield Finding(Kind.LOST, who, "is recorded as sent and was never accepted")
    for who in e.permitted & e.with_outcome("withheld") - set(e.left):
        yield Finding(Kind.LOST, who, "was withheld, and had agreed all the time")


def nobody_fails_whom_no_relay_refused(e: Evidence) -> Iterator[Finding]:
    for who in set() if e.refuses else e.with_outcome("failed"):
        yield Finding(Kind.LOST, who, "is recorded as failed, and no relay refused it for good")


def nobody_gets_it_twice(e: Evidence) -> Iterator[Finding]:
    allowed = e.bound if e.policy is UnknownPolicy.RESEND else 0
    if copies(e) <= allowed:
        return
    for who, count in Counter(letter.recipient for letter in e.taken).items():
        if count > 1:
            yield Finding(Kind.DOUBLED, who, f"accepted {count} times; {e.policy} allows {allowed} copies in all")


def nobody_gets_it_who_had_not_agreed(e: Evidence) -> Iterator[Finding]:
    for letter in e.taken:
        if letter.recipient not in e.permitted:
            yield Finding(Kind.STRANGER, letter.recipient, "accepted, and had not agreed")
    for who in e.forbidden - e.with_outcome("withheld"):
        yield Finding(Kind.STRANGER, who, f"had not agreed, and is {e.outcomes.get(who)}")


def whatever_was_accepted_is_sent_or_unknown(e: Evidence) -> Iterator[Finding]:
    for who in {letter.recipient for letter in e.taken} & e.permitted:
        if e.outcomes.get(who) not in {"sent", "unknown"}:
            yield Finding(Kind.MISTOLD, who, f"accepted, and recorded as {e.outcomes.get(who)}")


def no_more_is_unknown_than_was_in_flight(e: Evidence) -> Iterator[Finding]:
    unknown = len(e.with_outcome("unknown"))
    if unknown > e.bound:
        what = f"{unknown} unknown; {e.lanes} lanes, {e.deaths} deaths, {e.unanswered_dots} dots without an answer"
        yield Finding(Kind.OVER_BOUND, e.title, what)


def who_has_left_gets_what_was_in_flight_at_most(e: Evidence) -> Iterator[Finding]:
    on: dict[int, list[Taken]] = defaultdict(list)
    for letter in e.taken:
        on[letter.connection].append(letter)
    for letter in e.taken:
        since = e.left.get(letter.recipient)
        if since is not None and letter.at > since:
            before = sum(1 for other in on[letter.connection] if since < other.at < letter.at)
            if before:
                seconds = letter.at - since
                what = f"accepted {seconds:.3f} s after the withdrawal, behind {before} more on its connection"
                yield Finding(Kind.LATE, letter.recipient, what)


def late_letters(e: Evidence) -> int:
    """Count the letters accepted after a withdrawal, allowed or not."""
    return sum(1 for letter in e.taken if letter.at > e.left.get(letter.recipient, float("inf")))


def a_letter_keeps_its_message_id(e: Evidence) -> Iterator[Finding]:
    ids = {(letter.recipient, letter.message_id) for letter in e.taken}
    for who, count in Counter(who for who, _ in ids).items():
        if count > 1:
            yield Finding(Kind.ANOTHER_ID, who, f"its copies bear {count} Message-IDs")
    for message_id, count in Counter(message_id for _, message_id in ids).items():
        if count > 1 or not message_id:
            yield Finding(Kind.ANOTHER_ID, message_id, f"is borne by the letters of {count} people")


def every_letter_names_its_consent(e: Evidence) -> Iterator[Finding]:
    for who in e.unfounded:
        yield Finding(Kind.UNFOUNDED, who, "was sent under an event that is no consent of theirs")


def the_figures_are_those_of_the_witness(e: Evidence) -> Iterator[Finding]:
    audience = len(e.permitted | e.forbidden)
    unknown = e.with_outcome("unknown")
    surely = {letter.recipient for letter in e.taken} - unknown
    right = {
        "audience": audience,
        "sent": len(surely),
        "unknown": len(unknown),
        "failed": len(e.with_outcome("failed")),
        "withheld": len(e.with_outcome("withheld")),
        "deferred": 0,
        "remaining": 0,
    }
    for name, count in right.items():
        if e.status.get(name) != count:
            yield Finding(Kind.UNEVEN, name, f"status says {e.status.get(name)}, witness and ledger say {count}")
    named = {who: outcome for who, outcome in e.outcomes.items() if outcome != "sent"}
    for who in {w for w in named.keys() | e.missing.keys() if named.get(w) != e.missing.get(w)}:
        yield Finding(Kind.UNEVEN, who, f"missing says {e.missing.get(who)}, the ledger says {e.outcomes.get(who)}")


def it_has_come_to_its_end(e: Evidence) -> Iterator[Finding]:
    if e.state != "sent":
        yield Finding(Kind.UNFINISHED, e.title, f"is {e.state}")
    for what in e.still_open:
        yield Finding(Kind.UNFINISHED, e.title, what)


def no_worker_ended_by_itself(e: Evidence) -> Iterator[Finding]:
    for what in e.crashes:
        yield Finding(Kind.CRASHED, e.title, what)


RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    nobody_is_lost,
    nobody_fails_whom_no_relay_refused,
    nobody_gets_it_twice,
    nobody_gets_it_who_had_not_agreed,
    whatever_was_accepted_is_sent_or_unknown,
    no_more_is_unknown_than_was_in_flight,
    who_has_left_gets_what_was_in_flight_at_most,
    a_letter_keeps_its_message_id,
    every_letter_names_its_consent,
    the_figures_are_those_of_the_witness,
    it_has_come_to_its_end,
    no_worker_ended_by_itself,
)

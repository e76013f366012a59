"""The verdict on a row: pure, so that a dry run and the real one cannot differ.

What must stay true: whoever left or may never be mailed stays so, whatever the row says; and an end that a row reports
holds at once, unless the person agreed here later than it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dispatcher.db.terms import EVERY_TOPIC, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain.coverage import NO_DEMANDS, Demands
from dispatcher.domain.imports.rows import Claim, Fate, Row, Says


@dataclass(slots=True)
class Standing:
    """What we know of an address before a row comes."""

    subscriber_id: int | None = None
    topics: dict[Topic, tuple[SubscriptionState, datetime]] = field(default_factory=dict)
    forbidden: dict[str, SuppressionReason] = field(default_factory=dict)  # by scope
    numbers: dict[Topic, int | None] = field(default_factory=dict)  # of the words in which they stand so
    is_restricted: bool = False  # Art. 18 GDPR: an end holds, and nothing else is taken in


@dataclass(slots=True)
class Verdict:
    """What is new in a row, topic by topic, and what the row counts as."""

    fate: Fate
    agreed: list[tuple[Topic, Claim]] = field(default_factory=list)
    wishes: list[tuple[Topic, Claim]] = field(default_factory=list)
    left: list[tuple[Topic, Claim]] = field(default_factory=list)
    barred: list[tuple[Topic | None, Claim]] = field(default_factory=list)  # None: every topic

    @property
    def takes_in(self) -> bool:
        """Tell whether the person is to be known by address: whoever only left is not."""
        return bool(self.agreed or self.wishes)


@dataclass(frozen=True, slots=True)
class Words:
    """What the words that rows name are worth: their numbers by name, and which are needed."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    needed: Demands = NO_DEMANDS

    def are_good(self, topic: Topic, claim: Claim) -> bool:
        """Say whether a consent counts in the words that it names."""
        return self.needed.admit(topic, self._number(claim))

    def renew(self, topic: Topic, claim: Claim, known: Standing) -> bool:
        """Say whether a consent renews the one that is known."""
        return self.needed.renew(topic, known.numbers.get(topic), self._number(claim))

    def _number(self, claim: Claim) -> int | None:
        return self.numbers.get(claim.declaration) if claim.declaration else None


ANY_WORDS = Words()  # as long as nothing has to be renewed
NOBODY = Standing()  # of an address that was never here; nobody writes to it


def judge(row: Row, known: Standing, words: Words = ANY_WORDS) -> Verdict:
    """Decide about a row; by what the words are worth that it names."""
    if EVERY_TOPIC in known.forbidden and not _adds_to_list(row, known):
        return Verdict(Fate.SUPPRESSED)
    verdict = Verdict(Fate.UNCHANGED)
    has_left = False
    for claim in _heard(row, known):
        match claim.says:
            case Says.AGREED | Says.WISHES:
                has_left |= _weigh_consent(claim, known, words, verdict)
            case Says.LEFT:
                has_left |= _weigh_end(claim, known, verdict)
            case Says.BARRED:
                has_left |= _weigh_bar(claim, known, verdict)
    if verdict.barred and any(topic is None for topic, _ in verdict.barred):
        verdict.agreed, verdict.wishes = [], []  # they may never be written to: what for?
    verdict.fate = _fate(verdict, known, words, has_left=has_left)
    return verdict


def _heard(row: Row, known: Standing) -> tuple[Claim, ...]:
    """Of whoever's data is restricted an end is heard, and nothing else."""
    if not known.is_restricted:
        return row.claims
    return tuple(claim for claim in row.claims if claim.says in (Says.LEFT, Says.BARRED))


def _fate(verdict: Verdict, known: Standing, words: Words, *, has_left: bool) -> Fate:
    if verdict.barred:
        return Fate.BARRED
    if verdict.agreed:
        is_current = any(words.are_good(topic, claim) for topic, claim in verdict.agreed)
        return Fate.CONFIRMED if is_current else Fate.OLDER
    if verdict.wishes:
        return Fate.PENDING
    if verdict.left:
        return Fate.LEFT
    if known.is_restricted:
        return Fate.RESTRICTED
    return Fate.WITHDRAWN if has_left else Fate.UNCHANGED


def _weigh_consent(claim: Claim, known: Standing, words: Words, verdict: Verdict) -> bool:
    """Enter what a consent or a wish makes new; tell whether it is void because the person left."""
    is_void = False
    new = verdict.agreed if claim.says is Says.AGREED else verdict.wishes
    for topic in claim.topics:
        state = known.topics[topic][0] if topic in known.topics else None
        if topic in known.forbidden or EVERY_TOPIC in known.forbidden or state is SubscriptionState.WITHDRAWN:
            is_void = True
        elif state is None or (claim.says is Says.AGREED and _adds(claim, topic, known, words)):
            new.append((topic, claim))
    return is_void


def _adds(claim: Claim, topic: Topic, known: Standing, words: Words) -> bool:
    """Tell whether a consent says more than what is known: it takes the place of none in words as good."""
    return known.topics[topic][0] is SubscriptionState.PENDING or words.renew(topic, claim, known)


def _weigh_end(claim: Claim, known: Standing, verdict: Verdict) -> bool:
    """Enter where a person has not left yet; tell whether they have left somewhere before."""
    has_left = False
    for topic in claim.topics:
        state, since = known.topics.get(topic, (None, None))
        if state is SubscriptionState.WITHDRAWN or topic in known.forbidden or EVERY_TOPIC in known.forbidden:
            has_left = True
        elif not _agreed_later(claim, state, since):
            verdict.left.append((topic, claim))
    return has_left


def _weigh_bar(claim: Claim, known: Standing, verdict: Verdict) -> bool:
    """Enter what is not on the never-mail list yet; tell whether it is."""
    is_listed = False
    for topic in claim.topics or (None,):
        if _is_new(claim, topic, known):
            later = [_agreed_later(claim, state, since) for state, since in known.topics.values()]
            if not any(later):
                verdict.barred.append((topic, claim))
        else:
            is_listed = True
    return is_listed


def _is_new(claim: Claim, topic: Topic | None, known: Standing) -> bool:
    """A withdrawal gives way to a graver reason; any other entry stays as it is."""
    standing = known.forbidden.get(topic or EVERY_TOPIC)
    return standing is None or (standing is SuppressionReason.WITHDRAWN and claim.reason is not standing)


def _adds_to_list(row: Row, known: Standing) -> bool:
    return any(
        claim.says is Says.BARRED and any(_is_new(claim, topic, known) for topic in claim.topics or (None,))
        for claim in row.claims
    )


def _agreed_later(claim: Claim, state: SubscriptionState | None, since: datetime | None) -> bool:
    """Tell whether the person agreed here after what the file reports: that consent holds."""
    is_current = state is SubscriptionState.CONFIRMED and since is not None
    return is_current and claim.at is not None and since is not None and since > claim.at

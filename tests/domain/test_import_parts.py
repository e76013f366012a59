"""The parts of an import that know no file and no database: who was named before, reading ahead, verdicts."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.db.terms import EVERY_TOPIC, Language, SubscriptionState, SuppressionReason, Topic
from dispatcher.domain.addresses import parse_address
from dispatcher.domain.imports import Claim, Fate, Row, Says
from dispatcher.domain.imports.ahead import ahead
from dispatcher.domain.imports.judging import Standing, judge
from dispatcher.domain.imports.seen import Seen
from dispatcher.errors import InputRefused

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GOLD, OFFERS = Topic.FINANCE_NEWS, Topic.SPECIAL_OFFERS
PENDING, CONFIRMED, WITHDRAWN = SubscriptionState


@given(st.lists(st.binary(min_size=1, max_size=2)))
def test_a_hash_is_new_once(values: list[bytes]) -> None:
    seen, known = Seen(), set[bytes]()
    for value in values:
        hashed = hashlib.sha256(value).digest()
        assert seen.add(hashed) is (hashed not in known)
        known.add(hashed)
    assert len(seen) == len(known)


def test_many_hashes_take_a_few_dozen_octets_each_and_none_is_forgotten() -> None:
    hashes = [hashlib.sha256(b"%d" % n).digest() for n in range(11_000)]  # just grown: half empty, and beside the old
    tracemalloc.start()
    try:
        seen = Seen()
        assert all(seen.add(hashed) for hashed in hashes)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 80 * len(hashes)
    assert not any(seen.add(hashed) for hashed in hashes)


def test_what_is_read_ahead_comes_in_order_and_an_error_at_its_place() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise InputRefused("no more")

    reader = ahead(source())
    assert [next(reader) for _ in range(5)] == list(range(5))
    with pytest.raises(InputRefused, match="no more"):
        next(reader)


def test_reading_ahead_reads_no_further_than_it_is_told() -> None:
    taken = []

    def source() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    reader = ahead(source(), depth=1)
    assert [next(reader), next(reader)] == [0, 1]
    reader.close()  # type: ignore[attr-defined]
    assert len(taken) <= 4


def _row(*claims: Claim) -> Row:
    return Row(2, parse_address("maria@example.de"), b"1" * 32, "", Language.DE, claims)


def _known(state: SubscriptionState | None = None, **forbidden: SuppressionReason) -> Standing:
    topics = {} if state is None else {GOLD: (state, NOW)}
    return Standing(1, topics, {scope.replace("_", "-"): reason for scope, reason in forbidden.items()})


AGREED = Claim(Says.AGREED, (GOLD,), NOW, source="form")
WISH = Claim(Says.WISHES, (GOLD,))
LEFT = Claim(Says.LEFT, (GOLD,))
LEFT_BEFORE = Claim(Says.LEFT, (GOLD,), NOW - timedelta(days=1))
LEFT_AFTER = Claim(Says.LEFT, (GOLD,), NOW + timedelta(days=1))
BOUNCED = Claim(Says.BARRED, (), reason=SuppressionReason.BOUNCED)
BOUNCED_BEFORE = Claim(Says.BARRED, (), NOW - timedelta(days=1), reason=SuppressionReason.BOUNCED)
EVERY = {EVERY_TOPIC: SuppressionReason.OPERATOR}


@pytest.mark.parametrize(
    ("claim", "known", "fate"),
    [
        (AGREED, Standing(), Fate.CONFIRMED),
        (AGREED, _known(PENDING), Fate.CONFIRMED),
        (AGREED, _known(CONFIRMED), Fate.UNCHANGED),
        (AGREED, _known(WITHDRAWN), Fate.WITHDRAWN),
        (AGREED, _known(finance_news=SuppressionReason.WITHDRAWN), Fate.WITHDRAWN),
        (AGREED, _known(**EVERY), Fate.SUPPRESSED),
        (WISH, Standing(), Fate.PENDING),
        (WISH, _known(PENDING), Fate.UNCHANGED),
        (WISH, _known(CONFIRMED), Fate.UNCHANGED),
        (WISH, _known(WITHDRAWN), Fate.WITHDRAWN),
        (LEFT, Standing(), Fate.LEFT),
        (LEFT, _known(CONFIRMED), Fate.LEFT),
        (LEFT, _known(PENDING), Fate.LEFT),
        (LEFT, _known(WITHDRAWN), Fate.WITHDRAWN),
        (LEFT, _known(**EVERY), Fate.SUPPRESSED),
        (LEFT_BEFORE, _known(CONFIRMED), Fate.UNCHANGED),
        (LEFT_BEFORE, _known(PENDING), Fate.LEFT),
        (LEFT_AFTER, _known(CONFIRMED), Fate.LEFT),
        (BOUNCED, Standing(), Fate.BARRED),
        (BOUNCED, _known(CONFIRMED), Fate.BARRED),
        (BOUNCED, _known(all=SuppressionReason.WITHDRAWN), Fate.BARRED),
        (BOUNCED, _known(**EVERY), Fate.SUPPRESSED),
        (BOUNCED_BEFORE, _known(CONFIRMED), Fate.UNCHANGED),
    ],
)
def test_whoever_left_stays_away_and_an_end_holds_unless_they_agreed_later(
    claim: Claim, known: Standing, fate: Fate
) -> None:
    assert judge(_row(claim), known).fate is fate


def test_whoever_is_to_be_never_mailed_is_not_taken_in_for_the_rest_of_the_row() -> None:
    verdict = judge(_row(AGREED, BOUNCED), Standing())
    assert (verdict.fate, verdict.takes_in) == (Fate.BARRED, False)


def test_a_row_may_agree_to_one_topic_and_leave_another() -> None:
    verdict = judge(_row(AGREED, Claim(Says.LEFT, (OFFERS,))), Standing())
    assert (verdict.fate, [t for t, _ in verdict.agreed], [t for t, _ in verdict.left]) == (
        Fate.CONFIRMED, [GOLD], [OFFERS],
    )  # fmt: skip

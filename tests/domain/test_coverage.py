"""Consent under words that are not good any more: not written to, from the first second on, until it is renewed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from dispatcher.db import clock
from dispatcher.db.tables import delivery, subscription
from dispatcher.db.terms import ConsentKind, Language, SubscriptionState, Topic
from dispatcher.domain import consent, coverage, declarations, resting
from dispatcher.domain.consent import Event, Evidence
from dispatcher.domain.declarations import Draft
from dispatcher.domain.delivery.passage import Pass, Withheld
from tests import builders
from tests.domain.dispatch import NOW, TOPIC, Dispatch
from tests.journeys.house import wait_for

DE, EN = Language.DE, Language.EN
NEWS, GOLD, OFFERS = Topic
assert TOPIC is GOLD


@dataclass
class Words:
    """Versions, and people who agree to them."""

    dispatch: Dispatch

    def enter(self, version: str, *renews: Topic, at: datetime = NOW, covers_unknown: bool = False) -> None:
        texts = {language: f"{version} in {language}" for language in Language}
        draft = Draft(version, texts, tuple(Topic), frozenset(renews), covers_unknown, at)
        with self.dispatch.engine.begin() as conn:
            declarations.enter(conn, draft, NOW)

    def agree(self, address: str, version: str | None, *topics: Topic) -> int:
        with self.dispatch.engine.begin() as conn:
            who = builders.add_people(conn, self.dispatch.keyring, [address], NOW)[address]
            number = declarations.named(conn, version).number if version else None
            entry = declarations.texts(conn, number)[0].id if number else None
            proof = Evidence(source="a test", declaration_id=entry)
            events = [Event(who, topic, ConsentKind.CONFIRMED, proof) for topic in topics or (GOLD,)]
            consent.append(conn, events, NOW)
        return who

    def permitted(self, topic: Topic = GOLD) -> set[int]:
        with self.dispatch.engine.begin() as conn:
            return {row.subscriber_id for row in conn.execute(consent.permits_newsletter(topic))}

    def to_ask(self, number: int, topic: Topic = GOLD) -> set[int]:
        with self.dispatch.engine.begin() as conn:
            return {row.subscriber_id for row in conn.execute(consent.permits_renewal(topic, number))}


@pytest.fixture
def words(dispatch: Dispatch) -> Words:
    return Words(dispatch)


def test_older_consent_stays_good_under_a_version_that_covers_it(words: Words) -> None:
    words.enter("1")
    people = {words.agree("a@example.de", "1"), words.agree("b@example.de", None)}
    words.enter("2")
    people.add(words.agree("c@example.de", "2"))
    assert words.permitted() == people
    assert words.to_ask(2) == set()


def test_a_version_that_renews_leaves_those_who_agreed_to_it_and_only_for_its_topics(words: Words) -> None:
    words.enter("1")
    old = words.agree("old@example.de", "1", GOLD, NEWS)
    unnamed = words.agree("unnamed@example.de", None, GOLD, NEWS)
    words.enter("2", GOLD)
    new = words.agree("new@example.de", "2", GOLD, NEWS)
    assert words.permitted(GOLD) == {new}
    assert words.permitted(NEWS) == {old, unnamed, new}
    assert words.to_ask(2, GOLD) == {old, unnamed}
    assert words.to_ask(2, NEWS) == set()
    words.agree("old@example.de", "2", GOLD)
    assert words.permitted(GOLD) == {old, new}
    assert words.to_ask(2, GOLD) == {unnamed}


def test_a_later_version_that_covers_does_not_make_good_what_one_between_had_renewed(words: Words) -> None:
    words.enter("1")
    first = words.agree("first@example.de", "1")
    words.enter("2", GOLD)
    second = words.agree("second@example.de", "2")
    words.enter("3")
    third = words.agree("third@example.de", "3")
    assert words.permitted() == {second, third}
    assert words.to_ask(3) == {first}


def test_consent_that_names_no_known_words_stays_good_only_if_every_renewal_says_so(words: Words) -> None:
    words.enter("1")
    unnamed = words.agree("unnamed@example.de", None)
    words.enter("2", GOLD, covers_unknown=True)
    assert words.permitted() == {unnamed}
    words.enter("3", GOLD)
    assert words.permitted() == set()
    words.enter("4", GOLD, covers_unknown=True)
    assert words.permitted() == set()


def test_a_renewal_holds_from_its_moment_on_and_not_before(words: Words) -> None:
    words.enter("1")
    old = words.agree("old@example.de", "1")
    with words.dispatch.engine.begin() as conn:
        now = clock.now(conn)
    words.enter("2", GOLD, at=now + timedelta(seconds=1))
    assert words.permitted() == {old}
    wait_for(lambda: words.permitted() == set(), "the moment from which on the words are valid", 10)


def test_whoever_will_have_to_renew_can_be_asked_ahead_and_gets_letters_meanwhile(words: Words) -> None:
    words.enter("1")
    old, unnamed = words.agree("old@example.de", "1"), words.agree("unnamed@example.de", None)
    with words.dispatch.engine.begin() as conn:
        now = clock.now(conn)
    words.enter("2", GOLD, at=now + timedelta(seconds=2))
    assert words.to_ask(2) == {old, unnamed}
    assert words.to_ask(2, NEWS) == set()
    assert words.permitted() == {old, unnamed}
    words.agree("old@example.de", "2")
    assert words.to_ask(2) == {unnamed}
    assert words.permitted() == {old, unnamed}
    wait_for(lambda: words.permitted() == {old}, "the moment from which on the words are valid", 10)


def test_words_that_newer_ones_have_overtaken_are_not_asked_for_any_more(words: Words) -> None:
    words.enter("1")
    old = words.agree("old@example.de", "1")
    words.enter("2", GOLD)
    assert words.to_ask(2) == {old}
    words.enter("3", GOLD)
    assert words.to_ask(2) == set()
    assert words.to_ask(3) == {old}


def test_a_new_version_while_letters_wait_at_the_gate_keeps_them_back_with_the_reason(words: Words) -> None:
    dispatch = words.dispatch
    words.enter("1")
    old = words.agree("old@example.de", "1")
    unnamed = words.agree("unnamed@example.de", None)
    of = dispatch.campaign()
    claim = dispatch.must_claim()
    assert [to.subscriber_id for to in dispatch.recipients(claim, of)] == [old, unnamed]
    words.enter("2", GOLD)
    new = words.agree("unnamed@example.de", "2")
    refused, passed = dispatch.ask(claim, of, [old, new])
    assert refused == Withheld("consent under older words (newsletter-1): to be renewed")
    assert isinstance(passed, Pass)
    assert dispatch.counted(of) == {"withheld": 1}


def test_at_the_freeze_and_after_the_claim_they_are_withheld_with_the_same_reason(words: Words) -> None:
    dispatch = words.dispatch
    words.enter("1")
    before, between = words.agree("before@example.de", "1"), words.agree("between@example.de", None)
    words.enter("2", GOLD, covers_unknown=True)
    of = dispatch.campaign()
    words.enter("3", GOLD)
    assert dispatch.recipients(dispatch.must_claim(), of) == []
    with dispatch.engine.begin() as conn:
        reasons = dict(conn.execute(select(delivery.c.subscriber_id, delivery.c.reply)).all())
    assert reasons == {
        before: "consent under older words (newsletter-1): to be renewed",
        between: "consent under older words (not known which): to be renewed",
    }
    assert dispatch.is_complete(of) is False  # its batch is still to be settled
    assert of.audience == 2


def test_a_subscription_says_in_which_words_also_after_its_end(words: Words, engine: Engine) -> None:
    words.enter("1")
    words.enter("2")
    who = words.agree("a@example.de", "1")
    number = select(subscription.c.declaration_number)
    with engine.begin() as conn:
        assert conn.execute(number).scalar_one() == 1
        builders.withdraw(conn, [who], GOLD, NOW)
        assert conn.execute(number).scalar_one() == 1
    words.agree("a@example.de", "2")
    with engine.begin() as conn:
        assert conn.execute(number).scalar_one() == 2
        # Whoever asks once more goes on standing where they stand.
        builders.agree(conn, [who], GOLD, NOW, ConsentKind.REQUESTED)
        assert conn.execute(number).scalar_one() == 2
        assert coverage.current_topics(conn, who) == {GOLD}


def test_people_are_counted_and_named_by_the_words_they_agreed_to(words: Words, engine: Engine) -> None:
    words.enter("1")
    old, other = words.agree("old@example.de", "1", GOLD, NEWS), words.agree("other@example.de", "1")
    unnamed = words.agree("unnamed@example.de", None)
    words.enter("2", GOLD)
    with engine.begin() as conn:
        builders.withdraw(conn, [other], GOLD, NOW)
        counted = {(r.number, r.topic, r.state, r.is_covered): r.people for r in resting.counted(conn)}
        named = [(p.subscriber_id, p.topic) for p in resting.people(conn, 1)]
        assert [p.subscriber_id for p in resting.people(conn, None)] == [unnamed]
    confirmed, left = SubscriptionState.CONFIRMED, SubscriptionState.WITHDRAWN
    assert counted == {
        (1, NEWS, confirmed, True): 1,
        (1, GOLD, confirmed, False): 1,
        (1, GOLD, left, False): 1,
        (None, GOLD, confirmed, False): 1,
    }
    assert named == [(old, GOLD), (other, GOLD), (old, NEWS)]


def test_every_person_is_either_covered_or_to_be_renewed(words: Words, engine: Engine) -> None:
    versions = [("1", ()), ("2", (GOLD,)), ("3", (NEWS,)), ("4", (GOLD, OFFERS)), ("5", ())]
    people = {}
    for version, renews in versions:
        words.enter(version, *renews)
        people[version] = words.agree(f"v{version}@example.de", version, *Topic)
    people["none"] = words.agree("none@example.de", None, *Topic)
    everybody = set(people.values())
    for topic, oldest in ((GOLD, 4), (NEWS, 3), (OFFERS, 4)):
        good = {who for version, who in people.items() if version != "none" and int(version) >= oldest}
        assert words.permitted(topic) == good
        assert words.to_ask(5, topic) == everybody - good

"""Claims: one holder at a time, a fence against those who held before, and nothing in flight forgotten."""

import json
import threading
from collections import Counter
from datetime import timedelta

from alembic import command
from sqlalchemy import select, text, update

from dispatcher.db import migrate
from dispatcher.db.tables import batch, campaign
from dispatcher.db.terms import CampaignKind, CampaignState, Outcome, UnknownPolicy
from dispatcher.domain.delivery import batches
from dispatcher.domain.delivery.batches import LEASE, Claim
from dispatcher.domain.delivery.passage import Halted
from tests.domain.dispatch import Dispatch, deferred, events_of, final
from tests.test_database import revise

DONE, DEFERRED, READY = "done", "deferred", "ready"
MINUTE = timedelta(minutes=1)


def test_a_claim_is_ours_alone_until_its_lease_ends(dispatch: Dispatch) -> None:
    people = dispatch.people(3)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    assert mine == Claim(of.id, 0, token=1, attempts=1, subscriber_ids=tuple(people))
    dispatch.now += LEASE
    assert dispatch.claim("b") is None
    dispatch.now += timedelta(milliseconds=1)
    theirs = dispatch.must_claim("b")
    assert (theirs.key, theirs.token, theirs.attempts) == (mine.key, 2, 2)


def test_a_renewed_lease_lasts_from_then_on(dispatch: Dispatch) -> None:
    dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.now += timedelta(seconds=50)
    assert dispatch.renew(mine) == {(of.id, 0): CampaignState.SENDING}
    dispatch.now += timedelta(seconds=50)
    assert dispatch.claim("b") is None
    assert dispatch.renew() == {}


def test_of_many_who_claim_at_once_each_batch_goes_to_one(dispatch: Dispatch) -> None:
    dispatch.people(3_100)
    dispatch.campaign()
    start, claims = threading.Barrier(4), list[tuple[int, int]]()

    def work(name: str) -> None:
        start.wait(10)
        while (claim := dispatch.claim(name)) is not None:
            claims.append(claim.key)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(claims) == 7
    assert set(Counter(claims).values()) == {1}


def test_only_a_campaign_that_sends_has_batches_to_claim(dispatch: Dispatch) -> None:
    dispatch.people(1)
    dispatch.campaign()
    for state in CampaignState:
        with dispatch.engine.begin() as conn:
            conn.execute(update(campaign).values(state=state))
        assert (dispatch.claim() is not None) is (state is CampaignState.SENDING)


def test_what_matters_more_is_claimed_first_and_what_was_entered_first_before_the_rest(dispatch: Dispatch) -> None:
    dispatch.people(1)
    first, second, urgent = dispatch.campaign(), dispatch.campaign(), dispatch.campaign(priority=10)
    assert [dispatch.must_claim().campaign_id for _ in range(3)] == [urgent.id, first.id, second.id]


def test_a_claim_takes_only_the_kind_of_campaign_it_asks_for(dispatch: Dispatch) -> None:
    dispatch.people(1)
    dispatch.campaign()
    with dispatch.engine.begin() as conn:
        assert batches.claim(conn, "a", [CampaignKind.CONFIRMATION], dispatch.now) is None
        assert batches.waiting(conn, [CampaignKind.CONFIRMATION], dispatch.now, 10) == 0
        assert batches.waiting(conn, list(CampaignKind), dispatch.now, 10) == 1


def test_what_waits_is_counted_up_to_a_limit_and_without_what_is_held(dispatch: Dispatch) -> None:
    dispatch.people(1_600)
    dispatch.campaign()
    dispatch.must_claim()
    with dispatch.engine.begin() as conn:
        kinds = list(CampaignKind)
        assert batches.waiting(conn, kinds, dispatch.now, 10) == 3
        assert batches.waiting(conn, kinds, dispatch.now, 2) == 2
        assert batches.waiting(conn, kinds, dispatch.now + LEASE + MINUTE, 10) == 4


def test_nothing_that_a_former_holder_does_touches_the_batch(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    old = dispatch.must_claim("a")
    new = dispatch.take_over("b")
    with dispatch.engine.begin() as conn:
        before = conn.execute(select(batch)).one()
    dispatch.now += timedelta(seconds=5)
    assert dispatch.renew(old) == {}
    assert dispatch.settle(old) is None
    assert dispatch.give_back(old, "the relay is away") is None
    assert dispatch.ask(old, of, [maria]) == [Halted("the batch was claimed by another worker")]
    with dispatch.engine.begin() as conn:
        assert conn.execute(select(batch)).one() == before
    assert dispatch.in_flight() == []
    assert list(dispatch.renew(old, new)) == [new.key]


def test_a_batch_that_was_given_back_is_nobodys(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    assert dispatch.give_back(mine) == READY
    assert dispatch.renew(mine) == {}
    assert dispatch.settle(mine) is None
    assert isinstance(dispatch.ask(mine, of, [maria])[0], Halted)
    again = dispatch.must_claim()
    assert (again.token, again.attempts) == (2, 1)  # without a problem it does not count as an attempt


def test_a_batch_given_back_with_a_problem_waits_and_says_why(dispatch: Dispatch) -> None:
    dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    with dispatch.engine.begin() as conn:
        batches.give_back(conn, mine, dispatch.now + MINUTE, "the relay is away")
    assert dispatch.status(of).problem == "the relay is away"
    dispatch.now += timedelta(seconds=59)
    assert dispatch.claim() is None
    dispatch.now += timedelta(seconds=1)
    assert dispatch.must_claim().attempts == 1  # whoever gives a batch back has survived it


def test_a_served_batch_is_done_and_never_claimed_again(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.record(final(of, one, Outcome.SENT, 1, 250), final(of, two, Outcome.FAILED, None, 550))
    assert dispatch.settle(mine) == DONE
    dispatch.now += 10 * LEASE
    assert dispatch.claim() is None
    assert dispatch.is_complete(of)


def test_a_batch_with_nothing_but_4xx_left_waits_for_the_first_of_them(dispatch: Dispatch) -> None:
    one, two, three = dispatch.people(3)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.record(
        final(of, one, Outcome.SENT, 1, 250),
        deferred(of, two, dispatch.now + 15 * MINUTE),
        deferred(of, three, dispatch.now + 5 * MINUTE),
    )
    assert dispatch.settle(mine) == DEFERRED
    dispatch.now += 5 * MINUTE - timedelta(seconds=1)
    assert dispatch.claim() is None
    dispatch.now += timedelta(seconds=1)
    again = dispatch.must_claim()
    assert [to.subscriber_id for to in dispatch.recipients(again, of)] == [three]
    assert dispatch.settle(again) == DEFERRED


def test_a_batch_with_people_left_is_ready_again(dispatch: Dispatch) -> None:
    one, two, _three = dispatch.people(3)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.record(final(of, one, Outcome.SENT, 1, 250), deferred(of, two, dispatch.now + 5 * MINUTE))
    assert dispatch.settle(mine) == READY


def test_a_letter_in_flight_when_its_worker_died_is_in_doubt(dispatch: Dispatch) -> None:
    one, two, three = dispatch.people(3)
    of = dispatch.campaign()
    mine = dispatch.must_claim("a")
    events = events_of(dispatch.ask(mine, of, [one, two]))
    dispatch.record(final(of, one, Outcome.SENT, events[0], 250))
    again = dispatch.take_over("b")
    assert dispatch.outcomes(of) == {one: "sent", two: "unknown"}
    assert [to.subscriber_id for to in dispatch.recipients(again, of)] == [three]
    assert dispatch.in_flight() == []


def test_where_the_policy_is_to_resend_a_letter_in_flight_is_tried_again(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign(UnknownPolicy.RESEND)
    dispatch.ask(dispatch.must_claim("a"), of, [one])
    again = dispatch.take_over("b")
    assert dispatch.outcomes(of) == {}
    assert [to.subscriber_id for to in dispatch.recipients(again, of)] == [one, two]


def test_a_letter_whose_4xx_was_recorded_is_not_in_doubt(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    dispatch.ask(dispatch.must_claim("a"), of, [maria])
    dispatch.record(deferred(of, maria, dispatch.now + 5 * MINUTE))
    dispatch.take_over("b")
    assert dispatch.outcomes(of) == {}
    assert dispatch.status(of).deferred == 1


def test_the_4xx_of_an_earlier_attempt_does_not_answer_for_a_later_one(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    first = dispatch.must_claim("a")
    dispatch.ask(first, of, [maria])
    dispatch.record(deferred(of, maria, dispatch.now + 5 * MINUTE))
    dispatch.settle(first)
    dispatch.now += 5 * MINUTE
    second = dispatch.must_claim("a")
    (to,) = dispatch.recipients(second, of)
    assert to.attempt == 2
    dispatch.ask(second, of, [maria], attempt=to.attempt)
    dispatch.take_over("b")
    assert dispatch.outcomes(of) == {maria: "unknown"}
    assert (dispatch.status(of).deferred, dispatch.status(of).remaining) == (0, 0)


def test_a_batch_that_is_settled_has_nothing_in_flight(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim("a")
    (event,) = events_of(dispatch.ask(mine, of, [maria]))
    dispatch.record(final(of, maria, Outcome.SENT, event, 250))
    assert dispatch.in_flight() == [maria]
    dispatch.settle(mine)
    assert dispatch.in_flight() == []


def test_what_is_in_flight_is_known_from_one_revision_of_the_schema_to_the_next(dispatch: Dispatch) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    mine = dispatch.must_claim("a")
    dispatch.ask(mine, of, [one, two], attempt=2)
    with dispatch.engine.begin() as conn:
        before = conn.execute(select(batch.c.in_flight)).scalar_one()
        revise(conn, command.downgrade, "0032")
        held = conn.execute(text("SELECT CAST(in_flight AS TEXT) FROM batch")).scalar_one()
        assert sorted(flight[:2] for flight in json.loads(held)) == [[one, 2], [two, 2]]
    migrate.upgrade(dispatch.engine)
    with dispatch.engine.begin() as conn:
        assert conn.execute(select(batch.c.in_flight)).scalar_one() == before


def test_what_another_batch_has_in_flight_stays_in_flight(dispatch: Dispatch) -> None:
    people = dispatch.people(501)
    of = dispatch.campaign()
    first, second = dispatch.must_claim("a"), dispatch.must_claim("b")
    dispatch.ask(first, of, [people[0]])
    dispatch.ask(second, of, [people[500]])
    dispatch.now += timedelta(seconds=40)
    dispatch.renew(second)
    dispatch.now += timedelta(seconds=40)
    assert dispatch.must_claim("c").key == first.key
    assert dispatch.outcomes(of) == {people[0]: "unknown"}
    assert dispatch.in_flight() == [people[500]]


def test_what_a_dead_worker_had_in_flight_of_a_cancelled_campaign_is_in_doubt_too(dispatch: Dispatch) -> None:
    one, _two = dispatch.people(2)
    of, other = dispatch.campaign(), dispatch.campaign()
    for each in (of, other):
        dispatch.ask(dispatch.must_claim("a"), each, [one])
    dispatch.move(of, CampaignState.CANCELLED)

    def close() -> None:
        with dispatch.engine.begin() as conn:
            batches.close_cancelled(conn, dispatch.now)

    close()  # the worker may still live
    assert dispatch.outcomes(of) == {}
    dispatch.now += LEASE + MINUTE
    close()
    close()
    assert dispatch.outcomes(of) == {one: "unknown"}
    assert dispatch.batch_states(of) == ["ready"]
    assert dispatch.outcomes(other) == {}
    assert dispatch.batch_states(other) == ["leased"]

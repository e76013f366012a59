"""The account of a campaign: its parts are always the whole, and whoever is missing is named with the reason."""

from datetime import timedelta

from sqlalchemy import select, update

from dispatcher.db.tables import batch, campaign, subscriber
from dispatcher.db.terms import BatchState, CampaignState, Outcome
from dispatcher.domain.delivery import batches
from dispatcher.domain.newsletters import accounts, campaigns, missing
from dispatcher.domain.newsletters.accounts import Status
from dispatcher.domain.newsletters.campaigns import Campaign
from tests import builders
from tests.domain.dispatch import Dispatch, deferred, events_of, final

MINUTE = timedelta(minutes=1)


def _parts(status: Status) -> tuple[int, ...]:
    return (status.sent, status.deferred, status.failed, status.unknown, status.withheld, status.remaining)


def _missing(dispatch: Dispatch, of: Campaign) -> dict[str, tuple[str, str]]:
    with dispatch.engine.begin() as conn:
        people = list(missing.everyone(conn, campaigns.get(conn, of.id)))
    assert len({p.subscriber_id for p in people}) == len(people)
    return {p.address: (p.outcome, p.reason) for p in people}


def test_before_its_launch_everything_is_nought(dispatch: Dispatch) -> None:
    dispatch.people(2)
    with dispatch.engine.begin() as conn:
        of = campaigns.get(conn, builders.create_campaign(conn, dispatch.now))
        status = accounts.status(conn, of, dispatch.now)
        assert list(missing.everyone(conn, of)) == []
    assert (status.audience, _parts(status)) == (0, (0,) * 6)
    assert (status.rate_per_s, status.eta_s, status.problem) == (0.0, None, None)


def test_the_parts_are_the_whole_at_every_step_and_the_missing_are_named_with_their_reasons(
    dispatch: Dispatch,
) -> None:
    sent, busy, refused, doubtful, left, _untouched = dispatch.people(6)
    dispatch.withdraw(left)
    of = dispatch.campaign()
    (event,) = events_of(dispatch.ask(dispatch.must_claim(), of, [sent]))
    seen = [_parts(dispatch.status(of))]
    for record in (
        final(of, sent, Outcome.SENT, event, 250),
        deferred(of, busy, dispatch.now + 5 * MINUTE, attempt=2),
        final(of, refused, Outcome.FAILED, None, 550),
        final(of, doubtful, Outcome.UNKNOWN, event),
    ):
        dispatch.record(record)
        seen.append(_parts(dispatch.status(of)))
    assert seen[0] == (0, 0, 0, 0, 1, 5)
    assert seen[-1] == (1, 1, 1, 1, 1, 1)
    assert {sum(parts) for parts in seen} == {dispatch.status(of).audience} == {6}
    assert _missing(dispatch, of) == {
        "p1@example.de": ("deferred", "attempt 2, next at 2026-11-23 09:05 UTC: 451 busy"),
        "p2@example.de": ("failed", "550 said so"),
        "p3@example.de": ("unknown", "None said so"),
        "p4@example.de": ("withheld", "withdrew the consent"),
        "p5@example.de": ("remaining", "not yet tried"),
    }


def test_whoever_was_erased_is_still_counted_and_has_no_address(dispatch: Dispatch) -> None:
    maria, josef = dispatch.people(2)
    of = dispatch.campaign()
    dispatch.record(final(of, maria, Outcome.FAILED, None, 550))
    with dispatch.engine.begin() as conn:
        conn.execute(update(subscriber).values(address=None))
    with dispatch.engine.begin() as conn:
        people = list(missing.everyone(conn, of))
    assert [(p.subscriber_id, p.address) for p in people] == [(josef, "(erased)"), (maria, "(erased)")]


def test_a_cancelled_campaign_says_so_of_those_it_did_not_reach(dispatch: Dispatch) -> None:
    dispatch.people(1)
    of = dispatch.campaign()
    dispatch.move(of, CampaignState.CANCELLED)
    assert _missing(dispatch, of) == {"p0@example.de": ("remaining", "the campaign was cancelled first")}


def test_thousands_of_missing_are_named_page_by_page(dispatch: Dispatch) -> None:
    people = dispatch.people(1_100)
    of = dispatch.campaign()
    dispatch.record(*(final(of, who, Outcome.FAILED, None, 550) for who in people[:400]))
    dispatch.record(*(deferred(of, who, dispatch.now + MINUTE) for who in people[400:450]))
    named = _missing(dispatch, of)
    assert len(named) == 1_100
    outcomes = [outcome for outcome, _ in named.values()]
    assert (outcomes.count("failed"), outcomes.count("deferred"), outcomes.count("remaining")) == (400, 50, 650)


def test_a_campaign_is_complete_when_no_batch_is_open_no_answer_awaited_and_everyone_has_an_outcome(
    dispatch: Dispatch,
) -> None:
    one, two = dispatch.people(2)
    of = dispatch.campaign()
    assert not dispatch.is_complete(of)
    mine = dispatch.must_claim()
    dispatch.record(final(of, one, Outcome.UNKNOWN, 1), deferred(of, two, dispatch.now + MINUTE))
    assert not dispatch.is_complete(of)
    dispatch.settle(mine)
    assert not dispatch.is_complete(of)
    dispatch.now += 2 * MINUTE
    again = dispatch.must_claim()
    dispatch.record(final(of, two, Outcome.FAILED, None, 550))
    assert not dispatch.is_complete(of)  # a worker still holds the batch
    dispatch.settle(again)
    assert dispatch.is_complete(of)


def test_somebody_without_an_outcome_in_a_quarantined_batch_keeps_a_campaign_open(dispatch: Dispatch) -> None:
    dispatch.people(1)
    of = dispatch.campaign()
    with dispatch.engine.begin() as conn:
        conn.execute(update(batch).values(state=BatchState.QUARANTINED))
    assert not dispatch.is_complete(of)


def test_a_4xx_beside_an_outcome_is_not_counted_and_keeps_no_campaign_open(dispatch: Dispatch) -> None:
    (maria,) = dispatch.people(1)
    of = dispatch.campaign()
    mine = dispatch.must_claim()
    dispatch.record(deferred(of, maria, dispatch.now + MINUTE))
    with dispatch.engine.begin() as conn:  # as two workers at once could leave it behind
        row = {"campaign_id": of.id, "subscriber_id": maria, "outcome": "failed", "at": dispatch.now}
        conn.execute(accounts.delivery.insert(), row)
    dispatch.settle(mine)
    assert _parts(dispatch.status(of)) == (0, 0, 1, 0, 0, 0)
    assert _missing(dispatch, of) == {"p0@example.de": ("failed", "")}
    assert dispatch.is_complete(of)


def test_the_rate_is_that_of_the_last_half_minute_and_foretells_the_end(dispatch: Dispatch) -> None:
    people = dispatch.people(100)
    of = dispatch.campaign()
    dispatch.must_claim()
    dispatch.now += 2 * MINUTE
    dispatch.record(*(final(of, who, Outcome.FAILED, None, 550) for who in people[:10]))
    dispatch.now += MINUTE
    dispatch.record(*(final(of, who, Outcome.SENT, 1, 250) for who in people[10:70]))
    status = dispatch.status(of)
    assert (status.rate_per_s, status.remaining, status.eta_s) == (2.0, 30, 15)
    dispatch.move(of, CampaignState.PAUSED)
    assert dispatch.status(of).eta_s is None
    dispatch.now += MINUTE
    assert dispatch.status(of).rate_per_s == 0.0


def test_the_rate_of_a_finished_campaign_is_that_of_the_whole(dispatch: Dispatch) -> None:
    people = dispatch.people(20)
    of = dispatch.campaign()
    dispatch.record(*(final(of, who, Outcome.SENT, 1, 250) for who in people))
    with dispatch.engine.begin() as conn:
        conn.execute(
            update(campaign).values(state=CampaignState.SENT, finished_at=dispatch.now + timedelta(seconds=10))
        )
    assert dispatch.status(of).rate_per_s == 2.0


def test_a_batch_that_waits_for_its_relay_tells_the_campaigns_problem(dispatch: Dispatch) -> None:
    dispatch.people(501)
    of = dispatch.campaign()
    first, second = dispatch.must_claim(), dispatch.must_claim()
    with dispatch.engine.begin() as conn:
        batches.give_back(conn, first, dispatch.now + MINUTE, "an older problem")
        batches.give_back(conn, second, dispatch.now + 2 * MINUTE, "the relay is away")
        assert conn.execute(select(batch.c.last_error).order_by(batch.c.no)).scalars().all()
    assert dispatch.status(of).problem == "the relay is away"
    with dispatch.engine.begin() as conn:
        campaigns.note_problem(conn, of.id, "a person must look")
    assert dispatch.status(of).problem == "a person must look"
